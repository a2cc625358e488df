//! An instance of a plugin: one rule's plugin on one thread, rebuilt whenever a call fails.

use std::fmt;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Blobs};
use crate::deadline::thread_cpu_time;
use crate::error::{PluginError, ScoreError, Unfinished};
use crate::guest::Guest;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::search::{self, Failure};
use crate::states::States;
use crate::verdicts::{Scored, Verdicts};

/// CPU time that a call is meant to take: it has as many rows as fit into that by the pace so far.
const CALL_TIME: Duration = Duration::from_millis(4);
/// How many times longer than that a call with several rows may take before it is divided: see `budget`.
const PATIENCE: u32 = 8;
/// The least CPU time of a call with several rows: what deadlines can measure.
const MIN_CALL_TIME: Duration = Duration::from_millis(4);
/// The most CPU time of a call with several rows.
const MAX_CALL_TIME: Duration = Duration::from_millis(50);
/// The most CPU time of all calls for one batch together, if it has several rows and batches are bounded.
const MAX_BATCH_TIME: Duration = Duration::from_millis(200);
/// The same in times of a single row by the limits, where that is more: four rows that all fail never take it all, so
/// whoever scores so few at once gets on.
const MAX_BATCH_TIME_IN_ROWS: u32 = 12;

/// A configured plugin that scores batches.
pub struct Instance {
    plugin: Plugin,
    config: String,
    limits: Limits,
    interrupt: Interrupt,
    /// True when batches that take too long are given up.
    is_bounded: bool,
    /// None after a failure, until the next call.
    guest: Option<Guest>,
    /// True when the guest has scored since it was started.
    is_used: bool,
    /// The CPU time per row that calls take: the longest of late.
    pace: Duration,
    time: BatchTime,
}

