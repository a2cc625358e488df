//! An instance of a plugin: one rule's plugin on one thread. Its guest is rebuilt after each failed call.

use std::fmt;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Blobs};
use crate::deadline::thread_cpu_time;
use crate::error::{PluginError, ScoreError, Unfinished};
use crate::failing_rows::{self, Failure};
use crate::guest::Guest;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::states::States;
use crate::verdicts::{Scored, Verdicts};

/// The target for the CPU time of a call. A call has as many rows as fit into it by the pace so far.
const TARGET_CALL_TIME: Duration = Duration::from_millis(4);
/// The most CPU time of a call with several rows, as a multiple of the time expected by the pace: see `budget`.
const MAX_PACE_FACTOR: u32 = 8;
/// The least limit on the CPU time of a call with several rows: deadlines are not precise enough for less.
const MIN_CALL_TIME: Duration = Duration::from_millis(4);
/// The greatest limit on the CPU time of a call with several rows.
const MAX_CALL_TIME: Duration = Duration::from_millis(50);
/// The most CPU time of all calls for one batch, if batches are bounded and it has several rows.
const MAX_BATCH_TIME: Duration = Duration::from_millis(200);
/// The same as a multiple of the time limit of a single row, where that is more. Four rows that all fail take less, so
/// batches of up to four rows always complete.
const MAX_BATCH_TIME_IN_ROWS: u32 = 12;

/// A configured plugin that scores batches.
pub struct Instance {
    plugin: Plugin,
    config: String,
    limits: Limits,
    interrupt: Interrupt,
    /// True if batches that take too long are abandoned.
    is_bounded: bool,
    /// None after a failure, until the next call.
    guest: Option<Guest>,
    /// True if the guest has scored since it was started.
    is_used: bool,
    /// The CPU time per row of calls: a maximum that decays over about 16 calls.
    pace: Duration,
    time: BatchTime,
}

/// The time that the current batch has taken.
#[derive(Debug, Default)]
struct BatchTime {
    /// The thread's CPU time at the start of the batch.
    started: Duration,
    /// The wall time of calls that ran out of time or memory, with the start of their guests.
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

    /// Sets the flag that interrupts calls.
    #[must_use]
    pub fn with_interrupt(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = interrupt.clone();
        if let Some(guest) = &mut self.guest {
            guest.set_interrupt(interrupt);
        }
        self
    }

    /// Bounds batches of several rows to 200 ms of CPU time, or 12 times the limit of a single row if that is more: for
    /// threads that have other work to do. After [`Unfinished::TooSlow`] the caller must score the rows again in
    /// smaller batches. A batch of up to four rows is never abandoned.
    #[must_use]
    pub fn with_batch_limit(mut self) -> Self {
        self.is_bounded = true;
        self
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Scores a batch. Every row is scored or is among the failures. A row fails if and only if it fails alone, on a
    /// fresh instance, with the states at that point; the rows around it have no influence. (For deadlines this holds
    /// only as exactly as time can be measured.)
    ///
    /// A call has as many rows as are expected to take 4 ms, by the time of recent rows. A call with several rows takes
    /// at most 50 ms, a call with one row at most its limits.
    ///
    /// The cost of failures: one failing row causes about log2(rows) additional calls, each with a rebuilt guest (tens
    /// of microseconds). A row that never ends costs 4 ms or 8 times the usual time for each of these calls, and up to
    /// twice the limit of a single row for the last ones. After it all other rows of the batch are called one by one,
    /// so that each further such row costs only its own time.
    ///
    /// # Errors
    /// The call was interrupted, or took too long ([`with_batch_limit`](Self::with_batch_limit)). No row is scored or
    /// failed.
    ///
    /// # Panics
    /// If the batch does not fit the manifest, or its slices do not fit each other: a bug of the caller.
    pub fn score(&mut self, batch: &Batch<'_>) -> Result<Scored, Unfinished> {
        let mistake = batch.find_mistake(self.plugin.manifest());
        assert!(mistake.is_none(), "a batch is built wrongly: {}", mistake.unwrap_or_default());
        let started = Instant::now();
        self.time = BatchTime { started: thread_cpu_time(), exhausted: Duration::ZERO };
        let mut scored = if batch.rows <= self.rows_per_call() {
            match self.score_with_retry(batch) {
                Ok((verdicts, states)) => Scored { verdicts, states, ..Scored::default() },
                Err(failure) => failing_rows::score_around_failing_rows(self, batch, failure)?,
            }
        } else {
            failing_rows::score_in_parts(self, batch)?
        };
        scored.elapsed = started.elapsed();
        scored.cpu_time = self.spent_time();
        scored.exhausted_time = self.time.exhausted;
        Ok(scored)
    }

    /// Migrates states of an older version to the plugin's version, in their order.
    ///
    /// # Errors
    /// The plugin fails, refuses, or answers with states that break the contract or the limits. After
    /// [`ScoreError::Interrupted`] the migration must be repeated.
    pub fn migrate(&mut self, from_version: u32, states: Blobs<'_>) -> Result<States, ScoreError> {
        let count = u32::try_from(states.len()).unwrap_or(u32::MAX);
        let budget = self.limits.budget(count);
        let guest = self.ensure_guest().map_err(start_error)?;
        let migrated = guest.migrate(from_version, states, budget).and_then(|migrated| {
            match migrated.find_violation(states.len(), self.limits.max_state_bytes_per_entity) {
                Some(text) => Err(ScoreError::Malformed(text)),
                None => Ok(migrated),
            }
        });
        if migrated.is_err() {
            self.guest = None;
        }
        migrated
    }

    /// Scores a batch as a whole or not at all. A single row that fails is retried on a fresh guest, because the first
    /// guest may have kept something from earlier rows.
    pub(crate) fn score_with_retry(&mut self, batch: &Batch<'_>) -> Result<(Verdicts, States), Failure> {
        let was_used = self.is_used;
        match self.score_once(batch) {
            Err(Failure::Batch(_)) if batch.rows == 1 && was_used => self.score_once(batch),
            result => result,
        }
    }

    fn score_once(&mut self, batch: &Batch<'_>) -> Result<(Verdicts, States), Failure> {
        if self.interrupt.is_raised() {
            return Err(Failure::Interrupted);
        }
        let budget = self.budget(batch.rows);
        let (began, started) = (Instant::now(), thread_cpu_time());
        let answer = match self.ensure_guest() {
            Ok(guest) => guest.score(batch, budget),
            Err(error) => return Err(self.note_failure(start_error(error), began, Failure::Start)),
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
                Err(self.note_failure(error, began, Failure::Batch))
            }
        }
    }

