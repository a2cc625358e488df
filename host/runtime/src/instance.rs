//! An instance of a plugin: one rule's plugin on one thread, rebuilt whenever a call fails.

use std::fmt;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Blobs};
use crate::error::{PluginError, ScoreError};
use crate::guest::Guest;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::search;
use crate::states::States;
use crate::verdicts::{Scored, Verdicts};

/// How many times longer than usual a call with several rows may take before the batch is cut: see `budget`.
const PATIENCE: u32 = 8;

/// A configured plugin that scores batches.
pub struct Instance {
    plugin: Plugin,
    config: String,
    limits: Limits,
    /// None after a failure, until the next call.
    guest: Option<Guest>,
    /// True when the guest has scored since it was started.
    is_used: bool,
    /// The time per row that calls take: the longest of late.
    pace: Duration,
}

/// Why a batch has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest failed on it.
    Batch(ScoreError),
    /// The guest could not be started again: no row can be blamed, and none can be scored.
    Start(ScoreError),
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("plugin", &self.plugin).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) fn new(plugin: Plugin, config: String, limits: Limits) -> Result<Self, PluginError> {
        let guest = Some(plugin.start(&config, &limits)?);
        Ok(Self { plugin, config, limits, guest, is_used: false, pace: Duration::ZERO })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Scores a batch. Every row is scored or among the failures, and which of the two does not depend on the rows
    /// around it: a row has failed if and only if it fails alone, on a fresh instance, with the states as they are at
    /// that point. (Deadlines measure time, so for them this holds as exactly as time can be measured.)
    ///
    /// What failures cost: one failing row makes about log2(rows) calls more, with as many rebuilt guests (tens of
    /// microseconds each); a row that never ends costs `time_per_call_floor` or 8 times the usual time for each of
    /// them. If all n rows fail there are about 2 n calls, each to the end of the time of a single row.
    ///
    /// # Panics
    /// If the batch does not fit the manifest, or its slices each other: a mistake of the caller.
    pub fn score(&mut self, batch: &Batch<'_>) -> Scored {
        let misfit = batch.misfit(self.plugin.manifest());
        assert!(misfit.is_none(), "a batch is built wrongly: {}", misfit.unwrap_or_default());
        let started = Instant::now();
        let mut scored = match self.attempt(batch) {
            Ok((verdicts, states)) => Scored { verdicts, states, ..Scored::default() },
            Err(failure) => search::set_aside_failing_rows(self, batch, failure),
        };
        scored.elapsed = started.elapsed();
        scored
    }

    /// Carries states of an older version over to the plugin's own, in their order.
    ///
    /// # Errors
    /// The plugin fails, refuses, or answers with states that break the contract or the limits.
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
        let budget = self.budget(batch.rows);
        let started = Instant::now();
        let guest = self.guest().map_err(|error| Failure::Start(start_error(error)))?;
        let answer = guest.score(batch, budget);
        self.is_used = true;
        let manifest = self.plugin.manifest();
        match answer.and_then(|answer| answer.check(manifest, &self.limits, batch.rows, batch.states.len())) {
            Ok(scored) => {
                let per_row = started.elapsed() / batch.rows;
                self.pace = per_row.max(self.pace - self.pace / 16);
                Ok(scored)
            }
            Err(error) => {
                self.guest = None;
                Err(Failure::Batch(error))
            }
        }
    }

    /// The CPU time for a call. Alone, a row has all that the limits give it, so nothing is blamed early. Several rows
    /// have what they usually take, many times over, but not more than the limits: so a row that never ends is found
    /// after milliseconds, and not after the time that 4,096 slow rows might have taken.
    fn budget(&self, rows: u32) -> Duration {
        let alone = self.limits.budget(1);
        self.pace.saturating_mul(rows).saturating_mul(PATIENCE).clamp(alone, self.limits.budget(rows))
    }

    fn guest(&mut self) -> Result<&mut Guest, PluginError> {
        let guest = match self.guest.take() {
            Some(guest) => guest,
            None => {
                self.is_used = false;
                self.plugin.start(&self.config, &self.limits)?
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
