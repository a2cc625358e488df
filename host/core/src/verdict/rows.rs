//! The input of [`write_block`](super::write_block): the events of a batch, and the verdicts of each rule in columns.

use arrow_array::{ArrayRef, StringArray};

use super::RuleStamp;
use crate::names::Offset;
use crate::rule::Record;

/// The head of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockHead<'a> {
    /// The version of the catalog whose rules scored the batch.
    pub catalog: u64,
    /// The first event that the block scores.
    pub from: Offset,
    /// The event after the last one that the block scores.
    pub next: Offset,
    /// The rules, as a JSON array of `RuleStamp`. It is made once per set of rules by `stamps_json`.
    pub rules: &'a str,
}

/// The events of a batch: those that could be read, by row, and those that could not.
#[derive(Debug)]
pub struct EventColumns<'a> {
    /// Offsets, ascending.
    pub offsets: &'a [u64],
    /// Times, ms since 1970.
    pub times: &'a [i64],
    /// Entities.
    pub keys: &'a StringArray,
    /// Ids, if the stream declares one.
    pub ids: Option<&'a StringArray>,
    /// Events that could not be read: offset, code, message. Ascending, and none of them is in `offsets`.
    pub unreadable: &'a [(u64, &'static str, String)],
}

/// The verdicts of one rule on a batch. `row` in its lists is an index into `rows`, and each list is ordered by it.
#[derive(Debug, Default)]
pub struct RuleRows {
    /// The rows of the batch that the rule scored, ascending; none: all rows.
    pub rows: Option<Vec<u32>>,
    /// Per scored row; NaN: no score. Empty: no row has a score.
    pub scores: Vec<f64>,
    /// (row, index into the stamp's tags).
    pub tags: Vec<(u32, u32)>,
    /// (row, index into the stamp's reasons, weight).
    pub reasons: Vec<(u32, u32, f64)>,
    /// Edges.
    pub edges: Vec<EdgeRow>,
    /// (row, index into the stamp's attributes, value).
    pub attributes: Vec<(u32, u32, String)>,
    /// The values of the rule's inputs: one column per input of the stamp, one value per scored row.
    pub inputs: Vec<ArrayRef>,
    /// Selects the verdicts that record the inputs.
    pub record: Record,
    /// (row, code, message): rows without a verdict.
    pub failures: Vec<(u32, &'static str, String)>,
    /// True if failures are not written as outcomes, so that failed rows have no outcome of the rule.
    pub hides_failures: bool,
    /// (row, code): hidden failures that recovery has to know of, a part of `failures`.
    pub hidden_failures: Vec<(u32, &'static str)>,
}

/// An edge that a row adds.
#[derive(Clone, Debug, Default)]
pub struct EdgeRow {
    /// The row.
    pub row: u32,
    /// Its name, as an index into the stamp's edges.
    pub name: u32,
    /// Where it begins.
    pub source: String,
    /// Where it ends.
    pub target: String,
    /// Its facets as a JSON object; empty: none.
    pub facets: String,
}

impl RuleStamp {
    /// The rules of a block in the form of its head.
    pub fn stamps_json(stamps: &[std::sync::Arc<RuleStamp>]) -> String {
        let stamps: Vec<&RuleStamp> = stamps.iter().map(std::convert::AsRef::as_ref).collect();
        // Serialization of structs of texts and numbers to JSON cannot fail.
        serde_json::to_string(&stamps).unwrap_or_default()
    }
}
