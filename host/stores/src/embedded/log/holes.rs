//! What to do about records that are gone: partitions may not end before what others know of them, or the next records
//! would get offsets that were given out before.

use std::time::{SystemTime, UNIX_EPOCH};

use assay_core::names::Offset;
use assay_core::verdict::{block_flags, empty_block};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::database::Durability;
use super::super::error::{broken, damaged, failed};
use super::super::inspect::Loss;
use super::super::keys::{self, TopicPartition, Whose};
use super::super::ledger::Contents;
use super::super::state;
use super::{EmbeddedLog, block};

/// The most records of a block that takes the place of lost ones.
const MAX_BLOCK_RECORDS: u64 = 4096;

impl EmbeddedLog {
    /// Partitions that end before what the ledger, the checkpoints or the positions of followers say.
    pub(in super::super) fn cut_off(&self, ledger: &Contents) -> Result<Vec<Loss>, StoreError> {
        let mut losses = Vec::new();
        for (place, stream, end) in self.topics.all() {
            let known = self.known_end(place, ledger)?;
            if known > end {
                let (stream, topic, partition) = (stream.to_string(), place.topic.name(), place.of.partition);
                losses.push(Loss::Records { stream, topic, partition, from: end, to: known });
            }
        }
        Ok(losses)
    }

    /// Puts records without content in the place of those that are gone, as a deletion of an entity leaves them.
    pub(in super::super) fn fill_holes(&self, ledger: &Contents) -> Result<(), StoreError> {
        for (place, stream, _) in self.topics.all() {
            let known = self.known_end(place, ledger)?;
            for (from, to) in self.holes(place, known)? {
                tracing::warn!(%stream, topic = place.topic.name(), partition = place.of.partition, from, to, "filled");
                self.fill(place, from, to)?;
            }
            self.reader.begin_at(place, self.reader.stored_head(place)?);
            self.topics.set_end(&stream, place, self.reader.stored_end(place)?);
        }
        Ok(())
    }

    /// The least offset at which a partition may end.
    fn known_end(&self, place: TopicPartition, ledger: &Contents) -> Result<u64, StoreError> {
        let key = keys::position(Whose::State, place.of);
        let doing = "reading a checkpoint";
        let checkpoint = self.database.get(&self.database.positions, &key, doing)?;
        let checkpoint = checkpoint.map(|value| state::decode(&value)).transpose();
        let checkpoint = checkpoint.map_err(|error| damaged(doing, &error))?.unwrap_or_default();
        let (saved, followers) = match place.topic {
            Topic::Events => (checkpoint.events, &[Whose::ArchivedEvents][..]),
            Topic::Verdicts => {
                (checkpoint.verdicts, &[Whose::ArchivedVerdicts, Whose::Profiles, Whose::Graph, Whose::DeadLetters][..])
            }
        };
        let mut known = ledger.values.get(&place.into()).map_or(0, |(end, _)| *end).max(saved.0);
        for follower in followers {
            known = known.max(self.database.position(*follower, place.of)?);
        }
        Ok(known)
    }

    /// The offsets that no block holds, from the first block on up to where the partition must end.
    fn holes(&self, place: TopicPartition, known: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let (mut holes, mut end) = (Vec::new(), None);
        for row in self.database.log.range(place.block(0)..=place.block(u64::MAX)) {
            let (key, value) = row.into_inner().map_err(|error| failed("reading the log", &error))?;
            let first = TopicPartition::first_of(&key).ok_or_else(|| broken("a block has no key".to_owned()))?;
            let count = block::count(&value).map_err(|error| damaged(format_args!("the block {first}"), &error))?;
            let expected = *end.get_or_insert(first);
            if first > expected {
                holes.push((expected, first));
            }
            end = Some(expected.max(first + count));
        }
        // Without any block nobody knows what retention had left: the last record alone says where it ends.
        let end = end.unwrap_or_else(|| known.saturating_sub(1));
        if known > end {
            holes.push((end, known));
        }
        Ok(holes)
    }

    fn fill(&self, place: TopicPartition, from: u64, to: u64) -> Result<(), StoreError> {
        let record = match place.topic {
            Topic::Events => Vec::new(),
            Topic::Verdicts => self.empty_verdicts(place, from)?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
        let mut first = from;
        while first < to {
            let count = (to - first).min(MAX_BLOCK_RECORDS);
            let mut records = Records { appended_at: now, ..Records::default() };
            (0..count).for_each(|_| records.push(&record));
            let mut batch = self.database.batch(1);
            batch.insert(&self.database.log, place.block(first), block::encode(&[records]));
            self.database.commit(batch, Durability::Power, "putting records in the place of lost ones")?;
            first += count;
        }
        Ok(())
    }

    /// A block of verdicts that says nothing, and judges no more events than the one before it.
    fn empty_verdicts(&self, place: TopicPartition, at: u64) -> Result<Vec<u8>, StoreError> {
        let mut next = Offset(0);
        if let Some(before) = at.checked_sub(1)
            && let Some(stored) = self.reader.block_of(place, before)?
            && let Some(record) = stored.record(before)?
        {
            next = block_flags(&record.data).map_err(|error| damaged("a block of verdicts", &error))?.1;
        }
        Ok(empty_block(next))
    }
}
