//! The log: blocks of records by (stream, topic, partition, first offset). Synced appends share a sync (group commit).

mod block;
mod committer;
mod gaps;
mod queue;
mod reader;
mod start_offsets;
mod topics;
mod trim;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::StreamDef;
use assay_engine::panics;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{self, Kept, Log, Receipt, Records, Topic, Trim, TrimResult, WakeSignal};
use tokio::sync::oneshot;

use super::Config;
use super::database::{Database, Durability};
use super::error::{broken, unavailable};
use super::keys::TopicPartition;
use committer::Committer;
use queue::Queue;
use topics::{Append, Topics};
use trim::Trimmer;

pub(super) use block::count as count_records;
pub(super) use reader::{LogReader, StoredBlock};

/// The log on the embedded database.
pub(super) struct EmbeddedLog {
    database: Arc<Database>,
    topics: Topics,
    reader: LogReader,
    trimmer: Trimmer,
    committer: Arc<Committer>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    pub(super) fn open(database: Arc<Database>, config: &Config) -> Result<Self, StoreError> {
        let reader = LogReader::new(database.clone());
        let topics = Topics::load(&database, &reader)?;
        let trimmer = Trimmer::new(database.clone(), reader.clone());
        let committer = Arc::new(Committer::new(database.clone(), config.block_bytes));
        let queue = Arc::new(Queue::new(config.queue_bytes, config.queue_appends));
        // A panic drops the appends in hand and so their senders: their receipts report that the outcome is unknown.
        let thread = {
            let (committer, queue) = (committer.clone(), queue.clone());
            // The thread is restarted after a panic even during a shutdown, so that the queued appends are answered. It
            // ends when the queue is closed and empty.
            panics::spawn("log-committer", || false, move |heartbeat| committer.run(&queue, heartbeat))
        };
        let thread = thread.map_err(|error| unavailable(format!("starting the log's committer: {error}")))?;
        Ok(Self { database, topics, reader, trimmer, committer, queue, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Every partition of every topic, with the stream's name and the end.
    pub(super) fn ends(&self) -> Vec<(TopicPartition, Arc<str>, u64)> {
        self.topics.all()
    }

    /// Commits the queued appends and refuses further ones. Repeated calls do nothing.
    pub(super) fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the log's committer ended by a panic; appends that waited were not answered");
        }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Log for EmbeddedLog {
    fn create(&self, stream: &StreamDef) -> Result<(), StoreError> {
        self.topics.create(&self.database, &stream.stream, stream.partitions.unwrap_or(0))
    }

    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: log::Durability,
    ) -> Result<Receipt, StoreError> {
        let topics = self.topics.get(stream)?;
        for (partition, records) in &batches {
            if topics.end(topic, *partition).is_none() {
                let have = topics.partitions();
                return Err(broken(format!("'{stream}' has the partitions 0 to {}, not {partition}", have - 1)));
            }
            if !block::is_well_formed(records) {
                return Err(broken(format!("records for {stream}/{partition} whose ends do not fit their data")));
            }
        }
        let bytes = batches.iter().map(|(_, records)| 64 + records.data.len() + 4 * records.ends.len()).sum();
        let (answer, receipt) = oneshot::channel();
        let append = Append { stream: topics, topic, batches, bytes, answer };
        match durability {
            log::Durability::Ordered if !self.queue.is_closed() => {
                self.committer.commit(vec![append], Durability::Process);
            }
            log::Durability::Synced if self.queue.push(append).is_ok() => {}
            _ => return Err(unavailable(format!("appending to '{stream}': the store was shut down"))),
        }
        Ok(receipt)
    }

    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        if from >= self.end(stream, topic, partition)? {
            return Ok(Vec::new());
        }
        self.reader.read(self.topics.get(stream)?.topic_partition(topic, partition), from.0, max_records, max_bytes)
    }

    fn end(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError> {
        let topics = self.topics.get(stream)?;
        match topics.end(topic, partition) {
            Some(end) => Ok(Offset(end.load(Ordering::Acquire))),
            None => {
                Err(broken(format!("'{stream}' has the partitions 0 to {}, not {partition}", topics.partitions() - 1)))
            }
        }
    }

    /// Only `trim` deletes records, so there are no limits by age or size here.
    fn kept(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError> {
        self.end(stream, topic, partition)?;
        let first = self.reader.start_offset(self.topics.get(stream)?.topic_partition(topic, partition));
        Ok(Kept { first: Offset(first), max_age: None, max_bytes: None })
    }

    fn trims(&self) -> bool {
        true
    }

    fn trim(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        wish: &Trim,
    ) -> Result<TrimResult, StoreError> {
        self.end(stream, topic, partition)?;
        self.trimmer.trim(self.topics.get(stream)?.topic_partition(topic, partition), wish)
    }

    fn failure(&self) -> Option<String> {
        self.database.failure().map(str::to_owned)
    }

    fn on_append(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.committer.subscribe(topic, wake);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_panic_of_the_committer_fails_only_the_appends_in_hand() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::default();
        let database = Arc::new(Database::open(dir.path(), &config, Default::default()).unwrap());
        let log = EmbeddedLog::open(database, &config).unwrap();
        let def = json!({ "stream": "s", "key": "k", "time": "t", "partitions": 1, "schema": { "type": "record",
            "name": "E", "fields": [{ "name": "k", "type": "string" }, { "name": "t", "type": "long" }] } });
        log.create(&serde_json::from_value(def).unwrap()).unwrap();
        let mut records = Records::default();
        records.push(b"record");
        for round in 0..3 {
            // Bypasses the check of `append`: the partition does not exist, so the committer panics.
            let (answer, lost) = oneshot::channel();
            let batches = vec![(PartitionIndex(7), records.clone())];
            let stream = log.topics.get("s").unwrap();
            let append = Append { stream, topic: Topic::Events, batches, bytes: 1, answer };
            log.queue.push(append).unwrap();
            assert!(lost.blocking_recv().is_err(), "whoever waits is told");
            let batches = vec![(PartitionIndex(0), records.clone())];
            let receipt = log.append("s", Topic::Events, batches, log::Durability::Synced).unwrap();
            let appended = receipt.blocking_recv().unwrap().unwrap();
            assert_eq!(appended[0].place(0).unwrap().offset, Offset(round));
        }
        let read = log.read("s", Topic::Events, PartitionIndex(0), Offset(0), 10, 1000).unwrap();
        assert_eq!(read.iter().map(Records::len).sum::<usize>(), 3);
    }
}
