//! Group commit: one thread takes all appends that wait, writes them as one batch, syncs once, and answers them all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::{Offset, Partition};
use assay_engine::panics::Heartbeat;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Bell, Offsets, Records, Topic};

use super::super::database::{Database, Durability};
use super::block;
use super::queue::Queue;
use super::topics::{Answer, Append, StreamTopics};

/// Writes appends. All writing to the log goes through it, by the committer's thread or by the caller's own.
pub(super) struct Committer {
    database: Arc<Database>,
    block_bytes: usize,
    /// Held from when offsets are given until what has them is written.
    offsets: Mutex<()>,
    bells: [Mutex<Vec<Arc<Bell>>>; 2],
}

/// What goes to one partition in one commit.
struct Group {
    stream: Arc<StreamTopics>,
    topic: Topic,
    partition: Partition,
    records: u64,
    bytes_in_last: usize,
    /// What is to be one block each.
    blocks: Vec<Vec<Records>>,
}

/// Where some records stand: in which group, and behind how many of its records.
struct Within {
    group: usize,
    behind: u64,
}

/// Encoded blocks of one partition: how many records each has, and its bytes.
type Encoded = Vec<(u64, Vec<u8>)>;

impl Committer {
    pub(super) fn new(database: Arc<Database>, block_bytes: usize) -> Self {
        Self { database, block_bytes, offsets: Mutex::default(), bells: Default::default() }
    }

    /// The committer's thread: until the queue is closed and empty.
    pub(super) fn run(&self, queue: &Queue, heartbeat: &Heartbeat) {
        // Enough for a sync to cost little per byte, little enough to be read again soon.
        const AT_ONCE: usize = 16 << 20;
        while let Some(appends) = queue.take(AT_ONCE) {
            self.commit(appends, Durability::Power);
            heartbeat.beat();
        }
    }

    /// Writes appends as one batch and answers each.
    pub(super) fn commit(&self, appends: Vec<Append>, durability: Durability) {
        let (groups, answers) = self.group(appends);
        let firsts = self.write(&groups).and_then(|firsts| {
            // What was written can be read at once, before it is synced: the journal keeps the order, so nothing that
            // comes of it outlives it. Only the answer waits.
            self.ring(&groups);
            match durability {
                Durability::Process => Ok(firsts),
                Durability::Power => self.database.sync("syncing the log").map(|()| firsts),
            }
        });
        for (answer, places) in answers {
            let result = match &firsts {
                Ok(firsts) => {
                    let appended = |&Within { group, behind }: &Within| Appended {
                        partition: groups[group].partition,
                        offsets: Offsets::From(Offset(firsts[group] + behind)),
                    };
                    Ok(places.iter().map(appended).collect())
                }
                Err(error) => Err(error.clone()),
            };
            // Who does not wait for the answer does not want it.
            let _ = answer.send(result);
        }
    }

    /// Sorts what is to be written by partition, and remembers for each answer where its records stand in that.
    fn group(&self, appends: Vec<Append>) -> (Vec<Group>, Vec<(Answer, Vec<Within>)>) {
        let mut groups: Vec<Group> = Vec::new();
        let mut answers = Vec::with_capacity(appends.len());
        for append in appends {
            let mut places = Vec::with_capacity(append.batches.len());
            for (partition, records) in append.batches {
                let is_it = |group: &Group| {
                    group.partition == partition
                        && group.topic == append.topic
                        && Arc::ptr_eq(&group.stream, &append.stream)
                };
                let found = groups.iter().position(is_it).unwrap_or_else(|| {
                    groups.push(Group::new(append.stream.clone(), append.topic, partition));
                    groups.len() - 1
                });
                places.push(Within { group: found, behind: groups[found].records });
                groups[found].push(records, self.block_bytes);
            }
            answers.push((append.answer, places));
        }
        (groups, answers)
    }

    /// Gives offsets and writes. Returns each group's first offset.
    fn write(&self, groups: &[Group]) -> Result<Vec<u64>, StoreError> {
        // Encoding and its checksums need no offsets, so they are done before anybody has to wait.
        let encoded: Vec<Encoded> = groups.iter().map(Group::encode).collect();
        let _offsets = self.lock_offsets();
        let mut batch = self.database.batch(encoded.iter().map(Vec::len).sum());
        let mut firsts = Vec::with_capacity(groups.len());
        // Whatever may panic does before anything is written.
        let ends: Vec<&AtomicU64> = groups.iter().map(Group::end).collect();
        for ((group, end), blocks) in groups.iter().zip(&ends).zip(encoded) {
            let place = group.stream.place(group.topic, group.partition);
            let first = end.load(Ordering::Acquire);
            let mut next = first;
            for (records, bytes) in blocks {
                batch.insert(&self.database.log, place.block(next), bytes);
                next += records;
            }
            firsts.push(first);
        }
        self.database.commit(batch, Durability::Process, "appending to the log")?;
        for ((group, end), first) in groups.iter().zip(ends).zip(&firsts) {
            end.fetch_add(group.records, Ordering::AcqRel);
            let place = group.stream.place(group.topic, group.partition);
            self.database.note_end(place, first + group.records, group.stream.name());
        }
        Ok(firsts)
    }

    fn lock_offsets(&self) -> MutexGuard<'_, ()> {
        // The ends change only after a commit that succeeded, so they are right whatever happened before.
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bells(&self, topic: Topic) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        let bells = match topic {
            Topic::Events => &self.bells[0],
            Topic::Verdicts => &self.bells[1],
        };
        bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_bell(&self, topic: Topic, bell: Arc<Bell>) {
        self.bells(topic).push(bell);
    }

    fn ring(&self, groups: &[Group]) {
        for topic in [Topic::Events, Topic::Verdicts] {
            if groups.iter().any(|group| group.topic == topic && group.records > 0) {
                self.bells(topic).iter().for_each(|bell| bell.ring());
            }
        }
    }
}

impl Group {
    fn new(stream: Arc<StreamTopics>, topic: Topic, partition: Partition) -> Self {
        Self { stream, topic, partition, records: 0, bytes_in_last: usize::MAX, blocks: Vec::new() }
    }

    fn push(&mut self, records: Records, block_bytes: usize) {
        if records.is_empty() {
            return;
        }
        self.records += records.len() as u64;
        let bytes = records.data.len();
        match self.blocks.last_mut() {
            // A block has one schema.
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

    fn encode(&self) -> Encoded {
        let count = |parts: &[Records]| parts.iter().map(|part| part.len() as u64).sum();
        self.blocks.iter().map(|parts| (count(parts), block::encode(parts))).collect()
    }

    #[allow(clippy::expect_used, reason = "an append to a partition that is not there never gets here")]
    fn end(&self) -> &AtomicU64 {
        self.stream.end(self.topic, self.partition).expect("the partition was checked when it was appended to")
    }
}
