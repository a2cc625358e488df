//! Up to where the engine's log of verdicts is published, as committed positions of a group of its own.
//!
//! The records themselves say so better, but a stream whose rules rarely speak has an old last record, and reading on
//! from there would take long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::client::{self, Logged};
use super::super::config::Config;
use super::super::error::failed;

/// How often positions are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Nothing is fetched.
const AHEAD_BYTES: usize = 1 << 20;

/// Up to where the verdicts are published.
pub(super) struct Positions {
    consumer: BaseConsumer<Logged>,
    timeout: Duration,
    pending: Mutex<Pending>,
}

struct Pending {
    positions: HashMap<(Arc<str>, i32), Offset>,
    due: Instant,
}

impl Positions {
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let mut settings = client::reader(config, AHEAD_BYTES, 20);
        // Nobody is a member of it, so that anybody may commit.
        settings.set("group.id", format!("{}.outbox", config.group));
        let consumer = BaseConsumer::from_config_and_context(&settings, Logged)
            .map_err(|error| failed("making the outbox's positions", &error))?;
        let pending = Mutex::new(Pending { positions: HashMap::new(), due: Instant::now() });
        Ok(Self { consumer, timeout: config.request_timeout, pending })
    }

    /// The offset of the verdicts' log before which everything is published, as far as that is known.
    pub(super) fn read(&self, topic: &str, partition: i32) -> Result<Offset, StoreError> {
        let doing = || format!("reading the outbox's position in {topic}/{partition}");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = self.consumer.committed_offsets(list, self.timeout).map_err(|error| failed(doing(), &error))?;
        let ends = self.consumer.fetch_watermarks(topic, partition, self.timeout);
        let (low, high) = ends.map_err(|error| failed(doing(), &error))?;
        let committed = match found.find_partition(topic, partition).map(|one| one.offset()) {
            // One beyond the end is of a topic that was deleted and made again.
            Some(KafkaOffset::Offset(offset)) if offset <= high => offset.max(low),
            _ => low,
        };
        // Offsets are not negative.
        Ok(Offset(committed as u64))
    }

    /// Everything before an offset is published.
    pub(super) fn note(&self, topic: &Arc<str>, partition: i32, next: Offset) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.positions.insert((topic.clone(), partition), next);
        if Instant::now() >= pending.due {
            pending.due = Instant::now() + COMMIT_EVERY;
            self.commit(&mut pending, CommitMode::Async);
        }
    }

    fn commit(&self, pending: &mut Pending, mode: CommitMode) {
        // Answers to earlier commits, and logs.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in &pending.positions {
            // Offsets are far below what an i64 holds.
            if let Err(error) = list.add_partition_offset(topic, *partition, KafkaOffset::Offset(next.0 as i64)) {
                tracing::warn!(topic = &**topic, %error, "the outbox's position cannot be committed");
            }
        }
        // What is not committed is looked for in the records.
        match self.consumer.commit(&list, mode) {
            Ok(()) => pending.positions.clear(),
            Err(error) => tracing::debug!(%error, "the outbox's positions were not committed"),
        }
    }

    /// Commits what waits.
    pub(super) fn close(&self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.positions.is_empty() {
            self.commit(&mut pending, CommitMode::Async);
        }
    }
}
