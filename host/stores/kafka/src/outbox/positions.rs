//! The outbox's positions in the engine's log of verdicts, as committed offsets of a group of their own.
//!
//! The published records are more exact. But a stream with few verdicts has an old last record, and reading the log from
//! there would take long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::client::{self, LoggingContext};
use super::super::config::Config;
use super::super::error::failed;

/// The interval of committing positions.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// A formal value: this consumer fetches nothing.
const PREFETCH_BYTES: usize = 1 << 20;

/// Reads and commits the outbox's positions.
pub(super) struct Positions {
    consumer: BaseConsumer<LoggingContext>,
    timeout: Duration,
    pending: Mutex<PendingCommit>,
}

struct PendingCommit {
    positions: HashMap<(Arc<str>, i32), Offset>,
    due: Instant,
}

impl Positions {
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let mut settings = client::reader_settings(config, PREFETCH_BYTES, 20);
        // The group has no members, so any process may commit.
        settings.set("group.id", format!("{}.outbox", config.group));
        let consumer = BaseConsumer::from_config_and_context(&settings, LoggingContext)
            .map_err(|error| failed("making the outbox's positions", &error))?;
        let pending = Mutex::new(PendingCommit { positions: HashMap::new(), due: Instant::now() });
        Ok(Self { consumer, timeout: config.request_timeout, pending })
    }

    /// The offset of the log of verdicts before which all blocks are known to be published.
    pub(super) fn read(&self, topic: &str, partition: i32) -> Result<Offset, StoreError> {
        let doing = || format!("reading the outbox's position in {topic}/{partition}");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = self.consumer.committed_offsets(list, self.timeout).map_err(|error| failed(doing(), &error))?;
        let ends = self.consumer.fetch_watermarks(topic, partition, self.timeout);
        let (low, high) = ends.map_err(|error| failed(doing(), &error))?;
        let committed = match found.find_partition(topic, partition).map(|one| one.offset()) {
            // A position after the end is from a topic that was deleted and created again.
            Some(KafkaOffset::Offset(offset)) if offset <= high => offset.max(low),
            _ => low,
        };
        // Offsets are not negative.
        Ok(Offset(committed as u64))
    }

    /// Notes that all blocks before an offset are published. Commits at most once per interval.
    pub(super) fn note(&self, topic: &Arc<str>, partition: i32, next: Offset) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.positions.insert((topic.clone(), partition), next);
        if Instant::now() >= pending.due {
            pending.due = Instant::now() + COMMIT_INTERVAL;
            self.commit(&mut pending, CommitMode::Async);
        }
    }

    fn commit(&self, pending: &mut PendingCommit, mode: CommitMode) {
        // Serves the answers to earlier commits and the logs.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in &pending.positions {
            // Offsets are far below what an i64 holds.
            if let Err(error) = list.add_partition_offset(topic, *partition, KafkaOffset::Offset(next.0 as i64)) {
                tracing::warn!(topic = &**topic, %error, "the outbox's position cannot be committed");
            }
        }
        // A position that is not committed is found in the published records.
        match self.consumer.commit(&list, mode) {
            Ok(()) => pending.positions.clear(),
            Err(error) => tracing::debug!(%error, "the outbox's positions were not committed"),
        }
    }

    /// Commits pending positions.
    pub(super) fn close(&self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.positions.is_empty() {
            self.commit(&mut pending, CommitMode::Async);
        }
    }
}
