//! Encodes JSON events to Avro, in one pass and without an intermediate tree.
//!
//! The accepted JSON: fields in any order; absent fields where the schema has a default or allows null; unions bare
//! (`"x"`) or in Avro's tagged form (`{"string": "x"}`); enums by symbol; bytes and fixed as text of the characters
//! U+0000 to U+00FF; timestamps as epoch milliseconds in any unit of the schema, or as RFC 3339 text; other logical
//! types as their usual text; whole numbers also as `3.0`.

mod buffered;
mod number;
mod object;
mod scalar;
mod union;
mod value;

use serde::de::DeserializeSeed;

use self::number::NumberTexts;
use self::value::ValueSeed;
use super::error::EventError;
use super::node::Node;
use super::walk::join_trail;
use super::{MAX_EVENT_BYTES, MAX_EVENT_ITEMS, Schema};
use crate::plain_words::in_plain_words;

/// Encodes JSON events of one schema. It is made once and used for many events, because it reuses its buffers.
#[derive(Debug)]
pub struct Encoder {
    schema: Schema,
    scratch: Scratch,
}

impl Encoder {
    /// An encoder for a schema.
    pub fn new(schema: &Schema) -> Self {
        Self { schema: schema.clone(), scratch: Scratch::default() }
    }

    /// Appends the Avro bytes of one JSON object to `out`. On an error `out` is unchanged.
    ///
    /// # Errors
    /// The text is no JSON, does not fit the schema, or is larger than [`MAX_EVENT_BYTES`] as Avro.
    pub fn encode(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), EventError> {
        // UTF-8 is checked once for the whole input: serde_json would check each text of a slice separately.
        let json = std::str::from_utf8(json).map_err(|error| EventError::Syntax {
            path: String::new(),
            message: format!("it is not UTF-8: the byte at {} begins no character", error.valid_up_to()),
        })?;
        let mut parser = serde_json::Deserializer::from_str(json);
        self.write(NumberTexts::new(Some(json)), out, |seed| {
            seed.deserialize(&mut parser)?;
            parser.end()
        })
    }

    /// [`Encoder::encode`] for JSON that has been parsed already.
    ///
    /// # Errors
    /// The value does not fit the schema, or is larger than [`MAX_EVENT_BYTES`] as Avro.
    pub fn encode_value(&mut self, json: &serde_json::Value, out: &mut Vec<u8>) -> Result<(), EventError> {
        self.write(NumberTexts::new(None), out, |seed| seed.deserialize(json))
    }

    fn write(
        &mut self,
        numbers: NumberTexts<'_>,
        out: &mut Vec<u8>,
        run: impl FnOnce(ValueSeed<'_, '_, '_>) -> serde_json::Result<()>,
    ) -> Result<(), EventError> {
        let start = out.len();
        self.scratch.reset();
        let mut writer = Writer { out, scratch: &mut self.scratch, numbers };
        let result = run(ValueSeed { node: self.schema.root(), writer: &mut writer });
        let result = result.map_err(|error| self.scratch.event_error(&error));
        let length = out.len() - start;
        let result = match result {
            Ok(()) if length > MAX_EVENT_BYTES => Err(EventError::TooLarge(length)),
            result => result,
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

/// The Avro bytes of a field's default, in which logical types are written as their underlying types.
pub(super) fn encode_default(node: &Node, json: &serde_json::Value) -> Result<Vec<u8>, EventError> {
    let mut out = Vec::new();
    let mut scratch = Scratch { is_raw: true, ..Scratch::default() };
    scratch.reset();
    let mut writer = Writer { out: &mut out, scratch: &mut scratch, numbers: NumberTexts::new(None) };
    let result = ValueSeed { node, writer: &mut writer }.deserialize(json);
    result.map_err(|error| scratch.event_error(&error))?;
    Ok(out)
}

/// The branch of a union for a JSON value without a tag.
pub(super) fn find_bare_branch(branches: &[Node], value: &serde_json::Value) -> Option<usize> {
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    let mut writer = Writer { out: &mut out, scratch: &mut scratch, numbers: NumberTexts::new(None) };
    union::find_bare_branch(branches, value, &mut writer)
}

/// The most second readings of objects in one event, as tagged and as bare. Without a bound the time could double with
/// each level of nesting.
const MAX_RETRIES: usize = 16;

/// The output and the state of one encoding.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    scratch: &'o mut Scratch,
    numbers: NumberTexts<'o>,
}

/// A state of the writer that `rewind` returns to.
struct WriterMark<'o> {
    out: usize,
    spans: usize,
    items_left: usize,
    depth: usize,
    numbers: NumberTexts<'o>,
}

/// State and buffers that are reused for each event.
#[derive(Debug, Default)]
struct Scratch {
    /// The bytes of each field of the open records in `out`: one frame per record, the innermost last.
    spans: Vec<ByteRange>,
    /// A buffer for a record whose fields are being reordered.
    reordered: Vec<u8>,
    /// The path to a problem, innermost name first. It is filled while an error is passed up.
    trail: Vec<String>,
    problem: Option<EncodeProblem>,
    /// True for defaults: logical types are written as their underlying types.
    is_raw: bool,
    /// The number of items of arrays and maps that may still follow.
    items_left: usize,
    /// The number of objects and arrays that are open around the innermost recursive record.
    depth: usize,
    retries_left: usize,
}

/// The range of one field's bytes in the output.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ByteRange {
    start: usize,
    end: usize,
}

/// A problem without its path.
#[derive(Debug)]
enum EncodeProblem {
    Mismatch { expected: String, found: String },
    Unknown { suggestion: Option<String> },
    Missing,
    Duplicate,
    TooManyItems,
    TooDeep,
}

impl Scratch {
    fn reset(&mut self) {
        self.spans.clear();
        self.trail.clear();
        self.problem = None;
        self.items_left = MAX_EVENT_ITEMS;
        self.depth = 0;
        self.retries_left = MAX_RETRIES;
    }

