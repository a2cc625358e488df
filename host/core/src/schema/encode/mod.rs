//! JSON events into Avro, in one pass and without an intermediate tree.
//!
//! What JSON may say: fields in any order; absent fields where the schema has a default or allows null; unions
//! bare (`"x"`) or in Avro's tagged form (`{"string": "x"}`); enums by symbol; bytes and fixed as text of the
//! characters U+0000 to U+00FF; timestamps as epoch milliseconds, whatever the schema's unit, or as RFC 3339
//! text; other logical types as their usual text; whole numbers also as `3.0`.

mod buffered;
mod number;
mod object;
mod scalar;
mod union;
mod value;

use serde::de::DeserializeSeed;

use self::number::Numbers;
use self::value::Seed;
use super::error::EventError;
use super::node::Node;
use super::walk::join_trail;
use super::{MAX_EVENT_BYTES, MAX_EVENT_ITEMS, Schema};

/// Encodes JSON events of one schema. Made once, used for many events: it keeps its buffers.
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

    /// Appends the Avro bytes of one JSON object to `out`. On an error `out` is as it was.
    ///
    /// # Errors
    /// When it is no JSON, does not fit the schema, or is larger than [`MAX_EVENT_BYTES`].
    pub fn encode(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), EventError> {
        // Checked once as a whole: serde_json would check every text of a slice on its own.
        let json = std::str::from_utf8(json)
            .map_err(|error| EventError::Syntax { path: String::new(), message: error.to_string() })?;
        let mut parser = serde_json::Deserializer::from_str(json);
        self.write(Numbers::new(Some(json)), out, |seed| {
            seed.deserialize(&mut parser)?;
            parser.end()
        })
    }

    /// [`Encoder::encode`] for JSON that has been parsed already.
    ///
    /// # Errors
    /// When it does not fit the schema, or is larger than [`MAX_EVENT_BYTES`].
    pub fn encode_value(&mut self, json: &serde_json::Value, out: &mut Vec<u8>) -> Result<(), EventError> {
        self.write(Numbers::new(None), out, |seed| seed.deserialize(json))
    }

    fn write(
        &mut self,
        numbers: Numbers<'_>,
        out: &mut Vec<u8>,
        run: impl FnOnce(Seed<'_, '_, '_>) -> serde_json::Result<()>,
    ) -> Result<(), EventError> {
        let start = out.len();
        self.scratch.reset();
        let mut writer = Writer { out, scratch: &mut self.scratch, numbers };
        let result = run(Seed { node: self.schema.root(), writer: &mut writer });
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

/// The Avro bytes of a field's default, which says logical types by their underlying ones.
pub(super) fn encode_default(node: &Node, json: &serde_json::Value) -> Result<Vec<u8>, EventError> {
    let mut out = Vec::new();
    let mut scratch = Scratch { raw: true, ..Scratch::default() };
    scratch.reset();
    let mut writer = Writer { out: &mut out, scratch: &mut scratch, numbers: Numbers::new(None) };
    let result = Seed { node, writer: &mut writer }.deserialize(json);
    result.map_err(|error| scratch.event_error(&error))?;
    Ok(out)
}

/// The branch of a union that a value in JSON means, as it stands there without a tag.
pub(super) fn find_bare_branch(branches: &[Node], value: &serde_json::Value) -> Option<usize> {
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    let mut writer = Writer { out: &mut out, scratch: &mut scratch, numbers: Numbers::new(None) };
    union::find_bare_branch(branches, value, &mut writer)
}

/// How often an object of one event is read a second time, as the other thing that it may be. Else the time could double
/// with each level.
const MAX_RETRIES: usize = 16;

/// Where the bytes go, and what the walk needs on the way.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    scratch: &'o mut Scratch,
    numbers: Numbers<'o>,
}

/// A place that the writer can go back to.
struct Mark<'o> {
    out: usize,
    spans: usize,
    items_left: usize,
    depth: usize,
    numbers: Numbers<'o>,
}

/// Buffers that live as long as the encoder.
#[derive(Debug, Default)]
struct Scratch {
    /// Where in `out` each field of the open records lies: one frame a record, the innermost last.
    spans: Vec<Span>,
    /// A record that is being put in the schema's order.
    stitched: Vec<u8>,
    /// The path to a problem, innermost first. Filled while an error travels up.
    trail: Vec<String>,
    problem: Option<Problem>,
    /// Logical types are said by their underlying ones: so in defaults.
    raw: bool,
    /// How many items of arrays and maps may still come.
    items_left: usize,
    /// How many objects and arrays are open around the innermost record that contains itself.
    depth: usize,
    retries_left: usize,
}

/// The bytes of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    start: usize,
    end: usize,
}

/// A problem without its path.
#[derive(Debug)]
enum Problem {
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
            None => EventError::Syntax { path, message: error.to_string() },
            Some(Problem::Mismatch { expected, found }) => EventError::Mismatch { path, expected, found },
            Some(Problem::Unknown { suggestion }) => EventError::Unknown { path, suggestion },
            Some(Problem::Missing) => EventError::Missing(path),
            Some(Problem::Duplicate) => EventError::Duplicate(path),
            Some(Problem::TooManyItems) => EventError::TooManyItems,
            Some(Problem::TooDeep) => EventError::TooDeep,
        }
    }
}

impl<'o> Writer<'o> {
    fn mark(&self) -> Mark<'o> {
        let (out, spans) = (self.out.len(), self.scratch.spans.len());
        let (items_left, depth) = (self.scratch.items_left, self.scratch.depth);
        Mark { out, spans, items_left, depth, numbers: self.numbers }
    }

    /// Goes back to a mark. Returns the problem that was met since, with its path.
    fn rewind(&mut self, mark: &Mark<'o>) -> (Option<Problem>, Vec<String>) {
        self.out.truncate(mark.out);
        self.scratch.spans.truncate(mark.spans);
        (self.scratch.items_left, self.scratch.depth) = (mark.items_left, mark.depth);
        self.numbers = mark.numbers;
        (self.scratch.problem.take(), std::mem::take(&mut self.scratch.trail))
    }

    /// Takes up a problem again.
    fn restore(&mut self, (problem, trail): (Option<Problem>, Vec<String>)) {
        (self.scratch.problem, self.scratch.trail) = (problem, trail);
    }

    /// Counts a second reading; false if there were too many.
    fn may_retry(&mut self) -> bool {
        let left = self.scratch.retries_left.checked_sub(1);
        self.scratch.retries_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Keeps the problem; what it returns only carries the news up through serde.
    #[cold]
    fn fail<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        self.scratch.problem = Some(problem);
        E::custom("")
    }

    /// Notes a name on the way up.
    #[cold]
    fn within(&mut self, name: &str) {
        self.scratch.trail.push(name.to_owned());
    }

    /// Zigzag, then seven bits a byte.
    #[inline]
    fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    #[inline]
    fn binary(&mut self, value: &[u8]) {
        // No slice is longer than an i64 can say.
        self.long(value.len() as i64);
        self.out.extend_from_slice(value);
    }

    /// One more item of an array or a map.
    fn item(&mut self) -> bool {
        let left = self.scratch.items_left.checked_sub(1);
        self.scratch.items_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Ends an array or map whose items were written since `start`: puts their count in front.
    fn close_blocks(&mut self, start: usize, items: usize) {
        if items > 0 {
            let end = self.out.len();
            self.long(items as i64);
            let count_bytes = self.out.len() - end;
            self.out[start..].rotate_right(count_bytes);
        }
        self.out.push(0);
    }
}
