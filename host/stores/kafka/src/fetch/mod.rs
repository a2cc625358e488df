//! Fills the tails of the owned partitions with new events: one thread with one consumer, outside of the group.

mod partition;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::PartitionIndex;
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::log::Topic;
use assay_engine::ports::{PartitionId, StoreError};
use crossbeam_channel::{Receiver, Sender, unbounded};
use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::append_signals::AppendSignals;
use super::client::{self, LoggingContext};
use super::config::Config;
use super::error::{failed, unavailable};
use super::format::Codec;
use super::history::History;
use super::tails::Tails;
use super::topics::StreamTopics;
use partition::FetchedPartition;

/// The longest wait for a message. Commands are processed between two waits, so it delays an assignment.
const IDLE_SLEEP: Duration = Duration::from_millis(10);
/// The number of messages that are collected before readers get them.
const MAX_COLLECTED_MESSAGES: usize = 16_384;
/// The time for which messages are collected before readers get them.
const MAX_COLLECT_TIME: Duration = Duration::from_millis(10);
/// The interval of closing idle readers and of reading the ends of partitions that are not fetched.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time that a broker holds back an empty answer. A newly assigned partition waits for the request in flight.
const BROKER_WAIT_MS: u32 = 100;

/// Fills the tails of the owned partitions.
pub(super) struct Fetcher {
    tails: Arc<Tails>,
    commands: Sender<Command>,
    is_closing: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Command {
    Assign(PartitionId, Arc<StreamTopics>),
    Unassign(PartitionId),
    SwitchSchema(PartitionId, Arc<Codec>),
}

impl Fetcher {
    pub(super) fn start(
        config: &Config,
        tails: Arc<Tails>,
        history: Arc<History>,
        append_signals: Arc<AppendSignals>,
    ) -> Result<Self, StoreError> {
        let settings = client::reader_settings(config, config.tail_bytes_per_partition, BROKER_WAIT_MS);
        let consumer = BaseConsumer::from_config_and_context(&settings, LoggingContext)
            .map_err(|error| failed("making the reader of new events", &error))?;
        let (commands, command_receiver) = unbounded();
        let is_closing = Arc::new(AtomicBool::new(false));
        let mut run = FetchLoop {
            consumer,
            tails: tails.clone(),
            history,
            append_signals,
            command_receiver,
            is_closing: is_closing.clone(),
            owned: BTreeMap::new(),
            fetched: Vec::new(),
            last: 0,
            next_housekeeping: Instant::now(),
        };
        let closing = is_closing.clone();
        let is_closed = move || closing.load(Ordering::Acquire);
        let thread = panics::spawn("kafka-fetch", is_closed, move |heartbeat| run.run(heartbeat));
        let thread = thread.map_err(|error| unavailable(format!("starting the reader of new events: {error}")))?;
        Ok(Self { tails, commands, is_closing, thread: Mutex::new(Some(thread)) })
    }

    /// Begins to fetch a partition, from its end on.
    pub(super) fn assign(&self, partition: &PartitionId, topics: Arc<StreamTopics>) {
        self.tails.remove(partition);
        self.tails.get_or_create(partition);
        // The thread ends only when everything is closed.
        let _ = self.commands.send(Command::Assign(partition.clone(), topics));
    }

    /// Stops fetching a partition.
    pub(super) fn unassign(&self, partition: &PartitionId) {
        self.tails.remove(partition);
        let _ = self.commands.send(Command::Unassign(partition.clone()));
    }

    /// Decodes new events of a partition to a later schema from now on. Older events are read from brokers.
    pub(super) fn switch_schema(&self, stream: &Arc<str>, partition: PartitionIndex, codec: &Arc<Codec>) {
        let partition_id = PartitionId { stream: stream.clone(), partition };
        let _ = self.commands.send(Command::SwitchSchema(partition_id, codec.clone()));
    }

    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of new events ended by a panic");
        }
    }
}

struct FetchLoop {
    consumer: BaseConsumer<LoggingContext>,
    tails: Arc<Tails>,
    history: Arc<History>,
    append_signals: Arc<AppendSignals>,
    command_receiver: Receiver<Command>,
    is_closing: Arc<AtomicBool>,
    /// All assigned partitions.
    owned: BTreeMap<PartitionId, Arc<StreamTopics>>,
    fetched: Vec<FetchedPartition>,
    /// The index of the last message's partition: the next message is mostly of the same one.
    last: usize,
    next_housekeeping: Instant,
}

