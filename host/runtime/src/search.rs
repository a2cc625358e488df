//! A batch in parts: those that the instance's pace asks for, and, where a part fails, halves of it until each row that
//! fails stands alone.

use std::ops::Range;

use crate::batch::Batch;
use crate::cut::Part;
use crate::error::{ScoreError, Unfinished};
use crate::instance::Instance;
use crate::states::States;
use crate::verdicts::{RowFailure, Scored, Verdicts};

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest failed on these rows.
    Batch(ScoreError),
    /// The guest could not be started again: no row can be blamed, and none can be scored.
    Start(ScoreError),
    /// Somebody wanted the call to stop: nothing is known of its rows.
    Interrupted,
}

/// Scores a batch that failed as a whole: exactly the rows that fail alone are set aside.
///
/// Halves are scored in order, the second with the states that the first left, so every row sees what it would have
/// seen in any other batch.
pub(crate) fn set_aside_failing_rows(
    instance: &mut Instance,
    batch: &Batch<'_>,
    failure: Failure,
) -> Result<Scored, Unfinished> {
    let mut search = Search::new(instance, batch);
    search.divide(0..batch.rows, failure)?;
    Ok(search.finish())
}

/// Scores a batch that is too long for one call.
pub(crate) fn score_in_parts(instance: &mut Instance, batch: &Batch<'_>) -> Result<Scored, Unfinished> {
    let mut search = Search::new(instance, batch);
    search.score_in_order(0..batch.rows)?;
    Ok(search.finish())
}

struct Search<'s, 'b> {
    instance: &'s mut Instance,
    batch: &'s Batch<'b>,
    /// Per entity of the batch, its state if a row has changed it.
    states: Vec<Option<Vec<u8>>>,
    verdicts: Verdicts,
    failures: Vec<RowFailure>,
    /// True when a row alone has passed its deadline: dividing parts again and again would cost one more at each step.
    is_single: bool,
}

impl<'s, 'b> Search<'s, 'b> {
    fn new(instance: &'s mut Instance, batch: &'s Batch<'b>) -> Self {
        let states = vec![None; batch.states.len()];
        let (verdicts, failures) = (Verdicts::default(), Vec::new());
        Self { instance, batch, states, verdicts, failures, is_single: false }
    }

    fn score_in_order(&mut self, rows: Range<u32>) -> Result<(), Unfinished> {
        let mut start = rows.start;
        while start < rows.end {
            let most = if self.is_single { 1 } else { self.instance.rows_per_call() };
            let end = rows.end.min(start.saturating_add(most));
            self.score(start..end)?;
            start = end;
        }
        Ok(())
    }

    fn score(&mut self, rows: Range<u32>) -> Result<(), Unfinished> {
        if let Some(overrun) = self.instance.overrun() {
            return Err(overrun);
        }
        let part = Part::cut(self.batch, rows.clone(), &self.states);
        match self.instance.attempt(&part.batch(self.batch)) {
            Ok((verdicts, states)) => {
                self.verdicts.append(verdicts, rows.start);
                for (index, &entity) in part.entities().iter().enumerate() {
                    self.states[entity as usize] = Some(states.get(index).to_vec());
                }
                Ok(())
            }
            Err(failure) => self.divide(rows, failure),
        }
    }

    /// Goes on with rows that failed together.
    fn divide(&mut self, rows: Range<u32>, failure: Failure) -> Result<(), Unfinished> {
        match failure {
            Failure::Interrupted => Err(Unfinished::Interrupted),
            Failure::Start(error) => {
                rows.for_each(|row| self.set_aside(row, error.clone()));
                Ok(())
            }
            Failure::Batch(error) if rows.len() == 1 => {
                self.is_single |= matches!(error, ScoreError::Deadline { .. });
                self.set_aside(rows.start, error);
                Ok(())
            }
            Failure::Batch(_) => {
                let middle = rows.start + (rows.end - rows.start) / 2;
                self.score_in_order(rows.start..middle)?;
                self.score_in_order(middle..rows.end)
            }
        }
    }

    fn set_aside(&mut self, row: u32, error: ScoreError) {
        self.verdicts.scores.push(f64::NAN);
        self.failures.push(RowFailure { row, error });
    }

    fn finish(self) -> Scored {
        let mut states = States::default();
        for (entity, state) in self.states.iter().enumerate() {
            states.push(state.as_deref().unwrap_or_else(|| self.batch.states.get(entity)));
        }
        Scored { verdicts: self.verdicts, states, failures: self.failures, ..Scored::default() }
    }
}
