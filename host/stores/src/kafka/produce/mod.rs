//! Hands records to the brokers, and tells when they are there. Bounded by the bytes that are under way.

mod budget;
mod sending;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_engine::panics::{self, Heartbeat, catch};
use assay_engine::ports::StoreError;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext, PurgeConfig};

use super::client;
use super::error::{closed, failed, failed_with, unavailable};
use budget::Budget;
use sending::Batch;

pub(super) use sending::{Done, Outgoing, Sending};

/// How long the polling thread sleeps at most; reports of deliveries wake it.
const POLL: Duration = Duration::from_millis(100);
/// How long to wait for reports of what will not be delivered any more.
const LAST_REPORTS: Duration = Duration::from_millis(500);
/// What a record costs beside its bytes, about.
const RECORD_BYTES: usize = 128;

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

impl Producer {
    /// `is_ending`: who waits for brokers gives up.
    pub(super) fn open(
        name: &'static str,
        settings: ClientConfig,
        most_bytes: usize,
        is_ending: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let budget = Arc::new(Budget::new(most_bytes, is_ending));
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
        Ok(Sending::new(topic, batches, bytes, live, done))
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

    /// Waits until everything under way is there, at most until then, and refuses what comes from here on.
    pub(super) fn close(&self, deadline: Instant) {
        self.budget.close();
        let left = self.budget.wait_until_free(deadline);
        if left > 0 {
            tracing::warn!(producer = self.name, bytes = left, "closed before all records were delivered");
        }
        self.live.read().unwrap_or_else(PoisonError::into_inner).end();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.close(Instant::now());
    }
}

impl Live {
    fn start(name: &'static str, settings: &ClientConfig, budget: &Arc<Budget>) -> Result<Arc<Self>, StoreError> {
        let reports = Reports { budget: budget.clone(), is_fatal: AtomicBool::new(false) };
        let producer = BaseProducer::from_config_and_context(settings, reports)
            .map_err(|error| failed(format_args!("making the producer of {name}"), &error))?;
        let live = Arc::new(Self { producer, is_ending: AtomicBool::new(false), thread: Mutex::new(None) });
        let (polled, ending) = (live.clone(), live.clone());
        let is_over = move || ending.is_ending.load(Ordering::Acquire);
        let thread = panics::spawn(format!("kafka-{name}"), is_over, move |heartbeat: &Heartbeat| {
            while !polled.is_ending.load(Ordering::Acquire) {
                polled.producer.poll(POLL);
                heartbeat.beat();
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
            // A panic there was reported by the panic itself.
            let _ = thread.join();
        }
        // Whoever still waits is told.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        if let Err(error) = self.producer.flush(LAST_REPORTS) {
            tracing::warn!(%error, "closing a producer");
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

impl Reports {
    fn take(&self, result: &DeliveryResult<'_>, batch: &Batch) {
        match result {
            // Offsets of what was delivered are not negative.
            Ok(message) => batch.note(Offset(message.offset() as u64)),
            Err((error, message)) => {
                let code = error.rdkafka_error_code();
                self.note_fatal(code);
                let doing = format!("appending to {}/{}", message.topic(), message.partition());
                batch.fail(match code {
                    Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => closed(),
                    code => failed_with(doing, code, error),
                });
            }
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
        // A panic must not reach librdkafka: its C code would end the process. A record is reported in any case, so that
        // whoever waits for it is answered.
        if let Err(panicked) = catch(|| self.take(result, &batch)) {
            batch.fail(unavailable(format!("taking the report of a delivery: {panicked}")));
        }
        if let Err(panicked) = catch(|| batch.reported(&self.budget)) {
            tracing::error!(%panicked, "a panic in what is done after an append");
        }
    }
}

/// What is locked here is counters and slots: none can be left half-written by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
