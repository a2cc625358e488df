//! Encodes a block of verdicts straight from columns. The hot path: no allocation per event.
//!
//! Layout: version byte, flags byte, catalog, next offset, number of events, the first event's offset and time,
//! the rules as JSON; then per event: offset and time as differences to the event before, key, id, and per rule that
//! judged it `rule + 1`, a byte of parts, and the parts. Lists end with a 0, which is why indexes are stored plus one.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;

use super::{RuleStamp, flags};
use crate::names::Offset;
use crate::rule::Record;
use crate::wire::{put_bytes, put_f64, put_signed, put_varint};

/// The layout's version.
pub(super) const VERSION: u8 = 1;

/// Parts of one rule's say of one event.
pub(super) mod parts {
    pub(crate) const SCORE: u8 = 1;
    pub(crate) const TAGS: u8 = 2;
    pub(crate) const REASONS: u8 = 4;
    pub(crate) const EDGES: u8 = 8;
    pub(crate) const ATTRIBUTES: u8 = 16;
    pub(crate) const INPUTS: u8 = 32;
    pub(crate) const FAILURE: u8 = 64;
    /// Behind all other parts: per edge its facets as a JSON object, or nothing.
    pub(crate) const FACETS: u8 = 128;
}

/// Kinds of input values.
pub(super) mod kinds {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const DOUBLE: u8 = 1;
    pub(crate) const INT: u8 = 2;
    pub(crate) const FALSE: u8 = 3;
    pub(crate) const TRUE: u8 = 4;
    pub(crate) const TEXT: u8 = 5;
    pub(crate) const TIMESTAMP: u8 = 6;
}

/// What stands at the head of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockHead<'a> {
    /// The version of the catalog whose rules speak.
    pub catalog: u64,
    /// All events before this offset are done with this block.
    pub next: Offset,
    /// The rules, as a JSON array of `RuleStamp`: made once per set of rules, see `stamps_json`.
    pub rules: &'a str,
}

/// The events of a batch that could be read, by row, and those that could not.
#[derive(Debug)]
pub struct EventColumns<'a> {
    /// Offsets, rising.
    pub offsets: &'a [u64],
    /// Times, ms since 1970.
    pub times: &'a [i64],
    /// Entities.
    pub keys: &'a StringArray,
    /// Ids, when the stream declares one.
    pub ids: Option<&'a StringArray>,
    /// Events that could not be read: offset, code, message; rising, and none of them in `offsets`.
    pub unreadable: &'a [(u64, &'static str, String)],
}

/// One rule's answer to a batch. `row` in its lists is an index into `rows`, and each list is ordered by it.
#[derive(Debug, Default)]
pub struct RuleRows {
    /// The rows of the batch that the rule judged, rising; none: all rows.
    pub rows: Option<Vec<u32>>,
    /// Per judged row; NaN: no score. Empty: no row has a score.
    pub scores: Vec<f64>,
    /// (row, index into the stamp's tags).
    pub tags: Vec<(u32, u32)>,
    /// (row, index into the stamp's reasons, weight).
    pub reasons: Vec<(u32, u32, f64)>,
    /// Edges.
    pub edges: Vec<EdgeRow>,
    /// (row, index into the stamp's attributes, value).
    pub attributes: Vec<(u32, u32, String)>,
    /// The values that the rule saw, one column per input of the stamp, one value per judged row.
    pub inputs: Vec<ArrayRef>,
    /// Which verdicts keep them.
    pub record: Record,
    /// (row, code, message): rows without a verdict.
    pub failures: Vec<(u32, &'static str, String)>,
    /// Failures are not written: of these rows the rule says nothing.
    pub hides_failures: bool,
}

/// An edge that a row makes.
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
    /// What is kept with it, as a JSON object; empty: nothing.
    pub facets: String,
}

impl RuleStamp {
    /// The rules of a block as its head holds them.
    pub fn stamps_json(stamps: &[std::sync::Arc<RuleStamp>]) -> String {
        let stamps: Vec<&RuleStamp> = stamps.iter().map(std::convert::AsRef::as_ref).collect();
        // A list of structs of texts and numbers always has a JSON form.
        serde_json::to_string(&stamps).unwrap_or_default()
    }
}

/// A block that says nothing of any event, and that all events before `next` are done: it takes the place of one that is
/// lost.
pub fn empty_block(next: Offset) -> Vec<u8> {
    let mut out = vec![VERSION, 0];
    put_varint(&mut out, 0);
    put_varint(&mut out, next.0);
    put_bytes(&mut out, b"[]");
    out
}

/// Appends a block to `out`. `rules[i]` is the answer of the i-th rule of the head. Events of which no rule says
/// anything are left out.
pub fn write_block(out: &mut Vec<u8>, head: &BlockHead<'_>, events: &EventColumns<'_>, rules: &[RuleRows]) {
    let fails = |rule: &RuleRows| !rule.failures.is_empty() && !rule.hides_failures;
    let has_failures = !events.unreadable.is_empty() || rules.iter().any(fails);
    let has_edges = rules.iter().any(|rule| !rule.edges.is_empty());
    out.push(VERSION);
    out.push(if has_failures { flags::FAILURES } else { 0 } | if has_edges { flags::EDGES } else { 0 });
    put_varint(out, head.catalog);
    put_varint(out, head.next.0);
    put_bytes(out, head.rules.as_bytes());
    let mut cursors: Vec<Cursor<'_>> = rules.iter().map(Cursor::new).collect();
    let mut before = Before::default();
    let mut unreadable = events.unreadable.iter().peekable();
    for (row, &offset) in events.offsets.iter().enumerate() {
        while let Some(event) = unreadable.next_if(|event| event.0 < offset) {
            put_unreadable(out, &mut before, event);
        }
        if !cursors.iter().any(|cursor| cursor.is_at(row)) {
            continue;
        }
        before.put(out, offset, events.times[row]);
        put_bytes(out, events.keys.value(row).as_bytes());
        put_bytes(out, events.ids.map_or(&[], |ids| ids.value(row).as_bytes()));
        for (rule, cursor) in cursors.iter_mut().enumerate() {
            if cursor.is_at(row) {
                cursor.put(out, rule as u64 + 1);
            }
        }
        out.push(0);
    }
    for event in unreadable {
        put_unreadable(out, &mut before, event);
    }
}

