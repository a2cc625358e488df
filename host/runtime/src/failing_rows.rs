//! Scores a batch in parts. The instance's pace decides their size; a part that fails is halved until each failing row
//! is alone.

use std::ops::Range;

use crate::batch::Batch;
use crate::batch_slice::BatchSlice;
use crate::error::{ScoreError, Unfinished};
use crate::instance::Instance;
use crate::states::States;
use crate::verdicts::{RowFailure, Scored, Verdicts};

/// The reason why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest failed on these rows.
    Batch(ScoreError),
    /// The guest could not be restarted. No row is the cause, and none can be scored.
    Start(ScoreError),
    /// The call was interrupted. Its rows are neither scored nor failed.
    Interrupted,
}

/// Scores a batch that failed as a whole. Exactly the rows that fail alone are reported as failures.
///
/// Halves are scored in order, the second with the states that the first left. So each row sees the same states as in
/// any other batch.
pub(crate) fn score_around_failing_rows(
    instance: &mut Instance,
    batch: &Batch<'_>,
    failure: Failure,
) -> Result<Scored, Unfinished> {
    let mut search = FailingRowSearch::new(instance, batch);
    search.divide_failed(0..batch.rows, failure)?;
    Ok(search.finish())
}

/// Scores a batch that is too long for one call.
pub(crate) fn score_in_parts(instance: &mut Instance, batch: &Batch<'_>) -> Result<Scored, Unfinished> {
    let mut search = FailingRowSearch::new(instance, batch);
    search.score_in_order(0..batch.rows)?;
    Ok(search.finish())
}

struct FailingRowSearch<'s, 'b> {
    instance: &'s mut Instance,
    batch: &'s Batch<'b>,
    /// Per entity of the batch, its state if a row has changed it.
    states: Vec<Option<Vec<u8>>>,
    verdicts: Verdicts,
    failures: Vec<RowFailure>,
    /// True after a single row has passed its deadline: further halving would cost another deadline at each step.
    is_row_by_row: bool,
}

impl<'s, 'b> FailingRowSearch<'s, 'b> {
    fn new(instance: &'s mut Instance, batch: &'s Batch<'b>) -> Self {
        let states = vec![None; batch.states.len()];
        let (verdicts, failures) = (Verdicts::default(), Vec::new());
        Self { instance, batch, states, verdicts, failures, is_row_by_row: false }
    }

    fn score_in_order(&mut self, rows: Range<u32>) -> Result<(), Unfinished> {
        let mut start = rows.start;
        while start < rows.end {
            let max_rows = if self.is_row_by_row { 1 } else { self.instance.rows_per_call() };
            let end = rows.end.min(start.saturating_add(max_rows));
            self.score(start..end)?;
            start = end;
        }
        Ok(())
    }

    fn score(&mut self, rows: Range<u32>) -> Result<(), Unfinished> {
        if let Some(overrun) = self.instance.check_batch_time() {
            return Err(overrun);
        }
        let part = BatchSlice::new(self.batch, rows.clone(), &self.states);
        match self.instance.score_with_retry(&part.as_batch(self.batch)) {
            Ok((verdicts, states)) => {
                self.verdicts.append(verdicts, rows.start);
                for (index, &entity) in part.entities().iter().enumerate() {
                    self.states[entity as usize] = Some(states.get(index).to_vec());
                }
                Ok(())
            }
            Err(failure) => self.divide_failed(rows, failure),
        }
    }

    /// Divides rows that failed together, or records the failure of a single row.
    fn divide_failed(&mut self, rows: Range<u32>, failure: Failure) -> Result<(), Unfinished> {
        match failure {
            Failure::Interrupted => Err(Unfinished::Interrupted),
            Failure::Start(error) => {
                rows.for_each(|row| self.fail_row(row, error.clone()));
                Ok(())
            }
            Failure::Batch(error) if rows.len() == 1 => {
                self.is_row_by_row |= matches!(error, ScoreError::Deadline { .. });
                self.fail_row(rows.start, error);
                Ok(())
            }
            Failure::Batch(_) => {
                let middle = rows.start + (rows.end - rows.start) / 2;
                self.score_in_order(rows.start..middle)?;
                self.score_in_order(middle..rows.end)
            }
        }
    }

    fn fail_row(&mut self, row: u32, error: ScoreError) {
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
