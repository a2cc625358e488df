//! Group commit: one thread takes all queued appends, writes them as one batch, syncs once, and answers each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::panics::Heartbeat;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Offsets, Records, Topic, WakeSignal};

use super::super::database::{Database, Durability};
use super::block;
use super::queue::Queue;
use super::topics::{Append, AppendAnswer, StreamTopics};

/// Writes all appends to the log: synced ones on the committer's thread, ordered ones on the caller's thread.
pub(super) struct Committer {
    database: Arc<Database>,
    block_bytes: usize,
    /// Locked from the assignment of offsets until their records are written, so that blocks are written in order.
    offsets: Mutex<()>,
    signals: [Mutex<Vec<Arc<WakeSignal>>>; 2],
}

/// The records of one partition in one commit.
struct AppendGroup {
    stream: Arc<StreamTopics>,
    topic: Topic,
    partition: PartitionIndex,
    records: u64,
    bytes_in_last: usize,
    /// The records of each block.
    blocks: Vec<Vec<Records>>,
}

/// The position of a batch: its group, and the number of the group's records before it.
struct PositionInGroup {
    group: usize,
    records_before: u64,
}

/// The encoded blocks of one partition: number of records and bytes of each.
type EncodedBlocks = Vec<(u64, Vec<u8>)>;

impl Committer {
    pub(super) fn new(database: Arc<Database>, block_bytes: usize) -> Self {
        Self { database, block_bytes, offsets: Mutex::default(), signals: Default::default() }
    }

    /// Runs the committer's thread until the queue is closed and empty.
    pub(super) fn run(&self, queue: &Queue, heartbeat: &Heartbeat) {
        // Large enough that the cost of a sync per byte is small, small enough that the answers do not wait long.
        const MAX_COMMIT_BYTES: usize = 16 << 20;
        while let Some(appends) = queue.take(MAX_COMMIT_BYTES) {
            self.commit(appends, Durability::Power);
            heartbeat.mark_alive();
        }
    }

    /// Writes appends as one batch and answers each with its offsets or the error.
    pub(super) fn commit(&self, appends: Vec<Append>, durability: Durability) {
        let (groups, answers) = self.group_by_partition(appends);
        let firsts = self.write(&groups).and_then(|firsts| {
            // Readers may see the records before the sync: the journal keeps the order of writes, so after a power failure
            // nothing derived from these records can exist without them. Only the answer waits for the sync.
            self.notify_readers(&groups);
            match durability {
                Durability::Process => Ok(firsts),
                Durability::Power => self.database.sync("syncing the log").map(|()| firsts),
            }
        });
        for (answer, positions) in answers {
            let result = match &firsts {
                Ok(firsts) => {
                    let appended = |&PositionInGroup { group, records_before }: &PositionInGroup| Appended {
                        partition: groups[group].partition,
                        offsets: Offsets::From(Offset(firsts[group] + records_before)),
                    };
                    Ok(positions.iter().map(appended).collect())
                }
                Err(error) => Err(error.clone()),
            };
            // The receiver is gone if the caller does not wait for the answer.
            let _ = answer.send(result);
        }
    }

    /// Groups the batches of appends by partition. Returns the groups, and for each answer the positions of its batches.
    fn group_by_partition(
        &self,
        appends: Vec<Append>,
    ) -> (Vec<AppendGroup>, Vec<(AppendAnswer, Vec<PositionInGroup>)>) {
        let mut groups: Vec<AppendGroup> = Vec::new();
        let mut answers = Vec::with_capacity(appends.len());
        for append in appends {
            let mut positions = Vec::with_capacity(append.batches.len());
            for (partition, records) in append.batches {
                let is_same_partition = |group: &AppendGroup| {
                    group.partition == partition
                        && group.topic == append.topic
                        && Arc::ptr_eq(&group.stream, &append.stream)
                };
                let group = groups.iter().position(is_same_partition).unwrap_or_else(|| {
                    groups.push(AppendGroup::new(append.stream.clone(), append.topic, partition));
                    groups.len() - 1
                });
                positions.push(PositionInGroup { group, records_before: groups[group].records });
                groups[group].push(records, self.block_bytes);
            }
            answers.push((append.answer, positions));
        }
        (groups, answers)
    }

