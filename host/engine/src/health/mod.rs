//! The state of the engine's components, as `/readyz` shows it.

mod component;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::panics;
use crate::progress::Lags;

pub use component::HealthComponent;

/// The ability of the engine to do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// True if events can be taken in and scored.
    pub ready: bool,
    /// Each component by itself, by name.
    pub parts: Vec<PartStatus>,
}

/// The state of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartStatus {
    /// The component.
    pub component: HealthComponent,
    /// True if it works.
    pub ok: bool,
    /// The problem; empty if there is none.
    pub message: String,
    /// A problem that will come if nothing is done, though it works; empty if none will.
    pub warning: String,
    /// The records that wait for it.
    pub lag: u64,
}

impl PartStatus {
    /// A component that works, or has a problem.
    pub(crate) fn new(component: HealthComponent, problem: Option<&str>) -> Self {
        let message = problem.unwrap_or_default().to_owned();
        Self { component, ok: problem.is_none(), message, warning: String::new(), lag: 0 }
    }
}

type Parts = BTreeMap<HealthComponent, PartStatus>;
type Warnings = BTreeMap<HealthComponent, String>;

impl Lags {
    /// Adds the current lags to the states.
    fn apply_to(&self, parts: &mut Parts) {
        for (partition, lag) in &self.scoring {
            if let Some(part) = parts.get_mut(&HealthComponent::Scoring(partition.clone())) {
                part.lag = *lag;
            }
        }
        for (sink, lag) in &self.sinks {
            let Some(part) = parts.get_mut(&HealthComponent::Sink(sink)) else { continue };
            part.lag = lag.records;
            if part.ok && lag.unknown > 0 {
                part.ok = false;
                part.message = format!("it has not read yet where it is in {} partitions", lag.unknown);
            }
        }
    }
}

/// The states that components have noted.
#[derive(Default)]
pub(crate) struct Health {
    parts: Mutex<Parts>,
    /// The warnings of retention.
    warnings: Mutex<Warnings>,
    /// The warnings that components have noted themselves.
    own_warnings: Mutex<Warnings>,
}

impl Health {
    /// Notes the state of a component.
    pub(crate) fn note(&self, component: &HealthComponent, problem: Option<&str>) {
        lock(&self.parts).insert(component.clone(), PartStatus::new(component.clone(), problem));
    }

    /// Forgets a component that is gone.
    pub(crate) fn forget(&self, component: &HealthComponent) {
        lock(&self.parts).remove(component);
    }

    /// Replaces all warnings of retention.
    pub(crate) fn set_warnings(&self, warnings: Warnings) {
        *lock(&self.warnings) = warnings;
    }

    /// Replaces the warning that a component notes itself.
    pub(crate) fn set_own_warning(&self, component: &HealthComponent, warning: Option<String>) {
        let mut warnings = lock(&self.own_warnings);
        match warning {
            Some(warning) => drop(warnings.insert(component.clone(), warning)),
            None => drop(warnings.remove(component)),
        }
    }

    /// The engine is ready if all workers work. A sink that fails only lags, and a partition that waits for a rule takes
    /// in events all the same.
    pub(crate) fn readiness(&self, lags: &Lags) -> Readiness {
        let mut parts = lock(&self.parts).clone();
        // Of two warnings the one about retention is the more urgent.
        let mut warnings = lock(&self.own_warnings).clone();
        warnings.extend(lock(&self.warnings).clone());
        for (component, warning) in warnings {
            if let Some(part) = parts.get_mut(&component) {
                part.warning = warning;
            }
        }
        lags.apply_to(&mut parts);
        for (thread, message) in panics::failing() {
            let component = HealthComponent::Thread(thread);
            parts.insert(component.clone(), PartStatus::new(component, Some(&message)));
        }
        let mut parts: Vec<PartStatus> = parts.into_values().collect();
        parts.sort_by_cached_key(|part| part.component.to_string());
        let ready = parts.iter().all(|part| part.ok || !part.component.is_needed());
        Readiness { ready, parts }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each entry is replaced whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