/// The offset and time of the event before, which the next one's are written against.
#[derive(Default)]
pub(super) struct Before {
    pub(super) offset: u64,
    pub(super) time: i64,
}

impl Before {
    pub(super) fn put(&mut self, out: &mut Vec<u8>, offset: u64, time: i64) {
        put_varint(out, offset - self.offset);
        put_signed(out, time.wrapping_sub(self.time));
        *self = Self { offset, time };
    }
}

fn put_unreadable(out: &mut Vec<u8>, before: &mut Before, (offset, code, message): &(u64, &'static str, String)) {
    let time = before.time;
    before.put(out, *offset, time);
    put_bytes(out, b"");
    put_bytes(out, b"");
    // No rule has the highest index: the event itself is at fault.
    put_varint(out, u64::from(u32::MAX));
    put_bytes(out, code.as_bytes());
    put_bytes(out, message.as_bytes());
    out.push(0);
}

/// Walks one rule's answer row by row.
struct Cursor<'a> {
    answer: &'a RuleRows,
    inputs: Vec<Input<'a>>,
    /// The next judged row, as an index into `rows`.
    next: usize,
    tag: usize,
    reason: usize,
    edge: usize,
    attribute: usize,
    failure: usize,
}

impl<'a> Cursor<'a> {
    fn new(answer: &'a RuleRows) -> Self {
        let inputs = answer.inputs.iter().map(Input::new).collect();
        Self { answer, inputs, next: 0, tag: 0, reason: 0, edge: 0, attribute: 0, failure: 0 }
    }

    fn is_at(&self, row: usize) -> bool {
        match &self.answer.rows {
            None => true,
            Some(rows) => rows.get(self.next).is_some_and(|next| *next as usize == row),
        }
    }

    fn put(&mut self, out: &mut Vec<u8>, rule: u64) {
        let row = self.next as u32;
        let before = out.len();
        put_varint(out, rule);
        let at = out.len();
        out.push(0);
        let mut present = 0;
        let failure = self.answer.failures.get(self.failure).filter(|failure| failure.0 == row);
        if let Some((_, code, message)) = failure {
            present |= parts::FAILURE;
            put_bytes(out, code.as_bytes());
            put_bytes(out, message.as_bytes());
            self.failure += 1;
        }
        if let Some(score) = self.answer.scores.get(self.next).filter(|score| !score.is_nan()) {
            present |= parts::SCORE;
            put_f64(out, *score);
        }
        let edges = self.edge;
        present |= self.put_lists(out, row);
        let is_recorded = match self.answer.record {
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
        let edges = &self.answer.edges[edges..self.edge];
        if edges.iter().any(|edge| !edge.facets.is_empty()) {
            present |= parts::FACETS;
            edges.iter().for_each(|edge| put_bytes(out, edge.facets.as_bytes()));
        }
        out[at] = present;
        if failure.is_some() && self.answer.hides_failures {
            out.truncate(before);
        }
        self.next += 1;
    }

    fn put_lists(&mut self, out: &mut Vec<u8>, row: u32) -> u8 {
        let RuleRows { tags, reasons, edges, attributes, .. } = self.answer;
        let mut present = 0;
        if put_list(out, tags, &mut self.tag, |tag| (tag.0 == row).then_some(tag.1), |_, _| ()) {
            present |= parts::TAGS;
        }
        let weight = |out: &mut Vec<u8>, reason: &(u32, u32, f64)| put_f64(out, reason.2);
        if put_list(out, reasons, &mut self.reason, |reason| (reason.0 == row).then_some(reason.1), weight) {
            present |= parts::REASONS;
        }
        let nodes = |out: &mut Vec<u8>, edge: &EdgeRow| {
            put_bytes(out, edge.source.as_bytes());
            put_bytes(out, edge.target.as_bytes());
        };
        if put_list(out, edges, &mut self.edge, |edge| (edge.row == row).then_some(edge.name), nodes) {
            present |= parts::EDGES;
        }
        let value = |out: &mut Vec<u8>, attribute: &(u32, u32, String)| put_bytes(out, attribute.2.as_bytes());
        if put_list(out, attributes, &mut self.attribute, |a| (a.0 == row).then_some(a.1), value) {
            present |= parts::ATTRIBUTES;
        }
        present
    }
}

/// Appends the items that belong to the row, then a 0; nothing if there are none. Returns whether there were.
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
    let any = *next > first;
    if any {
        out.push(0);
    }
    any
}

/// An input's column, its type found once per batch.
enum Input<'a> {
    Doubles(&'a Float64Array),
    Ints(&'a Int64Array),
    Bools(&'a BooleanArray),
    Texts(&'a StringArray),
    Times(&'a arrow_array::TimestampMillisecondArray),
    Durations(&'a arrow_array::DurationMillisecondArray),
    /// A list or another type that verdicts do not keep.
    Other,
}

impl<'a> Input<'a> {
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