/// What the batch in hand has taken.
#[derive(Debug, Default)]
struct BatchTime {
    /// The thread's CPU time when it began.
    started: Duration,
    /// Wall time of calls that ran out of time or memory, with the start of their guests.
    exhausted: Duration,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("plugin", &self.plugin).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) fn new(plugin: Plugin, config: String, limits: Limits) -> Result<Self, PluginError> {
        let interrupt = Interrupt::default();
        let guest = Some(plugin.start(&config, &limits, &interrupt)?);
        let (pace, time) = (Duration::ZERO, BatchTime::default());
        Ok(Self { plugin, config, limits, interrupt, is_bounded: false, guest, is_used: false, pace, time })
    }

    /// Calls are stopped by this flag from now on.
    #[must_use]
    pub fn interruptible(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = interrupt.clone();
        if let Some(guest) = &mut self.guest {
            guest.set_interrupt(interrupt);
        }
        self
    }

    /// Batches of several rows are given up from now on when they have taken 200 ms of CPU time, or 12 times what a
    /// single row may take: for threads that have other work to do. Whoever gets [`Unfinished::TooSlow`] must score the
    /// rows again in smaller batches. One of up to four rows is never given up.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.is_bounded = true;
        self
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Scores a batch. Every row is scored or among the failures, and which of the two does not depend on the rows
    /// around it: a row has failed if and only if it fails alone, on a fresh instance, with the states as they are at
    /// that point. (Deadlines measure time, so for them this holds as exactly as time can be measured.)
    ///
    /// A call has as many rows as are expected to take 4 ms, by how long rows took of late. No call with several rows
    /// takes more than 50 ms, none with one more than its limits allow.
    ///
    /// What failures cost: one failing row makes about log2(rows) calls more, with as many rebuilt guests (tens of
    /// microseconds each). One that never ends costs 4 ms or 8 times the usual time for each of them, and up to twice
    /// the time of a single row when it stands alone; after it all other rows of the batch are called one by one, so
    /// each further one costs its own time only.
    ///
    /// # Errors
    /// The call was interrupted, or takes too long ([`bounded`](Self::bounded)): nothing is known of any row.
    ///
    /// # Panics
    /// If the batch does not fit the manifest, or its slices each other: a mistake of the caller.
    pub fn score(&mut self, batch: &Batch<'_>) -> Result<Scored, Unfinished> {
        let misfit = batch.misfit(self.plugin.manifest());
        assert!(misfit.is_none(), "a batch is built wrongly: {}", misfit.unwrap_or_default());
        let started = Instant::now();
        self.time = BatchTime { started: thread_cpu_time(), exhausted: Duration::ZERO };
        let mut scored = if batch.rows <= self.rows_per_call() {
            match self.attempt(batch) {
                Ok((verdicts, states)) => Scored { verdicts, states, ..Scored::default() },
                Err(failure) => search::set_aside_failing_rows(self, batch, failure)?,
            }
        } else {
            search::score_in_parts(self, batch)?
        };
        scored.elapsed = started.elapsed();
        scored.cpu_time = self.spent();
        scored.exhausted_time = self.time.exhausted;
        Ok(scored)
    }

    /// Carries states of an older version over to the plugin's own, in their order.
    ///
    /// # Errors
    /// The plugin fails, refuses, or answers with states that break the contract or the limits.
    /// [`ScoreError::Interrupted`]: nothing is known.
    pub fn migrate(&mut self, from_version: u32, states: Blobs<'_>) -> Result<States, ScoreError> {
        let count = u32::try_from(states.len()).unwrap_or(u32::MAX);
        let budget = self.limits.budget(count);
        let guest = self.guest().map_err(start_error)?;
        let migrated = guest.migrate(from_version, states, budget).and_then(|migrated| {
            match migrated.misfit(states.len(), self.limits.max_state_bytes_per_entity) {
                Some(text) => Err(ScoreError::Malformed(text)),
                None => Ok(migrated),
            }
        });
        if migrated.is_err() {
            self.guest = None;
        }
        migrated
    }

    /// Scores a batch as a whole or not at all. A single row is tried a second time on a fresh guest before it is
    /// blamed: the first may have carried something over from earlier rows.
    pub(crate) fn attempt(&mut self, batch: &Batch<'_>) -> Result<(Verdicts, States), Failure> {
        let was_used = self.is_used;
        match self.call(batch) {
            Err(Failure::Batch(_)) if batch.rows == 1 && was_used => self.call(batch),
            result => result,
        }
    }

    fn call(&mut self, batch: &Batch<'_>) -> Result<(Verdicts, States), Failure> {
        if self.interrupt.is_raised() {
            return Err(Failure::Interrupted);
        }
        let budget = self.budget(batch.rows);
        let (began, started) = (Instant::now(), thread_cpu_time());
        let answer = match self.guest() {
            Ok(guest) => guest.score(batch, budget),
            Err(error) => return Err(self.fail(start_error(error), began, Failure::Start)),
        };
        self.is_used = true;
        let manifest = self.plugin.manifest();
        let answer = answer.and_then(|answer| answer.check(manifest, &self.limits, batch.rows, batch.states.len()));
        match answer {
            Ok(scored) => {
                let per_row = thread_cpu_time().saturating_sub(started) / batch.rows;
                self.pace = per_row.max(self.pace - self.pace / 16);
                Ok(scored)
            }
            Err(error) => {
                self.guest = None;
                Err(self.fail(error, began, Failure::Batch))
            }
        }
    }

    fn fail(&mut self, error: ScoreError, began: Instant, failure: fn(ScoreError) -> Failure) -> Failure {
        if error.is_exhaustion() {
            self.time.exhausted += began.elapsed();
        }
        if error == ScoreError::Interrupted { Failure::Interrupted } else { failure(error) }
    }

    /// How many rows are expected to take the time that a call is meant to take.
    pub(crate) fn rows_per_call(&self) -> u32 {
        let rows = CALL_TIME.as_nanos().checked_div(self.pace.as_nanos());
        rows.map_or(u32::MAX, |rows| u32::try_from(rows).unwrap_or(u32::MAX).max(1))
    }

    /// The most CPU time of all calls for one batch together; none: as long as it takes.
    pub fn max_batch_time(&self) -> Option<Duration> {
        let of_rows = self.limits.budget(1).saturating_mul(MAX_BATCH_TIME_IN_ROWS);
        self.is_bounded.then_some(MAX_BATCH_TIME.max(of_rows))
    }

    /// That a batch of several rows has to be given up, if it has taken too long.
    pub(crate) fn overrun(&self) -> Option<Unfinished> {
        let most = self.max_batch_time()?;
        let (spent, exhausted) = (self.spent(), self.time.exhausted);
        (spent > most).then_some(Unfinished::TooSlow { spent, exhausted })
    }

    fn spent(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.time.started)
    }

    /// The CPU time for a call. Alone, a row has all that the limits give it, so nothing is blamed early. Several rows
    /// have what they usually take, many times over, but not more than the limits: so a row that never ends is found
    /// after milliseconds, and not after the time that 4,096 slow rows might have taken.
    fn budget(&self, rows: u32) -> Duration {
        if rows == 1 {
            return self.limits.budget(1);
        }
        let usual = self.pace.saturating_mul(rows).saturating_mul(PATIENCE);
        usual.clamp(MIN_CALL_TIME, MAX_CALL_TIME).min(self.limits.budget(rows))
    }

    fn guest(&mut self) -> Result<&mut Guest, PluginError> {
        let guest = match self.guest.take() {
            Some(guest) => guest,
            None => {
                self.is_used = false;
                self.plugin.start(&self.config, &self.limits, &self.interrupt)?
            }
        };
        Ok(self.guest.insert(guest))
    }
}

/// What rows are told when the guest cannot be started again.
fn start_error(error: PluginError) -> ScoreError {
    match error {
        PluginError::Configure(error) => error,
        PluginError::ConfigRefused(text) => ScoreError::Refused(format!("its config: {text}")),
        other => ScoreError::Trap(other.to_string()),
    }
}
