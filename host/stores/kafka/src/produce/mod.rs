//! Sends records to brokers and reports their acknowledgement. The bytes in flight are bounded.

mod in_flight_bytes;
mod sending;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
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
use in_flight_bytes::InFlightBytes;
use sending::Batch;

pub(super) use sending::{OnAcknowledged, RecordToSend, Sending};

/// The timeout of one poll. Delivery reports end it early.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest wait for the reports of purged records.
const LAST_REPORTS_TIMEOUT: Duration = Duration::from_millis(500);
/// The memory of a record in addition to its bytes, about.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// A producer that is replaced after fatal errors of librdkafka.
pub(super) struct Producer {
    settings: ClientConfig,
    name: &'static str,
    in_flight_bytes: Arc<InFlightBytes>,
    live: RwLock<Arc<LiveProducer>>,
}

/// A working producer and the thread that polls it.
struct LiveProducer {
    producer: BaseProducer<Reports>,
    is_ending: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The context of the client: it receives the delivery reports.
struct Reports {
    in_flight_bytes: Arc<InFlightBytes>,
    is_fatal: AtomicBool,
}

impl Producer {
    /// Starts a producer. `max_bytes` bounds the bytes in flight; `is_ending` ends waits for them.
    pub(super) fn open(
        name: &'static str,
        settings: ClientConfig,
        max_bytes: usize,
        is_ending: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let in_flight_bytes = Arc::new(InFlightBytes::new(max_bytes, is_ending));
        let live = RwLock::new(LiveProducer::start(name, &settings, &in_flight_bytes)?);
        Ok(Self { settings, name, in_flight_bytes, live })
    }

    /// Begins to send batches with these numbers of records, which must all be passed to [`Sending::send`]. Blocks while
    /// too many bytes are in flight.
    pub(super) fn begin(
        &self,
        topic: &Arc<str>,
        batches: &[(PartitionIndex, usize)],
        bytes: usize,
        on_acknowledged: OnAcknowledged,
    ) -> Result<Sending, StoreError> {
        let records: usize = batches.iter().map(|(_, records)| records).sum();
        let bytes = bytes + records * RECORD_OVERHEAD_BYTES;
        self.in_flight_bytes.acquire(bytes)?;
        let live = self.get_live().inspect_err(|_| self.in_flight_bytes.release(bytes))?;
        Ok(Sending::new(topic, batches, bytes, live, on_acknowledged))
    }

    fn get_live(&self) -> Result<Arc<LiveProducer>, StoreError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !live.is_fatal() {
            return Ok(live);
        }
        let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_fatal() {
            tracing::error!(producer = self.name, "the Kafka client cannot go on and is made anew");
            let new = LiveProducer::start(self.name, &self.settings, &self.in_flight_bytes)?;
            std::mem::replace(&mut *slot, new).stop();
        }
        Ok(slot.clone())
    }

    /// Refuses further records, and waits until the deadline for those in flight.
    pub(super) fn close(&self, deadline: Instant) {
        self.in_flight_bytes.close();
        let left = self.in_flight_bytes.wait_until_free(deadline);
        if left > 0 {
            tracing::warn!(producer = self.name, bytes = left, "closed before all records were delivered");
        }
        self.live.read().unwrap_or_else(PoisonError::into_inner).stop();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.close(Instant::now());
    }
}

impl LiveProducer {
    fn start(
        name: &'static str,
        settings: &ClientConfig,
        in_flight_bytes: &Arc<InFlightBytes>,
    ) -> Result<Arc<Self>, StoreError> {
        let reports = Reports { in_flight_bytes: in_flight_bytes.clone(), is_fatal: AtomicBool::new(false) };
        let producer = BaseProducer::from_config_and_context(settings, reports)
            .map_err(|error| failed(format_args!("making the producer of {name}"), &error))?;
        let live = Arc::new(Self { producer, is_ending: AtomicBool::new(false), thread: Mutex::new(None) });
        let (polled, stopping) = (live.clone(), live.clone());
        let is_stopped = move || stopping.is_ending.load(Ordering::Acquire);
        let thread = panics::spawn(format!("kafka-{name}"), is_stopped, move |heartbeat: &Heartbeat| {
            while !polled.is_ending.load(Ordering::Acquire) {
                polled.producer.poll(POLL_TIMEOUT);
                heartbeat.mark_alive();
            }
        });
        let thread = thread.map_err(|error| unavailable(format!("starting the producer of {name}: {error}")))?;
        *lock(&live.thread) = Some(thread);
        Ok(live)
    }

    fn is_fatal(&self) -> bool {
        self.producer.context().is_fatal.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.is_ending.store(true, Ordering::Release);
        if let Some(thread) = lock(&self.thread).take() {
            // A panic of the thread has been logged by the panic hook.
            let _ = thread.join();
        }
        // Purged records are reported as failed, so that every waiting call gets an answer.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        if let Err(error) = self.producer.flush(LAST_REPORTS_TIMEOUT) {
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
    fn process_report(&self, result: &DeliveryResult<'_>, batch: &Batch) {
        match result {
            // Offsets of delivered records are not negative.
            Ok(message) => batch.record_offset(Offset(message.offset() as u64)),
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
        client::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note_fatal(error.rdkafka_error_code());
        client::log_error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        // A panic must not unwind into librdkafka's C code, which would abort the process. Every record counts as reported
        // in any case, so that its append gets an answer.
        if let Err(panicked) = catch(|| self.process_report(result, &batch)) {
            batch.fail(unavailable(format!("taking the report of a delivery: {panicked}")));
        }
        if let Err(panicked) = catch(|| batch.on_report(&self.in_flight_bytes)) {
            tracing::error!(%panicked, "a panic in what is done after an append");
        }
    }
}

/// Locks a mutex. A poisoned lock is safe here: all of them guard counters and slots that change in one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