impl FetchLoop {
    fn run(&mut self, heartbeat: &Heartbeat) {
        self.restart_partitions();
        while !self.is_closing.load(Ordering::Acquire) {
            self.process_commands();
            let is_housekeeping_due = Instant::now() >= self.next_housekeeping;
            if is_housekeeping_due {
                self.next_housekeeping = Instant::now() + HOUSEKEEPING_INTERVAL;
                self.history.close_idle_readers();
            }
            for fetched in &mut self.fetched {
                fetched.advance(&self.consumer, &self.history, is_housekeeping_due);
            }
            self.collect_messages();
            let mut is_new = false;
            for fetched in &mut self.fetched {
                is_new |= fetched.deliver(&self.consumer);
            }
            if is_new {
                self.append_signals.notify(Topic::Events);
            }
            heartbeat.mark_alive();
        }
    }

    /// Restarts all partitions at their ends. After a panic the tails may lack the messages in hand; these are read from
    /// brokers then.
    fn restart_partitions(&mut self) {
        let consumer = &self.consumer;
        self.fetched.drain(..).for_each(|mut fetched| fetched.stop(consumer));
        let all: Vec<Option<FetchedPartition>> =
            self.owned.iter().map(|(partition, topics)| self.open_partition(partition, topics)).collect();
        self.fetched.extend(all.into_iter().flatten());
    }

    fn process_commands(&mut self) {
        for _ in 0..self.command_receiver.len() {
            let Ok(command) = self.command_receiver.try_recv() else { return };
            match command {
                Command::Assign(partition, topics) => {
                    self.owned.insert(partition.clone(), topics.clone());
                    self.close_partition(&partition);
                    // None if the partition was unassigned meanwhile.
                    let events = self.open_partition(&partition, &topics);
                    self.fetched.extend(events);
                }
                Command::Unassign(partition) => {
                    self.owned.remove(&partition);
                    self.close_partition(&partition);
                }
                Command::SwitchSchema(partition, codec) => {
                    let fetched = self.fetched.iter_mut().find(|fetched| fetched.partition_id == partition);
                    fetched.into_iter().for_each(|fetched| fetched.switch_schema(&codec));
                }
            }
        }
    }

    fn open_partition(&self, partition_id: &PartitionId, topics: &Arc<StreamTopics>) -> Option<FetchedPartition> {
        let partition = topics.partition_number(partition_id.partition).ok()?;
        let codec = topics.codec(topics.newest_schema()).ok()?.clone();
        Some(FetchedPartition::new(
            partition_id.clone(),
            partition,
            topics.clone(),
            codec,
            self.tails.get_partition(partition_id)?,
        ))
    }

    fn close_partition(&mut self, partition: &PartitionId) {
        if let Some(index) = self.fetched.iter().position(|fetched| fetched.partition_id == *partition) {
            let mut fetched = self.fetched.swap_remove(index);
            fetched.stop(&self.consumer);
        }
    }

    /// Collects the available messages, within the limits.
    fn collect_messages(&mut self) {
        let mut poll_timeout = IDLE_SLEEP;
        let mut collect_until = None;
        for _ in 0..MAX_COLLECTED_MESSAGES {
            match self.consumer.poll(poll_timeout) {
                Some(Ok(message)) => {
                    let is_source =
                        |fetched: &FetchedPartition| fetched.is_source_of(message.topic(), message.partition());
                    if !self.fetched.get(self.last).is_some_and(is_source) {
                        match self.fetched.iter().position(is_source) {
                            Some(index) => self.last = index,
                            None => continue,
                        }
                    }
                    self.fetched[self.last].push(&message, &self.consumer);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => tracing::warn!(%error, "reading new events"),
                None => return,
            }
            poll_timeout = Duration::ZERO;
            if Instant::now() >= *collect_until.get_or_insert_with(|| Instant::now() + MAX_COLLECT_TIME) {
                return;
            }
        }
    }
}