    #[cold]
    fn event_error(&mut self, error: &serde_json::Error) -> EventError {
        let path = join_trail(&self.trail);
        match self.problem.take() {
            None => EventError::Syntax { path, message: in_plain_words(&error.to_string()) },
            Some(EncodeProblem::Mismatch { expected, found }) => EventError::Mismatch { path, expected, found },
            Some(EncodeProblem::Unknown { suggestion }) => EventError::Unknown { path, suggestion },
            Some(EncodeProblem::Missing) => EventError::Missing(path),
            Some(EncodeProblem::Duplicate) => EventError::Duplicate(path),
            Some(EncodeProblem::TooManyItems) => EventError::TooManyItems,
            Some(EncodeProblem::TooDeep) => EventError::TooDeep,
        }
    }
}

impl<'o> Writer<'o> {
    fn mark(&self) -> WriterMark<'o> {
        let (out, spans) = (self.out.len(), self.scratch.spans.len());
        let (items_left, depth) = (self.scratch.items_left, self.scratch.depth);
        WriterMark { out, spans, items_left, depth, numbers: self.numbers }
    }

    /// Returns to a mark. Takes the problem that occurred since, with its path.
    fn rewind(&mut self, mark: &WriterMark<'o>) -> (Option<EncodeProblem>, Vec<String>) {
        self.out.truncate(mark.out);
        self.scratch.spans.truncate(mark.spans);
        (self.scratch.items_left, self.scratch.depth) = (mark.items_left, mark.depth);
        self.numbers = mark.numbers;
        (self.scratch.problem.take(), std::mem::take(&mut self.scratch.trail))
    }

    /// Sets a problem that `rewind` took.
    fn restore(&mut self, (problem, trail): (Option<EncodeProblem>, Vec<String>)) {
        (self.scratch.problem, self.scratch.trail) = (problem, trail);
    }

    /// Counts a second reading; false if there were `MAX_RETRIES` already.
    fn may_retry(&mut self) -> bool {
        let left = self.scratch.retries_left.checked_sub(1);
        self.scratch.retries_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Keeps the problem here and returns a serde error without content, because serde's errors carry only text.
    #[cold]
    fn fail<E: serde::de::Error>(&mut self, problem: EncodeProblem) -> E {
        self.scratch.problem = Some(problem);
        E::custom("")
    }

    /// Adds a name to the path of a problem.
    #[cold]
    fn push_trail(&mut self, name: &str) {
        self.scratch.trail.push(name.to_owned());
    }

    /// Appends an Avro long: zigzag, then seven bits a byte.
    #[inline]
    fn put_long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    #[inline]
    fn put_bytes(&mut self, value: &[u8]) {
        // A slice's length fits an i64.
        self.put_long(value.len() as i64);
        self.out.extend_from_slice(value);
    }

    /// Counts an item of an array or a map; false if there are too many.
    fn count_item(&mut self) -> bool {
        let left = self.scratch.items_left.checked_sub(1);
        self.scratch.items_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Ends an array or map whose items begin at `start`: inserts their count there.
    fn close_blocks(&mut self, start: usize, items: usize) {
        if items > 0 {
            let end = self.out.len();
            self.put_long(items as i64);
            let count_bytes = self.out.len() - end;
            self.out[start..].rotate_right(count_bytes);
        }
        self.out.push(0);
    }
}
