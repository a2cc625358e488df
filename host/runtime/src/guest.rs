//! One running guest: a store with its limits, and the typed functions of the contract.

use std::time::Duration;

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::{Store, Trap, WasmCoreDump};

use crate::answer::Answer;
use crate::batch::{Batch, Blobs};
use crate::deadline::{CallClock, DeadlinePassed, Interrupted};
use crate::error::{PluginError, ScoreError};
use crate::interrupt::Interrupt;
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::panic_message::read_panic_message;
use crate::states::States;
use crate::trap::describe_trap;

/// The limit on CPU time of `describe`, `configure` and start functions. They run once and may build tables.
const SETUP_TIME: Duration = Duration::from_secs(1);

/// The host's data in a guest's store.
#[derive(Debug)]
pub(crate) struct Sandbox {
    limiter: Limiter,
    clock: CallClock,
    interrupt: Interrupt,
}

/// The indexes of the contract's functions in a component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exports {
    describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    score: ComponentExportIndex,
    migrate: ComponentExportIndex,
}

impl Exports {
    /// Finds the functions in the exported interface named `scoring`.
    pub(crate) fn find(component: &Component, scoring: &str) -> Result<Self, PluginError> {
        let missing = |what: &str| PluginError::Misfit(format!("it does not export {what}"));
        let interface = component.get_export_index(None, scoring).ok_or_else(|| missing(scoring))?;
        let function = |name| component.get_export_index(Some(&interface), name).ok_or_else(|| missing(name));
        Ok(Self {
            describe: function("describe")?,
            configure: function("configure")?,
            score: function("score")?,
            migrate: function("migrate")?,
        })
    }
}

type ScoreFunc = TypedFunc<(&'static Batch<'static>,), (Result<Answer, String>,)>;
type MigrateFunc = TypedFunc<(u32, Blobs<'static>), (Result<States, String>,)>;

/// A guest in its sandbox. After an error it must not be called again, because its memory may be inconsistent.
pub(crate) struct Guest {
    store: Store<Sandbox>,
    describe: TypedFunc<(), (RawManifest,)>,
    configure: TypedFunc<(&'static str,), (Result<(), String>,)>,
    score: ScoreFunc,
    migrate: MigrateFunc,
}

impl Guest {
    /// Instantiates a component within limits. It takes 20 to 40 us.
    pub(crate) fn start(
        pre: &InstancePre<Sandbox>,
        exports: Exports,
        limits: &Limits,
        interrupt: &Interrupt,
    ) -> Result<Self, PluginError> {
        let clock = CallClock::start(SETUP_TIME);
        let ticks = clock.ticks();
        let sandbox = Sandbox { limiter: Limiter::new(limits), clock, interrupt: interrupt.clone() };
        let mut store = Store::new(pre.engine(), sandbox);
        store.limiter(|sandbox| &mut sandbox.limiter);
        store.epoch_deadline_callback(|store| store.data().clock.check_deadline(&store.data().interrupt));
        store.set_epoch_deadline(ticks);
        store.set_hostcall_fuel(limits.max_output_bytes);
        let instance = match pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => {
                return Err(match classify_error(&mut store, &error) {
                    ScoreError::Interrupted => PluginError::Configure(ScoreError::Interrupted),
                    error => PluginError::Start(error.to_string()),
                });
            }
        };
        Ok(Self {
            describe: find_typed_function(&mut store, instance, exports.describe, "describe")?,
            configure: find_typed_function(&mut store, instance, exports.configure, "configure")?,
            score: find_typed_function(&mut store, instance, exports.score, "score")?,
            migrate: find_typed_function(&mut store, instance, exports.migrate, "migrate")?,
            store,
        })
    }

    /// Sets the flag that interrupts later calls.
    pub(crate) fn set_interrupt(&mut self, interrupt: &Interrupt) {
        self.store.data_mut().interrupt = interrupt.clone();
    }

    pub(crate) fn describe(&mut self) -> Result<RawManifest, ScoreError> {
        let (manifest,) = self.call(self.describe, (), SETUP_TIME)?;
        Ok(manifest)
    }

    pub(crate) fn configure(&mut self, config: &str) -> Result<(), PluginError> {
        let configure: TypedFunc<(&str,), _> = self.configure;
        let (answer,) = self.call(configure, (config,), SETUP_TIME).map_err(PluginError::Configure)?;
        answer.map_err(PluginError::ConfigRefused)
    }

    /// The guest's answer. It is well-formed for the component model, and otherwise unchecked.
    pub(crate) fn score(&mut self, batch: &Batch<'_>, budget: Duration) -> Result<Answer, ScoreError> {
        let score: TypedFunc<(&Batch<'_>,), _> = self.score;
        let (answer,) = self.call(score, (batch,), budget)?;
        answer.map_err(ScoreError::Refused)
    }

    pub(crate) fn migrate(
        &mut self,
        from_version: u32,
        states: Blobs<'_>,
        budget: Duration,
    ) -> Result<States, ScoreError> {
        let migrate: TypedFunc<(u32, Blobs<'_>), _> = self.migrate;
        let (answer,) = self.call(migrate, (from_version, states), budget)?;
        answer.map_err(ScoreError::Refused)
    }

    fn call<P, R>(&mut self, function: TypedFunc<P, R>, params: P, budget: Duration) -> Result<R, ScoreError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let clock = CallClock::start(budget);
        self.store.set_epoch_deadline(clock.ticks());
        self.store.data_mut().clock = clock;
        match function.call(&mut self.store, params) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(classify_error(&mut self.store, &error)),
        }
    }
}

fn find_typed_function<P, R>(
    store: &mut Store<Sandbox>,
    instance: Instance,
    index: ComponentExportIndex,
    name: &str,
) -> Result<TypedFunc<P, R>, PluginError>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    instance
        .get_typed_func(store, index)
        .map_err(|error| PluginError::Misfit(format!("the type of `{name}` differs: {error:#}")))
}

/// The kind of error that ended a call.
fn classify_error(store: &mut Store<Sandbox>, error: &wasmtime::Error) -> ScoreError {
    let refusal = store.data_mut().limiter.take_refusal();
    if error.is::<Interrupted>() {
        return ScoreError::Interrupted;
    }
    if let Some(DeadlinePassed(budget)) = error.downcast_ref() {
        let ms = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
        return ScoreError::Deadline { ms };
    }
    if let Some(refusal) = refusal {
        return ScoreError::OutOfMemory(refusal);
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => ScoreError::Trap(describe_trap(trap, error, read_panic_message(store, error))),
        // The component model's own checks: pointers out of bounds, text that is not UTF-8, too much data. wasmtime
        // adds a core dump to the error chain, which is left out.
        None if error.is::<WasmCoreDump>() => ScoreError::Malformed(error.root_cause().to_string()),
        None => ScoreError::Malformed(format!("{error:#}")),
    }
}
