//! The connection to a Kafka cluster: builds the adapters and closes them in order.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::log::Log;
use assay_engine::ports::membership::Membership;
use assay_engine::ports::outbox::Outbox;

use super::admin::Admin;
use super::append_signals::AppendSignals;
use super::client;
use super::config::Config;
use super::fetch::Fetcher;
use super::history::History;
use super::log::KafkaLog;
use super::member::KafkaMembership;
use super::outbox::KafkaOutbox;
use super::produce::Producer;
use super::schemas::Schemas;
use super::tails::Tails;
use super::topics::Topics;

/// The longest wait for records in flight when the adapters are closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The adapters on one Kafka cluster.
pub struct Kafka {
    log: Arc<KafkaLog>,
    membership: Arc<KafkaMembership>,
    outbox: Arc<KafkaOutbox>,
}

impl Kafka {
    /// Creates the clients of a cluster. It does not wait until the cluster answers.
    ///
    /// # Errors
    /// librdkafka refuses the settings, or a thread cannot start.
    pub fn open(config: Config, schemas: Arc<dyn Schemas>) -> Result<Self, StoreError> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let history = Arc::new(History::open(&config)?);
        let append_signals = Arc::new(AppendSignals::default());
        let tails = Arc::new(Tails::new(config.tail_bytes_per_partition));
        let fetcher = Arc::new(Fetcher::start(&config, tails, history.clone(), append_signals.clone())?);
        let settings = client::producer_settings(&config, config.linger, config.append_timeout.as_millis().max(1));
        let caller_producer = Producer::open("callers", settings, config.in_flight_bytes, is_ending.clone())?;
        let settings = client::producer_settings(&config, Duration::ZERO, 0);
        let engine_producer = Producer::open("engine", settings, config.in_flight_bytes, is_ending.clone())?;
        let partitioner = config.partitioner;
        let topics = Arc::new(Topics::new(Admin::open(&config)?, config.clone(), schemas.clone()));
        let outbox = Arc::new(KafkaOutbox::open(&config, topics.clone(), schemas, is_ending.clone())?);
        let membership = Arc::new(KafkaMembership::new(config, topics.clone(), fetcher.clone(), is_ending));
        let log = KafkaLog { topics, history, fetcher, append_signals, caller_producer, engine_producer, partitioner };
        Ok(Self { log: Arc::new(log), membership, outbox })
    }

    /// The log of events and verdicts.
    pub fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// The membership in the group.
    pub fn membership(&self) -> Arc<dyn Membership> {
        self.membership.clone()
    }

    /// The outbox of verdicts and dead letters. Its topics are created when a stream first publishes.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }

    /// Leaves the group and closes all clients. It waits up to 10 s for records in flight. Repeated calls do no harm.
    ///
    /// The order matters: the engine's last verdicts and positions are sent while it leaves the group, so the producers
    /// are closed after that.
    pub fn close(&self) {
        self.membership.leave();
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        self.outbox.close(deadline);
        self.log.caller_producer.close(deadline);
        self.log.engine_producer.close(deadline);
        self.log.history.close();
        self.log.fetcher.close();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.close();
    }
}
