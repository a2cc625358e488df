//! Records that are answered for together: sent one by one, reported one by one, answered once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Offsets};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _};

use super::super::error::{failed, unavailable};
use super::budget::Budget;
use super::{Live, lock};

/// One record on its way out.
pub(in crate::kafka) struct Outgoing<'a> {
    pub(in crate::kafka) partition: i32,
    pub(in crate::kafka) key: Option<&'a [u8]>,
    pub(in crate::kafka) payload: &'a [u8],
    /// ms since 1970; none: now.
    pub(in crate::kafka) timestamp: Option<i64>,
    pub(in crate::kafka) headers: Option<OwnedHeaders>,
}

/// What is called when all records of a sending are there, or one of them never will be.
pub(in crate::kafka) type Done = Box<dyn FnOnce(Result<Vec<Appended>, StoreError>) + Send>;

/// Records that are answered for together, in batches of one partition each.
pub(in crate::kafka) struct Sending {
    batches: Vec<Arc<Batch>>,
    whole: Arc<Whole>,
    live: Arc<Live>,
    topic: Arc<str>,
    /// Records that are still to be sent.
    unsent: usize,
    is_given_up: bool,
}

pub(super) struct Batch {
    whole: Arc<Whole>,
    partition: Partition,
    /// Deliveries are reported in the order of sending, because the producer is idempotent.
    offsets: Mutex<Vec<Offset>>,
}

struct Whole {
    /// Records that are not reported yet.
    left: AtomicUsize,
    bytes: usize,
    failure: Mutex<Option<StoreError>>,
    done: Mutex<Option<(Done, Vec<Arc<Batch>>)>>,
}

impl Sending {
    pub(super) fn new(
        topic: &Arc<str>,
        batches: &[(Partition, usize)],
        bytes: usize,
        live: Arc<Live>,
        done: Done,
    ) -> Self {
        let records: usize = batches.iter().map(|(_, records)| records).sum();
        let whole = Arc::new(Whole {
            // One more, so that nothing is done before everything was handed over.
            left: AtomicUsize::new(records + 1),
            bytes,
            failure: Mutex::new(None),
            done: Mutex::new(None),
        });
        let batch = |(partition, records): &(Partition, usize)| {
            let offsets = Mutex::new(Vec::with_capacity(*records));
            Arc::new(Batch { whole: whole.clone(), partition: *partition, offsets })
        };
        let batches: Vec<Arc<Batch>> = batches.iter().map(batch).collect();
        *lock(&whole.done) = Some((done, batches.clone()));
        Self { batches, whole, live, topic: topic.clone(), unsent: records, is_given_up: false }
    }

    /// Sends the next record of a batch.
    pub(in crate::kafka) fn send(&mut self, batch: usize, record: Outgoing<'_>) {
        if self.is_given_up {
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
                // Our own bound is lower, but librdkafka counts in its own way.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    self.live.producer.context().note_fatal(error.rdkafka_error_code());
                    self.whole.fail(failed(format_args!("appending to {}/{}", self.topic, record.partition), &error));
                    self.is_given_up = true;
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
            // Records that were not handed over are never reported.
            self.whole.fail(unavailable(format!("not all records for {} were handed over", self.topic)));
            self.whole.left.fetch_sub(self.unsent, Ordering::AcqRel);
        }
        self.whole.reported(&self.live.producer.context().budget);
    }
}

impl Whole {
    fn fail(&self, error: StoreError) {
        lock(&self.failure).get_or_insert(error);
    }

    /// One record less to wait for. The last one answers.
    fn reported(&self, budget: &Budget) {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let Some((done, batches)) = lock(&self.done).take() else { return };
        budget.give_back(self.bytes);
        let result = match lock(&self.failure).take() {
            Some(error) => Err(error),
            None => Ok(batches.iter().map(|batch| batch.appended()).collect()),
        };
        done(result);
    }
}

impl Batch {
    /// The next record is there.
    pub(super) fn note(&self, offset: Offset) {
        lock(&self.offsets).push(offset);
    }

    /// A record will not be there.
    pub(super) fn fail(&self, error: StoreError) {
        self.whole.fail(error);
    }

    /// A record was reported on. The last one answers for all.
    pub(super) fn reported(&self, budget: &Budget) {
        self.whole.reported(budget);
    }

    fn appended(&self) -> Appended {
        let offsets = std::mem::take(&mut *lock(&self.offsets));
        let first = offsets.first().copied().unwrap_or_default();
        let is_contiguous = (first.0..).zip(&offsets).all(|(expected, offset)| offset.0 == expected);
        let offsets = if is_contiguous { Offsets::From(first) } else { Offsets::Each(offsets) };
        Appended { partition: self.partition, offsets }
    }
}
