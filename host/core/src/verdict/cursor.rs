//! Reads the outcomes of ascending offsets from a block, without decoding the others.

use std::sync::Arc;

use super::format::PreviousEvent;
use super::read::{BlockSummary, read_head, read_offset_and_time, read_outcome, skip_outcome};
use super::{Outcome, RuleStamp};
use crate::names::Offset;
use crate::wire::{Corrupt, Reader};

/// A position in a block of verdicts. The rules in the block's head are decoded once.
pub struct OutcomeCursor {
    block: Vec<u8>,
    rules: Vec<Arc<RuleStamp>>,
    summary: BlockSummary,
    /// The byte of `block` at which the next event begins.
    at: usize,
    before: PreviousEvent,
}

impl OutcomeCursor {
    /// A cursor at the first event of a block.
    ///
    /// # Errors
    /// The bytes are no block.
    pub fn open(block: Vec<u8>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&block);
        let (summary, rules) = read_head(&mut reader)?;
        let at = reader.position();
        Ok(Self { block, rules, summary, at, before: PreviousEvent::default() })
    }

    /// The event after the last one that this block scores.
    pub fn next(&self) -> Offset {
        self.summary.next
    }

    /// True if this block scores an event, or does not say where it begins and ends after the event.
    pub fn covers(&self, offset: Offset) -> bool {
        offset < self.summary.next && self.summary.from.is_none_or(|from| from <= offset)
    }

    /// The outcome of the event at an offset; none if the block has none. Events before it are skipped and cannot be
    /// found later.
    ///
    /// # Errors
    /// The block is damaged before the event's end.
    pub fn find(&mut self, offset: Offset) -> Result<Option<Outcome>, Corrupt> {
        let mut reader = Reader::new(&self.block);
        reader.take(self.at)?;
        while !reader.is_empty() {
            let place = read_offset_and_time(&mut reader, &self.before)?;
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