    fn note_failure(&mut self, error: ScoreError, began: Instant, failure: fn(ScoreError) -> Failure) -> Failure {
        if error.is_exhaustion() {
            self.time.exhausted += began.elapsed();
        }
        if error == ScoreError::Interrupted { Failure::Interrupted } else { failure(error) }
    }

    /// The number of rows that are expected to take `TARGET_CALL_TIME`.
    pub(crate) fn rows_per_call(&self) -> u32 {
        let rows = TARGET_CALL_TIME.as_nanos().checked_div(self.pace.as_nanos());
        rows.map_or(u32::MAX, |rows| u32::try_from(rows).unwrap_or(u32::MAX).max(1))
    }

    /// The most CPU time of all calls for one batch; none if batches are not bounded.
    pub fn max_batch_time(&self) -> Option<Duration> {
        let rows_time = self.limits.budget(1).saturating_mul(MAX_BATCH_TIME_IN_ROWS);
        self.is_bounded.then_some(MAX_BATCH_TIME.max(rows_time))
    }

    /// The error for the current batch, if it has taken too long.
    pub(crate) fn check_batch_time(&self) -> Option<Unfinished> {
        let max_time = self.max_batch_time()?;
        let (spent, exhausted) = (self.spent_time(), self.time.exhausted);
        (spent > max_time).then_some(Unfinished::TooSlow { spent, exhausted })
    }

    fn spent_time(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.time.started)
    }

    /// The limit on the CPU time of a call. A single row has its full limit, so that no row fails early. Several rows
    /// have a multiple of their usual time, at most their limits: so a row that never ends is found after milliseconds,
    /// and not after the time that 4,096 slow rows might take.
    fn budget(&self, rows: u32) -> Duration {
        if rows == 1 {
            return self.limits.budget(1);
        }
        let usual = self.pace.saturating_mul(rows).saturating_mul(MAX_PACE_FACTOR);
        usual.clamp(MIN_CALL_TIME, MAX_CALL_TIME).min(self.limits.budget(rows))
    }

    fn ensure_guest(&mut self) -> Result<&mut Guest, PluginError> {
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

/// The error of rows whose guest cannot be restarted.
fn start_error(error: PluginError) -> ScoreError {
    match error {
        PluginError::Configure(error) => error,
        PluginError::ConfigRefused(text) => ScoreError::Refused(format!("its config: {text}")),
        other => ScoreError::Trap(other.to_string()),
    }
}
