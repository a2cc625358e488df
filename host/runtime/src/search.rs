//! The search for the rows on which a plugin fails: the batch is cut in halves until each of them stands alone.

use std::ops::Range;

use crate::batch::Batch;
use crate::cut::Part;
use crate::error::ScoreError;
use crate::instance::{Failure, Instance};
use crate::states::States;
use crate::verdicts::{RowFailure, Scored, Verdicts};

/// Scores a batch that failed as a whole: exactly the rows that fail alone are set aside.
///
/// Halves are scored in order, the second with the states that the first left, so every row sees what it would have
/// seen in any other batch.
pub(crate) fn set_aside_failing_rows(instance: &mut Instance, batch: &Batch<'_>, failure: Failure) -> Scored {
    let mut search = Search {
        instance,
        batch,
        states: vec![None; batch.states.len()],
        verdicts: Verdicts::default(),
        failures: Vec::new(),
    };
    search.divide(0..batch.rows, failure);
    search.finish()
}

struct Search<'s, 'b> {
    instance: &'s mut Instance,
    batch: &'s Batch<'b>,
    /// Per entity of the batch, its state if a row has changed it.
    states: Vec<Option<Vec<u8>>>,
    verdicts: Verdicts,
    failures: Vec<RowFailure>,
}

impl Search<'_, '_> {
    fn score(&mut self, rows: Range<u32>) {
        let part = Part::cut(self.batch, rows.clone(), &self.states);
        match self.instance.attempt(&part.batch(self.batch)) {
            Ok((verdicts, states)) => {
                self.verdicts.append(verdicts, rows.start);
                for (index, &entity) in part.entities().iter().enumerate() {
                    self.states[entity as usize] = Some(states.get(index).to_vec());
                }
            }
            Err(failure) => self.divide(rows, failure),
        }
    }

    /// Goes on with rows that failed together.
    fn divide(&mut self, rows: Range<u32>, failure: Failure) {
        match failure {
            Failure::Start(error) => rows.for_each(|row| self.set_aside(row, error.clone())),
            Failure::Batch(error) if rows.len() == 1 => self.set_aside(rows.start, error),
            Failure::Batch(_) => {
                let middle = rows.start + (rows.end - rows.start) / 2;
                self.score(rows.start..middle);
                self.score(middle..rows.end);
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
