//! The log, the membership and the outbox on Kafka's protocol: Apache Kafka, Redpanda.
//!
//! Events are in a topic that others may write to; `format` translates. The engine's verdicts are in a topic of their
//! own. `member` shares the events' partitions out among processes; `fetch` keeps the newest events of this process's
//! partitions in memory (`tail`); `history` reads everything older. `outbox` publishes verdicts and dead letters.

mod acked;
mod admin;
mod bells;
mod blocks;
mod client;
mod config;
mod error;
mod fetch;
mod format;
mod history;
mod last;
mod log;
mod member;
mod outbox;
mod partitioner;
mod produce;
mod registry;
mod retention;
mod schemas;
mod tail;
mod tails;
mod topics;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::log::Log;
use assay_engine::ports::membership::Membership;
use assay_engine::ports::outbox::Outbox;

use admin::Admin;
use bells::Bells;
use fetch::Fetcher;
use history::History;
use log::KafkaLog;
use member::KafkaMembership;
use outbox::KafkaOutbox;
use produce::Producer;
use tails::Tails;
use topics::Topics;

pub use config::{Config, Partitioner};
pub use registry::RegistryClient;
pub use schemas::{CatalogSchemas, Schemas};

/// How long to wait at the end for what is on its way.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The adapters on one Kafka cluster.
pub struct Kafka {
    log: Arc<KafkaLog>,
    membership: Arc<KafkaMembership>,
    outbox: Arc<KafkaOutbox>,
}

impl Kafka {
    /// Connects to a cluster. Does not wait until it answers.
    ///
    /// # Errors
    /// librdkafka refuses the settings.
    pub fn open(config: Config, schemas: Arc<dyn Schemas>) -> Result<Self, StoreError> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let history = Arc::new(History::open(&config)?);
        let bells = Arc::new(Bells::default());
        let tails = Arc::new(Tails::new(config.tail_bytes_per_partition));
        let fetcher = Arc::new(Fetcher::start(&config, tails, history.clone(), bells.clone())?);
        let settings = client::producer(&config, config.linger, config.append_timeout.as_millis().max(1));
        let for_callers = Producer::open("callers", settings, config.in_flight_bytes, is_ending.clone())?;
        let settings = client::producer(&config, Duration::ZERO, 0);
        let for_engine = Producer::open("engine", settings, config.in_flight_bytes, is_ending.clone())?;
        let partitioner = config.partitioner;
        let topics = Arc::new(Topics::new(Admin::open(&config)?, config.clone(), schemas.clone()));
        let outbox = Arc::new(KafkaOutbox::open(&config, topics.clone(), schemas, is_ending.clone())?);
        let membership = Arc::new(KafkaMembership::new(config, topics.clone(), fetcher.clone(), is_ending));
        let log = KafkaLog { topics, history, fetcher, bells, for_callers, for_engine, partitioner };
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

    /// Verdicts and dead letters for others. Its topics are made when a stream first has something to publish.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }

    /// Lets go of everything. Waits a while for what is on its way to the brokers.
    pub fn close(&self) {
        self.membership.leave();
        let deadline = Instant::now() + LAST_WORDS;
        self.outbox.close(deadline);
        self.log.for_callers.close(deadline);
        self.log.for_engine.close(deadline);
        self.log.history.close();
        self.log.fetcher.close();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.close();
    }
}
