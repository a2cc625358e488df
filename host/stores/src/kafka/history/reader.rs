//! A consumer that reads one partition from one place on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::blocks::Blocks;
use super::super::client::Logged;
use super::super::error::{closed, failed, unavailable};
use super::Wanted;

/// How long a reader that comes back may be silent before it is sent to its position once more.
const SILENT: Duration = Duration::from_millis(300);
/// How often a waiting read looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// A consumer at one place of one partition.
pub(super) struct Reader {
    pub(super) consumer: BaseConsumer<Logged>,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The next record that it gives.
    pub(super) position: u64,
    /// The partition's end, as it was once.
    pub(super) end: u64,
    /// There are no records between the position and this.
    pub(super) nothing_before: u64,
    /// Whether it was sent to its position after `end` was asked for. Only then the end that it finds is not older.
    pub(super) is_fresh: bool,
    pub(super) blocks: Blocks,
    pub(super) used: Instant,
}

impl Reader {
    /// Sends the consumer to the position.
    pub(super) fn go(&mut self) -> Result<(), StoreError> {
        let Self { topic, partition, position, .. } = &*self;
        let mut list = TopicPartitionList::new();
        // Offsets are far below what an i64 holds.
        let added = list.add_partition_offset(topic, *partition, KafkaOffset::Offset(*position as i64));
        added
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| failed(format_args!("reading {topic}/{partition} at {position}"), &error))?;
        self.is_fresh = true;
        Ok(())
    }

    /// Collects what there is from the position on. Waits for the first record, at most so long.
    pub(super) fn collect(
        &mut self,
        wanted: &Wanted<'_>,
        timeout: Duration,
        is_closed: &AtomicBool,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        loop {
            let (records, bytes) = (self.blocks.records(), self.blocks.bytes());
            if records > 0 && (records >= wanted.max_records || bytes >= wanted.max_bytes) {
                return Ok(());
            }
            let patience = if records > 0 { Duration::ZERO } else { LOOK };
            let is_astray = match self.consumer.poll(patience) {
                Some(Ok(message)) if offset(&message) < self.position => false,
                Some(Ok(message)) => {
                    self.blocks.push(&message)?;
                    false
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None if records > 0 => return Ok(()),
                Some(Err(KafkaError::PartitionEOF(_))) if self.is_fresh => {
                    // Markers of transactions are all that there is.
                    self.nothing_before = self.end;
                    return Ok(());
                }
                // It was at the end already, and that is told only once.
                Some(Err(KafkaError::PartitionEOF(_))) => true,
                Some(Err(error)) => {
                    tracing::warn!(topic = &*self.topic, %error, "reading from a broker");
                    false
                }
                None if is_closed.load(Ordering::Acquire) => return Err(closed()),
                None if start.elapsed() >= timeout => {
                    let (topic, partition, position) = (&self.topic, self.partition, self.position);
                    return Err(unavailable(format!("no records of {topic}/{partition} at {position} came in time")));
                }
                None => !self.is_fresh && start.elapsed() >= SILENT,
            };
            if is_astray {
                self.go()?;
            }
        }
    }
}

/// Offsets of what was fetched are not negative.
fn offset(message: &BorrowedMessage<'_>) -> u64 {
    message.offset() as u64
}
