//! Finds and fills gaps of lost records. A partition must not end before an offset that a checkpoint, a sink or the ledger
//! knows: otherwise new records would get offsets that were assigned before.

use std::time::{SystemTime, UNIX_EPOCH};

use assay_core::names::Offset;
use assay_core::verdict::{empty_block, read_block_summary};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::database::Durability;
use super::super::error::{broken, damaged, failed};
use super::super::inspect::Loss;
use super::super::keys::{self, PositionOwner, TopicPartition};
use super::super::ledger::LedgerContents;
use super::super::state;
use super::{EmbeddedLog, block};

/// The number of records of a filling block.
const MAX_BLOCK_RECORDS: u64 = 4096;

impl EmbeddedLog {
    /// Finds partitions that end before the end in the ledger, a checkpoint or a sink's position.
    pub(in super::super) fn find_truncated_partitions(&self, ledger: &LedgerContents) -> Result<Vec<Loss>, StoreError> {
        let mut losses = Vec::new();
        for (topic_partition, stream, end) in self.topics.all() {
            let known = self.known_end(topic_partition, ledger)?;
            if known > end {
                let (stream, topic, partition) =
                    (stream.to_string(), topic_partition.topic.name(), topic_partition.partition.partition);
                losses.push(Loss::Records { stream, topic, partition, from: end, to: known });
            }
        }
        Ok(losses)
    }

    /// Fills gaps with empty records, like those that an erasure leaves.
    pub(in super::super) fn fill_gaps(&self, ledger: &LedgerContents) -> Result<(), StoreError> {
        for (topic_partition, stream, _) in self.topics.all() {
            let known = self.known_end(topic_partition, ledger)?;
            for (from, to) in self.find_gaps(topic_partition, known)? {
                tracing::warn!(%stream, topic = topic_partition.topic.name(), partition = topic_partition.partition.partition, from, to, "filled");
                self.fill_gap(topic_partition, from, to)?;
            }
            self.reader.set_start_offset(topic_partition, self.reader.read_stored_start(topic_partition)?);
            self.topics.set_end(&stream, topic_partition, self.reader.read_stored_end(topic_partition)?);
        }
        Ok(())
    }

    /// The lowest offset at which a partition may end: the highest one that anything refers to.
    fn known_end(&self, topic_partition: TopicPartition, ledger: &LedgerContents) -> Result<u64, StoreError> {
        let key = keys::position_key(PositionOwner::State, topic_partition.partition);
        let doing = "reading a checkpoint";
        let checkpoint = self.database.get(&self.database.positions, &key, doing)?;
        let checkpoint = checkpoint.map(|value| state::decode(&value)).transpose();
        let checkpoint = checkpoint.map_err(|error| damaged(doing, &error))?.unwrap_or_default();
        let (saved, sinks) = match topic_partition.topic {
            Topic::Events => (checkpoint.events, &[PositionOwner::ArchivedEvents][..]),
            Topic::Verdicts => (
                checkpoint.verdicts,
                &[
                    PositionOwner::ArchivedVerdicts,
                    PositionOwner::Profiles,
                    PositionOwner::Graph,
                    PositionOwner::DeadLetters,
                ][..],
            ),
        };
        let mut known = ledger.values.get(&topic_partition.into()).map_or(0, |(end, _)| *end).max(saved.0);
        for sink in sinks {
            known = known.max(self.database.position(*sink, topic_partition.partition)?);
        }
        Ok(known)
    }

    /// The ranges of offsets without a block, between the first block and the known end.
    fn find_gaps(&self, topic_partition: TopicPartition, known: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let (mut gaps, mut end) = (Vec::new(), None);
        for row in self.database.log.range(topic_partition.block_key(0)..=topic_partition.block_key(u64::MAX)) {
            let (key, value) = row.into_inner().map_err(|error| failed("reading the log", &error))?;
            let first = TopicPartition::first_offset_in(&key).ok_or_else(|| broken("a block has no key".to_owned()))?;
            let count = block::count(&value).map_err(|error| damaged(format_args!("the block {first}"), &error))?;
            let expected = *end.get_or_insert(first);
            if first > expected {
                gaps.push((expected, first));
            }
            end = Some(expected.max(first + count));
        }
        // Without any block the start after retention is unknown: a single filling record marks the end.
        let end = end.unwrap_or_else(|| known.saturating_sub(1));
        if known > end {
            gaps.push((end, known));
        }
        Ok(gaps)
    }

    fn fill_gap(&self, topic_partition: TopicPartition, from: u64, to: u64) -> Result<(), StoreError> {
        let record = match topic_partition.topic {
            Topic::Events => Vec::new(),
            Topic::Verdicts => self.make_empty_verdicts(topic_partition, from)?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
        let mut first = from;
        while first < to {
            let count = (to - first).min(MAX_BLOCK_RECORDS);
            let mut records = Records { appended_at: now, ..Records::default() };
            (0..count).for_each(|_| records.push(&record));
            let mut batch = self.database.batch(1);
            batch.insert(&self.database.log, topic_partition.block_key(first), block::encode(&[records]));
            self.database.commit(batch, Durability::Power, "putting records in the place of lost ones")?;
            first += count;
        }
        Ok(())
    }

    /// An empty verdict block that judges up to the same event offset as the block before it.
    fn make_empty_verdicts(&self, topic_partition: TopicPartition, at: u64) -> Result<Vec<u8>, StoreError> {
        let mut next = Offset(0);
        if let Some(before) = at.checked_sub(1)
            && let Some(stored) = self.reader.find_block(topic_partition, before)?
            && let Some(record) = stored.record(before)?
        {
            next = read_block_summary(&record.data).map_err(|error| damaged("a block of verdicts", &error))?.next;
        }
        Ok(empty_block(next))
    }
}