    /// Assigns offsets and writes the groups. Returns the first offset of each group.
    fn write(&self, groups: &[AppendGroup]) -> Result<Vec<u64>, StoreError> {
        // Encoding and checksums need no offsets, so they run before the lock.
        let encoded: Vec<EncodedBlocks> = groups.iter().map(AppendGroup::encode).collect();
        let _offsets = self.lock_offsets();
        let mut batch = self.database.batch(encoded.iter().map(Vec::len).sum());
        let mut firsts = Vec::with_capacity(groups.len());
        // `end` may panic, so it runs before anything is written.
        let ends: Vec<&AtomicU64> = groups.iter().map(AppendGroup::end).collect();
        for ((group, end), blocks) in groups.iter().zip(&ends).zip(encoded) {
            let topic_partition = group.stream.topic_partition(group.topic, group.partition);
            let first = end.load(Ordering::Acquire);
            let mut next = first;
            for (records, bytes) in blocks {
                batch.insert(&self.database.log, topic_partition.block_key(next), bytes);
                next += records;
            }
            firsts.push(first);
        }
        self.database.commit(batch, Durability::Process, "appending to the log")?;
        for ((group, end), first) in groups.iter().zip(ends).zip(&firsts) {
            end.fetch_add(group.records, Ordering::AcqRel);
            let topic_partition = group.stream.topic_partition(group.topic, group.partition);
            self.database.note_end(topic_partition, first + group.records, group.stream.name());
        }
        Ok(firsts)
    }

    fn lock_offsets(&self) -> MutexGuard<'_, ()> {
        // A poisoned lock is safe: the ends change only after their commit has succeeded.
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signals(&self, topic: Topic) -> MutexGuard<'_, Vec<Arc<WakeSignal>>> {
        let signals = match topic {
            Topic::Events => &self.signals[0],
            Topic::Verdicts => &self.signals[1],
        };
        signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.signals(topic).push(wake);
    }

    fn notify_readers(&self, groups: &[AppendGroup]) {
        for topic in [Topic::Events, Topic::Verdicts] {
            if groups.iter().any(|group| group.topic == topic && group.records > 0) {
                self.signals(topic).iter().for_each(|wake| wake.notify());
            }
        }
    }
}

impl AppendGroup {
    fn new(stream: Arc<StreamTopics>, topic: Topic, partition: PartitionIndex) -> Self {
        Self { stream, topic, partition, records: 0, bytes_in_last: usize::MAX, blocks: Vec::new() }
    }

    fn push(&mut self, records: Records, block_bytes: usize) {
        if records.is_empty() {
            return;
        }
        self.records += records.len() as u64;
        let bytes = records.data.len();
        match self.blocks.last_mut() {
            // A block holds records of one schema only.
            Some(last)
                if self.bytes_in_last.saturating_add(bytes) <= block_bytes
                    && last.first().is_some_and(|first| first.schema == records.schema) =>
            {
                self.bytes_in_last += bytes;
                last.push(records);
            }
            _ => {
                self.bytes_in_last = bytes;
                self.blocks.push(vec![records]);
            }
        }
    }

    fn encode(&self) -> EncodedBlocks {
        let count = |parts: &[Records]| parts.iter().map(|part| part.len() as u64).sum();
        self.blocks.iter().map(|parts| (count(parts), block::encode(parts))).collect()
    }

    #[allow(clippy::expect_used, reason = "an append to a partition that is not there never gets here")]
    fn end(&self) -> &AtomicU64 {
        self.stream.end(self.topic, self.partition).expect("the partition was checked when it was appended to")
    }
}
