//! Failures that stand in the verdicts log. Recovery takes them from there instead of calling the plugin for these
//! rows: a call that ran out of time would take all of that time again at each recovery, and might end in time once, so
//! that the state would be another one than the verdicts tell of.

use std::collections::{BTreeMap, HashMap};

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;
use assay_core::recorded_failure_code::RecordedFailureCode;
use assay_core::verdict::{FailedRow, HiddenFailedRow};

/// The codes of failures that are taken from the log: those that depend on limits of time and memory. Other failures
/// are the same again when the plugin is called again.
const TAKEN_FROM_LOG: [FailureCode; 3] =
    [FailureCode::PluginDeadline, FailureCode::PluginOutOfMemory, FailureCode::StateMigration];

/// Which rules failed on which events.
#[derive(Debug, Default)]
pub(crate) struct RecordedFailures {
    by_rule: HashMap<String, BTreeMap<Offset, FailureCode>>,
}

impl RecordedFailures {
    /// Notes that a rule failed on an event, if that failure is one to be taken from the log.
    pub(crate) fn add(&mut self, offset: Offset, rule: &str, code: &RecordedFailureCode) {
        let Some(code) = TAKEN_FROM_LOG.into_iter().find(|taken| *code == *taken) else { return };
        match self.by_rule.get_mut(rule) {
            Some(failures) => drop(failures.insert(offset, code)),
            None => drop(self.by_rule.insert(rule.to_owned(), BTreeMap::from([(offset, code)]))),
        }
    }

    /// The failures among some that are to be taken from the log.
    pub(super) fn select(failures: &[FailedRow]) -> Vec<HiddenFailedRow> {
        let taken = failures.iter().filter(|failure| TAKEN_FROM_LOG.contains(&failure.code));
        taken.map(|failure| HiddenFailedRow { row: failure.row, code: failure.code }).collect()
    }

    /// The failures of a rule on rows with these offsets, by row.
    pub(super) fn of_rows(&self, rule: &str, offsets: impl Iterator<Item = u64>) -> Vec<FailedRow> {
        let Some(failures) = self.by_rule.get(rule) else { return Vec::new() };
        let failure = |(row, offset): (u32, u64)| {
            let code = *failures.get(&Offset(offset))?;
            Some(FailedRow { row, code, message: "the verdicts log has this failure".to_owned() })
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
        assert!(
            exhausted
                .iter()
                .all(|error| error.is_exhaustion() && error.code().is_some_and(|code| TAKEN_FROM_LOG.contains(&code)))
        );
        let mut recorded = RecordedFailures::default();
        recorded.add(Offset(7), "r", &FailureCode::PluginDeadline.into());
        recorded.add(Offset(9), "r", &FailureCode::StateMigration.into());
        recorded.add(Offset(8), "r", &FailureCode::PluginTrap.into());
        recorded.add(Offset(6), "r", &RecordedFailureCode::Other("of-a-newer-version".to_owned()));
        recorded.add(Offset(8), "other", &FailureCode::PluginDeadline.into());
        let rows: Vec<_> = recorded.of_rows("r", 6..10).into_iter().map(|failed| (failed.row, failed.code)).collect();
        assert_eq!(rows, [(1, FailureCode::PluginDeadline), (3, FailureCode::StateMigration)]);
        assert!(recorded.of_rows("unknown", 6..10).is_empty());
    }
}
