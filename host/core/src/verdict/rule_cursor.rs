//! Encodes the verdicts of one rule, row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;

use super::format::{kinds, parts};
use super::rows::{AttributeRow, EdgeRow, FailedRow, ReasonRow, RuleRows};
use crate::rule::Record;
use crate::wire::{put_bytes, put_f64, put_signed, put_varint};

/// A position in one rule's verdicts, which advances row by row.
pub(super) struct RuleCursor<'a> {
    verdicts: &'a RuleRows,
    inputs: Vec<InputColumn<'a>>,
    /// The next scored row, as an index into `rows`.
    next: usize,
    tag: usize,
    reason: usize,
    edge: usize,
    attribute: usize,
    failure: usize,
}

impl<'a> RuleCursor<'a> {
    pub(super) fn new(verdicts: &'a RuleRows) -> Self {
        let inputs = verdicts.inputs.iter().map(InputColumn::new).collect();
        Self { verdicts, inputs, next: 0, tag: 0, reason: 0, edge: 0, attribute: 0, failure: 0 }
    }

    /// True if the rule scored the row, which must be the next one or one before it.
    pub(super) fn is_at(&self, row: usize) -> bool {
        match &self.verdicts.rows {
            None => true,
            Some(rows) => rows.get(self.next).is_some_and(|next| *next as usize == row),
        }
    }

    /// Appends the verdict or failure of the next scored row; nothing if it failed and failures are hidden.
    pub(super) fn put_row(&mut self, out: &mut Vec<u8>, rule: u64) {
        let row = self.next as u32;
        let before = out.len();
        put_varint(out, rule);
        let at = out.len();
        out.push(0);
        let mut present = 0;
        let failure = self.verdicts.failures.get(self.failure).filter(|failure| failure.row == row);
        if let Some(FailedRow { code, message, .. }) = failure {
            present |= parts::FAILURE;
            put_bytes(out, code.as_str().as_bytes());
            put_bytes(out, message.as_bytes());
            self.failure += 1;
        }
        if let Some(score) = self.verdicts.scores.get(self.next).filter(|score| !score.is_nan()) {
            present |= parts::SCORE;
            put_f64(out, *score);
        }
        let edges = self.edge;
        present |= self.put_lists(out, row);
        let is_recorded = match self.verdicts.record {
            Record::All => true,
            Record::Tagged => present & parts::TAGS != 0,
            Record::None => false,
        };
        if !self.inputs.is_empty() && is_recorded {
            present |= parts::INPUTS;
            for input in &self.inputs {
                input.put(out, self.next);
            }
        }
        let edges = &self.verdicts.edges[edges..self.edge];
        if edges.iter().any(|edge| !edge.facets.is_empty()) {
            present |= parts::FACETS;
            edges.iter().for_each(|edge| put_bytes(out, edge.facets.as_bytes()));
        }
        out[at] = present;
        if failure.is_some() && self.verdicts.hides_failures {
            out.truncate(before);
        }
        self.next += 1;
    }

    /// Appends the lists of a row. Returns the flags of those that are not empty.
    fn put_lists(&mut self, out: &mut Vec<u8>, row: u32) -> u8 {
        let RuleRows { tags, reasons, edges, attributes, .. } = self.verdicts;
        let mut present = 0;
        if put_list(out, tags, &mut self.tag, |tag| (tag.row == row).then_some(tag.name), |_, _| ()) {
            present |= parts::TAGS;
        }
        let weight = |out: &mut Vec<u8>, reason: &ReasonRow| put_f64(out, reason.weight);
        if put_list(out, reasons, &mut self.reason, |reason| (reason.row == row).then_some(reason.code), weight) {
            present |= parts::REASONS;
        }
        let nodes = |out: &mut Vec<u8>, edge: &EdgeRow| {
            put_bytes(out, edge.source.as_bytes());
            put_bytes(out, edge.target.as_bytes());
        };
        if put_list(out, edges, &mut self.edge, |edge| (edge.row == row).then_some(edge.name), nodes) {
            present |= parts::EDGES;
        }
        let value = |out: &mut Vec<u8>, attribute: &AttributeRow| put_bytes(out, attribute.value.as_bytes());
        if put_list(out, attributes, &mut self.attribute, |a| (a.row == row).then_some(a.name), value) {
            present |= parts::ATTRIBUTES;
        }
        present
    }
}

/// Appends the items of the row, then a 0; nothing if there are none. Returns true if there were some.
fn put_list<T>(
    out: &mut Vec<u8>,
    items: &[T],
    next: &mut usize,
    name_in_row: impl Fn(&T) -> Option<u32>,
    put_rest: impl Fn(&mut Vec<u8>, &T),
) -> bool {
    let first = *next;
    while let Some((item, name)) = items.get(*next).and_then(|item| Some((item, name_in_row(item)?))) {
        put_varint(out, u64::from(name) + 1);
        put_rest(out, item);
        *next += 1;
    }

    let has_items = *next > first;
    if has_items {
        out.push(0);
    }
    has_items
}

/// A column of an input. The type is matched once per batch, not per row.
enum InputColumn<'a> {
    Doubles(&'a Float64Array),
    Ints(&'a Int64Array),
    Bools(&'a BooleanArray),
    Texts(&'a StringArray),
    Times(&'a arrow_array::TimestampMillisecondArray),
    Durations(&'a arrow_array::DurationMillisecondArray),
    /// A list or another type that verdicts do not record.
    Other,
}

impl<'a> InputColumn<'a> {
    fn new(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Float64 => Self::Doubles(column.as_primitive::<Float64Type>()),
            DataType::Int64 => Self::Ints(column.as_primitive::<Int64Type>()),
            DataType::Boolean => Self::Bools(column.as_boolean()),
            DataType::Utf8 => Self::Texts(column.as_string::<i32>()),
            DataType::Timestamp(..) => Self::Times(column.as_primitive::<TimestampMillisecondType>()),
            DataType::Duration(_) => Self::Durations(column.as_primitive::<DurationMillisecondType>()),
            _ => Self::Other,
        }
    }

    fn put(&self, out: &mut Vec<u8>, row: usize) {
        match self {
            Self::Doubles(column) if column.is_valid(row) => {
                out.push(kinds::DOUBLE);
                put_f64(out, column.value(row));
            }
            Self::Ints(column) if column.is_valid(row) => {
                out.push(kinds::INT);
                put_signed(out, column.value(row));
            }
            Self::Bools(column) if column.is_valid(row) => {
                out.push(if column.value(row) { kinds::TRUE } else { kinds::FALSE });
            }
            Self::Texts(column) if column.is_valid(row) => {
                out.push(kinds::TEXT);
                put_bytes(out, column.value(row).as_bytes());
            }
            Self::Times(column) if column.is_valid(row) => {
                out.push(kinds::TIMESTAMP);
                put_signed(out, column.value(row));
            }
            Self::Durations(column) if column.is_valid(row) => {
                out.push(kinds::INT);
                put_signed(out, column.value(row));
            }
            _ => out.push(kinds::NULL),
        }
    }
}
