//! The records of one append: sent one by one, reported one by one, acknowledged together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Offsets};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _};

use super::super::error::{failed, unavailable};
use super::in_flight_bytes::InFlightBytes;
use super::{LiveProducer, lock};

/// One record to send.
pub(crate) struct RecordToSend<'a> {
    pub(crate) partition: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    /// ms since 1970; none for the present time.
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Option<OwnedHeaders>,
}

/// Called once all records of a sending are reported: with their offsets, or with the first failure.
pub(crate) type OnAcknowledged = Box<dyn FnOnce(Result<Vec<Appended>, StoreError>) + Send>;

/// The records of one append, in batches of one partition each.
pub(crate) struct Sending {
    batches: Vec<Arc<Batch>>,
    state: Arc<SendingState>,
    live: Arc<LiveProducer>,
    topic: Arc<str>,
    /// The number of records that were not sent yet.
    unsent: usize,
    has_failed: bool,
}

pub(super) struct Batch {
    state: Arc<SendingState>,
    partition: PartitionIndex,
    /// Deliveries are reported in the order of sending, because the producer is idempotent.
    offsets: Mutex<Vec<Offset>>,
}

struct SendingState {
    /// The number of records that are not reported yet, and one until the sending is dropped.
    unreported: AtomicUsize,
    bytes: usize,
    failure: Mutex<Option<StoreError>>,
    completion: Mutex<Option<(OnAcknowledged, Vec<Arc<Batch>>)>>,
}

impl Sending {
    pub(super) fn new(
        topic: &Arc<str>,
        batches: &[(PartitionIndex, usize)],
        bytes: usize,
        live: Arc<LiveProducer>,
        on_acknowledged: OnAcknowledged,
    ) -> Self {
        let records: usize = batches.iter().map(|(_, records)| records).sum();
        let state = Arc::new(SendingState {
            // One more, so that the append does not complete before all records are sent.
            unreported: AtomicUsize::new(records + 1),
            bytes,
            failure: Mutex::new(None),
            completion: Mutex::new(None),
        });
        let batch = |(partition, records): &(PartitionIndex, usize)| {
            let offsets = Mutex::new(Vec::with_capacity(*records));
            Arc::new(Batch { state: state.clone(), partition: *partition, offsets })
        };
        let batches: Vec<Arc<Batch>> = batches.iter().map(batch).collect();
        *lock(&state.completion) = Some((on_acknowledged, batches.clone()));
        Self { batches, state, live, topic: topic.clone(), unsent: records, has_failed: false }
    }

    /// Sends the next record of a batch.
    pub(crate) fn send(&mut self, batch: usize, record: RecordToSend<'_>) {
        if self.has_failed {
            return;
        }
        let mut message = BaseRecord::with_opaque_to(&self.topic, self.batches[batch].clone())
            .partition(record.partition)
            .payload(record.payload);
        message.key = record.key;
        message.timestamp = record.timestamp;
        message.headers = record.headers;
        loop {
            match self.live.producer.send(message) {
                Ok(()) => break,
                // The bound of bytes in flight is lower, but librdkafka counts differently.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    self.live.producer.context().note_fatal(error.rdkafka_error_code());
                    self.state.fail(failed(format_args!("appending to {}/{}", self.topic, record.partition), &error));
                    self.has_failed = true;
                    return;
                }
            }
        }
        self.unsent -= 1;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.unsent > 0 {
            // Records that were not sent are never reported.
            self.state.fail(unavailable(format!("not all records for {} were handed over", self.topic)));
            self.state.unreported.fetch_sub(self.unsent, Ordering::AcqRel);
        }
        self.state.on_report(&self.live.producer.context().in_flight_bytes);
    }
}

impl SendingState {
    fn fail(&self, error: StoreError) {
        lock(&self.failure).get_or_insert(error);
    }

    /// Counts the report of a record. The last report completes the append.
    fn on_report(&self, in_flight_bytes: &InFlightBytes) {
        if self.unreported.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let Some((on_acknowledged, batches)) = lock(&self.completion).take() else { return };
        in_flight_bytes.release(self.bytes);
        let result = match lock(&self.failure).take() {
            Some(error) => Err(error),
            None => Ok(batches.iter().map(|batch| batch.take_appended()).collect()),
        };
        on_acknowledged(result);
    }
}

impl Batch {
    /// Records the offset of the next delivered record.
    pub(super) fn record_offset(&self, offset: Offset) {
        lock(&self.offsets).push(offset);
    }

    /// Fails the append: a record was not delivered.
    pub(super) fn fail(&self, error: StoreError) {
        self.state.fail(error);
    }

    /// Counts the report of a record.
    pub(super) fn on_report(&self, in_flight_bytes: &InFlightBytes) {
        self.state.on_report(in_flight_bytes);
    }

    fn take_appended(&self) -> Appended {
        let offsets = std::mem::take(&mut *lock(&self.offsets));
        let first = offsets.first().copied().unwrap_or_default();
        let is_contiguous = (first.0..).zip(&offsets).all(|(expected, offset)| offset.0 == expected);
        let offsets = if is_contiguous { Offsets::From(first) } else { Offsets::Each(offsets) };
        Appended { partition: self.partition, offsets }
    }
}
