//! The rows of a batch that one rule judges: how they are chosen, and how columns are cut down to them.

use arrow_array::{ArrayRef, BooleanArray};
use arrow_select::filter::{FilterBuilder, FilterPredicate};

/// The rows of a batch that one rule judges.
pub(super) enum JudgedRows {
    /// All rows.
    All(usize),
    /// Some of them.
    Some {
        /// Their indexes, rising.
        rows: Vec<u32>,
        /// Cuts a column down to them.
        predicate: FilterPredicate,
    },
}

impl JudgedRows {
    /// Those that a filter passes; it has no nulls.
    pub(super) fn by(filter: &BooleanArray) -> Self {
        let count = filter.true_count();
        if count == filter.len() {
            return Self::All(count);
        }
        let rows = filter.values().set_indices().map(|row| row as u32).collect();
        let predicate = FilterBuilder::new(filter).optimize().build();
        Self::Some { rows, predicate }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::All(rows) => *rows,
            Self::Some { rows, .. } => rows.len(),
        }
    }

    /// The batch's row of the i-th judged row.
    pub(super) fn row(&self, judged: usize) -> usize {
        match self {
            Self::All(_) => judged,
            Self::Some { rows, .. } => rows[judged] as usize,
        }
    }

    /// Cuts columns down to the judged rows, those of the given slots only; the others are left out of use.
    pub(super) fn select_columns(&self, columns: &[ArrayRef], slots: impl Iterator<Item = usize>) -> Vec<ArrayRef> {
        let mut select_columns = columns.to_vec();
        if let Self::Some { predicate, .. } = self {
            for slot in slots {
                // A predicate of the batch's length fits every column of the batch.
                if let Ok(column) = predicate.filter(&columns[slot]) {
                    select_columns[slot] = column;
                }
            }
        }
        select_columns
    }

    /// The rows as verdicts take them: none for all.
    pub(super) fn into_rows(self) -> Option<Vec<u32>> {
        match self {
            Self::All(_) => None,
            Self::Some { rows, .. } => Some(rows),
        }
    }
}
