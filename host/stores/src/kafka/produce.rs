//! Hands records to the brokers, and tells when they are there. Bounded by the bytes that are under way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Offsets};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::client;
use super::error::{closed, failed, failed_with, unavailable};

/// How long the polling thread sleeps at most; reports of deliveries wake it.
const POLL: Duration = Duration::from_millis(100);
/// What a record costs beside its bytes, about.
const RECORD_BYTES: usize = 128;

/// One record on its way out.
pub(super) struct Outgoing<'a> {
    pub(super) partition: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    /// ms since 1970; none: now.
    pub(super) timestamp: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
}

/// What is called when all records of a sending are there, or one of them never will be.
pub(super) type Done = Box<dyn FnOnce(Result<Vec<Appended>, StoreError>) + Send>;

/// Records that are answered for together, in batches of one partition each.
pub(super) struct Sending {
    batches: Vec<Arc<Batch>>,
    whole: Arc<Whole>,
    live: Arc<Live>,
    topic: Arc<str>,
    /// Records that are still to be sent.
    unsent: usize,
    is_given_up: bool,
}

struct Batch {
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

/// A producer that is made anew after errors that librdkafka cannot mend.
pub(super) struct Producer {
    settings: ClientConfig,
    name: &'static str,
    budget: Arc<Budget>,
    live: RwLock<Arc<Live>>,
}

/// A working producer and the thread that polls it.
struct Live {
    producer: BaseProducer<Reports>,
    is_ending: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Takes reports of deliveries.
struct Reports {
    budget: Arc<Budget>,
    is_fatal: AtomicBool,
}

/// Bytes under way.
struct Budget {
    most: usize,
    used: Mutex<usize>,
    freed: Condvar,
    is_closed: AtomicBool,
}

impl Producer {
    pub(super) fn open(name: &'static str, settings: ClientConfig, most_bytes: usize) -> Result<Self, StoreError> {
        let budget = Arc::new(Budget {
            most: most_bytes,
            used: Mutex::new(0),
            freed: Condvar::new(),
            is_closed: AtomicBool::new(false),
        });
        let live = RwLock::new(Live::start(name, &settings, &budget)?);
        Ok(Self { settings, name, budget, live })
    }

    /// Begins to send batches of so many records each, which must all be handed to [`Sending::send`]. Blocks while too
    /// much is under way.
    pub(super) fn begin(
        &self,
        topic: &Arc<str>,
        batches: &[(Partition, usize)],
        bytes: usize,
        done: Done,
    ) -> Result<Sending, StoreError> {
        let records: usize = batches.iter().map(|(_, records)| records).sum();
        let bytes = bytes + records * RECORD_BYTES;
        self.budget.take(bytes)?;
        let live = self.live().inspect_err(|_| self.budget.give_back(bytes))?;
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
        Ok(Sending { batches, whole, live, topic: topic.clone(), unsent: records, is_given_up: false })
    }

    fn live(&self) -> Result<Arc<Live>, StoreError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !live.is_fatal() {
            return Ok(live);
        }
        let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_fatal() {
            tracing::error!(producer = self.name, "the Kafka client cannot go on and is made anew");
            let new = Live::start(self.name, &self.settings, &self.budget)?;
            std::mem::replace(&mut *slot, new).end();
        }
        Ok(slot.clone())
    }

    /// Waits until everything under way is there, at most so long, and refuses what comes from here on.
    pub(super) fn close(&self, at_most: Duration) {
        self.budget.close();
        let deadline = Instant::now() + at_most;
        let left = self.budget.wait_until_free(deadline);
        if left > 0 {
            tracing::warn!(producer = self.name, bytes = left, "closed before all records were delivered");
        }
        self.live.read().unwrap_or_else(PoisonError::into_inner).end();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

impl Sending {
    /// Sends the next record of a batch.
    pub(super) fn send(&mut self, batch: usize, record: Outgoing<'_>) {
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
    fn appended(&self) -> Appended {
        let offsets = std::mem::take(&mut *lock(&self.offsets));
        let first = offsets.first().copied().unwrap_or_default();
        let is_contiguous = (first.0..).zip(&offsets).all(|(expected, offset)| offset.0 == expected);
        let offsets = if is_contiguous { Offsets::From(first) } else { Offsets::Each(offsets) };
        Appended { partition: self.partition, offsets }
    }
}

impl Live {
    fn start(name: &'static str, settings: &ClientConfig, budget: &Arc<Budget>) -> Result<Arc<Self>, StoreError> {
        let reports = Reports { budget: budget.clone(), is_fatal: AtomicBool::new(false) };
        let producer = BaseProducer::from_config_and_context(settings, reports)
            .map_err(|error| failed(format_args!("making the producer of {name}"), &error))?;
        let live = Arc::new(Self { producer, is_ending: AtomicBool::new(false), thread: Mutex::new(None) });
        let polled = live.clone();
        let thread = thread::Builder::new().name(format!("kafka-{name}")).spawn(move || {
            while !polled.is_ending.load(Ordering::Acquire) {
                polled.producer.poll(POLL);
            }
        });
        let thread = thread.map_err(|error| unavailable(format!("starting the producer of {name}: {error}")))?;
        *lock(&live.thread) = Some(thread);
        Ok(live)
    }

    fn is_fatal(&self) -> bool {
        self.producer.context().is_fatal.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        if let Some(thread) = lock(&self.thread).take() {
            // A panic there was reported by the panic itself; all who waited see that no answer comes.
            let _ = thread.join();
        }
    }
}

impl Reports {
    fn note_fatal(&self, code: Option<RDKafkaErrorCode>) {
        if code == Some(RDKafkaErrorCode::Fatal) {
            self.is_fatal.store(true, Ordering::Release);
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note_fatal(error.rdkafka_error_code());
        client::report(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        match result {
            // Offsets of what was delivered are not negative.
            Ok(message) => lock(&batch.offsets).push(Offset(message.offset() as u64)),
            Err((error, message)) => {
                let code = error.rdkafka_error_code();
                self.note_fatal(code);
                let doing = format!("appending to {}/{}", message.topic(), message.partition());
                batch.whole.fail(match code {
                    Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => closed(),
                    code => failed_with(doing, code, error),
                });
            }
        }
        batch.whole.reported(&self.budget);
    }
}

impl Budget {
    fn take(&self, bytes: usize) -> Result<(), StoreError> {
        let mut used = lock(&self.used);
        // Who alone is larger than the budget may go when nothing else is under way.
        while *used > 0 && *used + bytes > self.most {
            if self.is_closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            used = self.freed.wait_timeout(used, POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
        if self.is_closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        *used += bytes;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        *lock(&self.used) -= bytes;
        self.freed.notify_all();
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.freed.notify_all();
    }

    /// Waits until nothing is under way. Returns how many bytes still are.
    fn wait_until_free(&self, deadline: Instant) -> usize {
        let mut used = lock(&self.used);
        while *used > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            used = self.freed.wait_timeout(used, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *used
    }
}

/// What is locked here is counters and slots: none can be left half-written by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
