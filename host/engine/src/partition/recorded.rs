//! Failures that stand in the verdicts log. Recovery takes them from there instead of calling the plugin for these
//! rows: a call that ran out of time would take all of that time again at each recovery, and might end in time once, so
//! that the state would be another one than the verdicts tell of.

use std::collections::{BTreeMap, HashMap};

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;

/// The code of a row whose entity's state the plugin could not carry over to its version.
pub(super) const STATE_MIGRATION: &str = FailureCode::StateMigration.as_str();
/// The codes of failures that are taken from the log: those that depend on limits of time and memory. Other failures
/// are the same again when the plugin is called again.
const TAKEN_FROM_LOG: [&str; 3] =
    [FailureCode::PluginDeadline.as_str(), FailureCode::PluginOutOfMemory.as_str(), STATE_MIGRATION];

/// Rows that failed: the row, a code, a message.
pub(super) type Failures = Vec<(u32, &'static str, String)>;

/// Which rules failed on which events.
#[derive(Debug, Default)]
pub(crate) struct RecordedFailures {
    by_rule: HashMap<String, BTreeMap<Offset, &'static str>>,
}

impl RecordedFailures {
    /// Notes that a rule failed on an event, if that failure is one to be taken from the log.
    pub(crate) fn add(&mut self, offset: Offset, rule: &str, code: &str) {
        let Some(code) = TAKEN_FROM_LOG.into_iter().find(|taken| *taken == code) else { return };
        match self.by_rule.get_mut(rule) {
            Some(failures) => drop(failures.insert(offset, code)),
            None => drop(self.by_rule.insert(rule.to_owned(), BTreeMap::from([(offset, code)]))),
        }
    }

    /// The failures among some that are to be taken from the log.
    pub(super) fn select(failures: &Failures) -> Vec<(u32, &'static str)> {
        let is_taken = |failure: &&(u32, &'static str, String)| TAKEN_FROM_LOG.contains(&failure.1);
        failures.iter().filter(is_taken).map(|(row, code, _)| (*row, *code)).collect()
    }

    /// The failures of a rule on rows with these offsets, by row.
    pub(super) fn of_rows(&self, rule: &str, offsets: impl Iterator<Item = u64>) -> Failures {
        let Some(failures) = self.by_rule.get(rule) else { return Failures::new() };
        let failure = |(row, offset): (u32, u64)| {
            let code = *failures.get(&Offset(offset))?;
            Some((row, code, "the verdicts log has this failure".to_owned()))
        };
        (0..).zip(offsets).filter_map(failure).collect()
    }
}

#[cfg(test)]
mod tests {
    use assay_runtime::ScoreError;

    use super::*;

    #[test]
    fn failures_by_limits_are_taken_and_others_are_not() {
        let exhausted = [ScoreError::Deadline { ms: 1 }, ScoreError::OutOfMemory(String::new())];
        assert!(exhausted.iter().all(|error| error.is_exhaustion() && TAKEN_FROM_LOG.contains(&error.code())));
        let mut recorded = RecordedFailures::default();
        recorded.add(Offset(7), "r", "plugin-deadline");
        recorded.add(Offset(9), "r", STATE_MIGRATION);
        recorded.add(Offset(8), "r", "plugin-trap");
        recorded.add(Offset(8), "other", "plugin-deadline");
        let rows: Vec<(u32, &str)> = recorded.of_rows("r", 6..10).into_iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(rows, [(1, "plugin-deadline"), (3, STATE_MIGRATION)]);
        assert!(recorded.of_rows("unknown", 6..10).is_empty());
    }
}
