//! A consumer that reads one partition from a position on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::blocks::BlockBuilder;
use super::super::client::LoggingContext;
use super::super::error::{closed, failed, unavailable};
use super::ReadRequest;

/// A reused reader without messages for this long seeks to its position again.
const SEEK_RETRY_DELAY: Duration = Duration::from_millis(300);
/// The interval at which a waiting read checks whether it should end.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A consumer at a position of one partition.
pub(super) struct BrokerReader {
    pub(super) consumer: BaseConsumer<LoggingContext>,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The offset of the next record.
    pub(super) position: u64,
    /// The end of the partition when it was last read.
    pub(super) end: u64,
    /// There are no records from the position up to this offset.
    pub(super) nothing_before: u64,
    /// True if the last seek came after `end` was read. Only then a reported end of the partition is at least `end`.
    pub(super) has_sought_since_end: bool,
    pub(super) blocks: BlockBuilder,
    pub(super) last_used: Instant,
}

impl BrokerReader {
    /// Seeks to the position.
    pub(super) fn seek(&mut self) -> Result<(), StoreError> {
        let Self { topic, partition, position, .. } = &*self;
        let mut list = TopicPartitionList::new();
        // Offsets are far below what an i64 holds.
        let added = list.add_partition_offset(topic, *partition, KafkaOffset::Offset(*position as i64));
        added
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| failed(format_args!("reading {topic}/{partition} at {position}"), &error))?;
        self.has_sought_since_end = true;
        Ok(())
    }

    /// Collects available records from the position on, up to the limits. It waits up to `timeout` for the first one.
    pub(super) fn collect(
        &mut self,
        request: &ReadRequest<'_>,
        timeout: Duration,
        is_closed: &AtomicBool,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        loop {
            let (records, bytes) = (self.blocks.records(), self.blocks.bytes());
            if records > 0 && (records >= request.max_records || bytes >= request.max_bytes) {
                return Ok(());
            }
            let poll_timeout = if records > 0 { Duration::ZERO } else { CLOSE_CHECK_INTERVAL };
            let must_seek = match self.consumer.poll(poll_timeout) {
                Some(Ok(message)) if offset(&message) < self.position => false,
                Some(Ok(message)) => {
                    self.blocks.push(&message)?;
                    false
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None if records > 0 => return Ok(()),
                Some(Err(KafkaError::PartitionEOF(_))) if self.has_sought_since_end => {
                    // Up to the end there are only transaction markers.
                    self.nothing_before = self.end;
                    return Ok(());
                }
                // librdkafka reports an end only once, and this one may be from before `end` was read.
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
                None => !self.has_sought_since_end && start.elapsed() >= SEEK_RETRY_DELAY,
            };
            if must_seek {
                self.seek()?;
            }
        }
    }
}

/// The offset of a fetched message; it is not negative.
fn offset(message: &BorrowedMessage<'_>) -> u64 {
    message.offset() as u64
}
