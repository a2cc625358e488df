//! The format of a block of verdicts.
//!
//! A block begins with the version byte, the flags byte, the version of the catalog, the offset after the last event that
//! it scores, the number of offsets from the first such event up to there, and the rules as JSON. With the flag
//! `HIDDEN_FAILURES` a list of failures follows that no outcome shows: `rule + 1`, the offset as the difference to the one
//! before, the code. Then follows, per event with an outcome: offset and time as differences to those of the event before,
//! the key, the id, per rule that scored it `rule + 1`, a byte of parts and the parts, and a 0. Lists end with a 0;
//! therefore indexes are stored plus one. Integers are varints.
//!
//! Version 1 has neither the number of offsets nor hidden failures: such a block scores the events from where the block
//! before it in the log ends. Blocks that replace lost ones still are of version 1, because nobody knows where those
//! began.

use crate::wire::{put_signed, put_varint};

/// The version of the layout.
pub(super) const VERSION: u8 = 2;
/// The version without the first event, and without hidden failures.
pub(super) const VERSION_WITHOUT_FROM: u8 = 1;

/// Flags of the parts of one rule's verdict on one event.
pub(super) mod parts {
    pub(crate) const SCORE: u8 = 1;
    pub(crate) const TAGS: u8 = 2;
    pub(crate) const REASONS: u8 = 4;
    pub(crate) const EDGES: u8 = 8;
    pub(crate) const ATTRIBUTES: u8 = 16;
    pub(crate) const INPUTS: u8 = 32;
    pub(crate) const FAILURE: u8 = 64;
    /// After all other parts: per edge its facets as a JSON object, or an empty text.
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

/// The offset and time of the event before. Those of the next event are written as differences to them.
#[derive(Default)]
pub(super) struct PreviousEvent {
    pub(super) offset: u64,
    pub(super) time: i64,
}

impl PreviousEvent {
    pub(super) fn put(&mut self, out: &mut Vec<u8>, offset: u64, time: i64) {
        put_varint(out, offset - self.offset);
        put_signed(out, time.wrapping_sub(self.time));
        *self = Self { offset, time };
    }
}
