//! Reads what a block says of rising offsets, one after the other, without ever decoding the rest of the block.

use std::sync::Arc;

use super::read::{read_head, read_outcome, read_place, read_stamps, skip_outcome};
use super::write::Before;
use super::{Outcome, RuleStamp};
use crate::names::Offset;
use crate::wire::{Corrupt, Reader};

/// A place in a block of verdicts. The rules at its head are read once.
pub struct OutcomeCursor {
    block: Vec<u8>,
    rules: Vec<Arc<RuleStamp>>,
    next: Offset,
    /// Where in `block` the next event stands.
    at: usize,
    before: Before,
}

impl OutcomeCursor {
    /// Stands at the block's first event.
    ///
    /// # Errors
    /// The bytes are no block.
    pub fn open(block: Vec<u8>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&block);
        let (_, _, next) = read_head(&mut reader)?;
        let rules = read_stamps(&mut reader)?;
        let at = reader.position();
        Ok(Self { block, rules, next, at, before: Before::default() })
    }

    /// The offset before which all events are done with this block.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// What the block says of the event at an offset; none if it says nothing. Events before it are passed over for
    /// good.
    ///
    /// # Errors
    /// The block is damaged before the event's end.
    pub fn find(&mut self, offset: Offset) -> Result<Option<Outcome>, Corrupt> {
        let mut reader = Reader::new(&self.block);
        reader.take(self.at)?;
        while !reader.is_empty() {
            let place = read_place(&mut reader, &self.before)?;
            if place.offset > offset.0 {
                break;
            }
            let outcome = if place.offset == offset.0 {
                Some(read_outcome(&mut reader, &self.rules, &place)?)
            } else {
                skip_outcome(&mut reader, &self.rules)?;
                None
            };
            (self.at, self.before) = (reader.position(), place);
            if outcome.is_some() {
                return Ok(outcome);
            }
        }
        Ok(None)
    }
}
