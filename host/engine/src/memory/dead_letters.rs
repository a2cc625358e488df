//! The dead letters port: one letter per event and rule.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use assay_core::names::{Offset, PartitionIndex};

use super::client::{Client, Port};
use super::cursor;
use super::tables::{Extent, Positions};
use super::world::Write;
use crate::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use crate::ports::{Page, PartitionId, StoreError};

const LISTING: &str = "dead-letters";

/// All dead letters.
#[derive(Clone, Default)]
pub(super) struct DeadLetterTable {
    letters: BTreeMap<Identity, DeadLetter>,
    positions: Positions,
}

/// By stream and partition, the newest event first, then by rule and sink.
type Identity = (PartitionId, Reverse<Offset>, Option<String>, Option<String>);

impl DeadLetterTable {
    /// At the position that is known letters are added: other sinks write there what their stores refuse.
    fn write(&mut self, partition: &PartitionId, letters: &[DeadLetter], next: Offset, extent: Extent) {
        if next < self.positions.get(partition) {
            return;
        }
        for letter in extent.stored_items(letters) {
            let identity = (partition.clone(), Reverse(letter.place.offset), letter.rule.clone(), letter.sink.clone());
            self.letters.insert(identity, letter.clone());
        }
        self.positions.advance(partition, next, extent);
    }

    /// Those of one event.
    fn of_event<'t>(
        &'t self,
        partition: &'t PartitionId,
        offset: Offset,
    ) -> impl Iterator<Item = (&'t Identity, &'t DeadLetter)> {
        let from = (partition.clone(), Reverse(offset), None, None);
        self.letters.range(from..).take_while(move |((found, at, ..), _)| found == partition && *at == Reverse(offset))
    }

    /// Deletes the letters of an event. Returns how many.
    pub(super) fn remove(&mut self, partition: &PartitionId, offset: Offset) -> u64 {
        let found: Vec<Identity> = self.of_event(partition, offset).map(|(identity, _)| identity.clone()).collect();
        found.iter().for_each(|identity| drop(self.letters.remove(identity)));
        found.len() as u64
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        type Place = (String, u32, u64, Option<String>, Option<String>);
        let after: Option<Place> = cursor::read(LISTING, query.cursor.as_deref())?;
        let after = after.map(|(stream, partition, offset, rule, sink)| {
            let partition_id = PartitionId { stream: stream.into(), partition: PartitionIndex(partition) };
            (partition_id, Reverse(Offset(offset)), rule, sink)
        });
        let wanted = self.letters.iter().filter(|(identity, letter)| {
            after.as_ref().is_none_or(|after| *identity > after)
                && query.stream.as_ref().is_none_or(|stream| letter.stream == *stream)
                && query.rule.as_ref().is_none_or(|rule| letter.rule.as_ref() == Some(rule))
        });
        let page = cursor::page(LISTING, wanted, query.limit, |((partition_id, Reverse(offset), rule, sink), _)| {
            (partition_id.stream.to_string(), partition_id.partition.0, offset.0, rule.clone(), sink.clone())
        });
        Ok(Page { items: page.items.into_iter().map(|(_, letter)| letter.clone()).collect(), cursor: page.cursor })
    }
}

impl DeadLetters for Client {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::DeadLetters, |tables| Ok(tables.dead_letters.positions.get(partition)))
    }

    fn write(&self, partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        let (partition, letters, count) = (partition.clone(), letters.to_vec(), letters.len());
        let write = Write::new(Port::DeadLetters, move |tables, extent| {
            tables.dead_letters.write(&partition, &letters, next, extent);
            Ok(())
        });
        self.execute(write.divisible(count))
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        self.query(Port::DeadLetters, |tables| tables.dead_letters.list(query))
    }

    fn of_event(&self, partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        self.query(Port::DeadLetters, |tables| {
            Ok(tables.dead_letters.of_event(partition, offset).map(|(_, letter)| letter.clone()).collect())
        })
    }
}
