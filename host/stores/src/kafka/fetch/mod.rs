//! Fills the tails of this process's partitions with new events: one thread, one consumer, no group.

mod followed;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::Partition;
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::log::Topic;
use assay_engine::ports::{StoreError, StreamPartition};
use crossbeam_channel::{Receiver, Sender, unbounded};
use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::bells::Bells;
use super::client::{self, Logged};
use super::config::Config;
use super::error::{failed, unavailable};
use super::format::Codec;
use super::history::History;
use super::tails::Tails;
use super::topics::StreamTopics;
use followed::Followed;

/// How long the thread sleeps when nothing comes. Partitions are taken up and let go of between two sleeps.
const SLEEP: Duration = Duration::from_millis(10);
/// Messages that are collected before readers get them, at most.
const COLLECT: usize = 16_384;
/// How long they are collected, at most.
const COLLECT_FOR: Duration = Duration::from_millis(10);
/// How often what is done now and then is done.
const NOW_AND_THEN: Duration = Duration::from_secs(1);
/// How long a broker holds an answer back when there is nothing: a partition that is taken up waits for it.
const BROKER_WAIT_MS: u32 = 100;

/// Fills the tails of this process's partitions.
pub(super) struct Fetcher {
    tails: Arc<Tails>,
    commands: Sender<Command>,
    is_ending: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Command {
    Own(StreamPartition, Arc<StreamTopics>),
    Disown(StreamPartition),
    Renew(StreamPartition, Arc<Codec>),
}

impl Fetcher {
    pub(super) fn start(
        config: &Config,
        tails: Arc<Tails>,
        history: Arc<History>,
        bells: Arc<Bells>,
    ) -> Result<Self, StoreError> {
        let settings = client::reader(config, config.tail_bytes_per_partition, BROKER_WAIT_MS);
        let consumer = BaseConsumer::from_config_and_context(&settings, Logged)
            .map_err(|error| failed("making the reader of new events", &error))?;
        let (commands, inbox) = unbounded();
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut run = Run {
            consumer,
            tails: tails.clone(),
            history,
            bells,
            inbox,
            is_ending: is_ending.clone(),
            owned: BTreeMap::new(),
            followed: Vec::new(),
            last: 0,
            due: Instant::now(),
        };
        let ending = is_ending.clone();
        let is_over = move || ending.load(Ordering::Acquire);
        let thread = panics::spawn("kafka-fetch", is_over, move |heartbeat| run.run(heartbeat));
        let thread = thread.map_err(|error| unavailable(format!("starting the reader of new events: {error}")))?;
        Ok(Self { tails, commands, is_ending, thread: Mutex::new(Some(thread)) })
    }

    /// Follows a partition from its end on.
    pub(super) fn own(&self, of: &StreamPartition, topics: Arc<StreamTopics>) {
        self.tails.forget(of);
        self.tails.make(of);
        // The thread ends only when everything is closed.
        let _ = self.commands.send(Command::Own(of.clone(), topics));
    }

    /// Follows a partition no more.
    pub(super) fn disown(&self, of: &StreamPartition) {
        self.tails.forget(of);
        let _ = self.commands.send(Command::Disown(of.clone()));
    }

    /// Gives new events of a partition in another schema from now on; older ones are read from brokers.
    pub(super) fn renew(&self, stream: &Arc<str>, partition: Partition, codec: &Arc<Codec>) {
        let of = StreamPartition { stream: stream.clone(), partition };
        let _ = self.commands.send(Command::Renew(of, codec.clone()));
    }

    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    pub(super) fn close(&self) {
        self.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of new events ended by a panic");
        }
    }
}

struct Run {
    consumer: BaseConsumer<Logged>,
    tails: Arc<Tails>,
    history: Arc<History>,
    bells: Arc<Bells>,
    inbox: Receiver<Command>,
    is_ending: Arc<AtomicBool>,
    /// All partitions that are to be followed.
    owned: BTreeMap<StreamPartition, Arc<StreamTopics>>,
    followed: Vec<Followed>,
    /// Where the message before belonged: mostly the next one does too.
    last: usize,
    /// When to do what is done now and then.
    due: Instant,
}

impl Run {
    fn run(&mut self, heartbeat: &Heartbeat) {
        self.begin_anew();
        while !self.is_ending.load(Ordering::Acquire) {
            self.obey();
            let is_due = Instant::now() >= self.due;
            if is_due {
                self.due = Instant::now() + NOW_AND_THEN;
                self.history.sweep();
            }
            for followed in &mut self.followed {
                followed.tend(&self.consumer, &self.history, is_due);
            }
            self.collect();
            let mut is_new = false;
            for followed in &mut self.followed {
                is_new |= followed.deliver(&self.consumer);
            }
            if is_new {
                self.bells.ring(Topic::Events);
            }
            heartbeat.beat();
        }
    }

    /// After a panic tails may lack what was in hand: all begin again at the ends of their partitions, and older events
    /// are read from brokers.
    fn begin_anew(&mut self) {
        let consumer = &self.consumer;
        self.followed.drain(..).for_each(|mut followed| followed.stop(consumer));
        let all: Vec<Option<Followed>> = self.owned.iter().map(|(of, topics)| self.tail_of(of, topics)).collect();
        self.followed.extend(all.into_iter().flatten());
    }

    fn obey(&mut self) {
        for _ in 0..self.inbox.len() {
            let Ok(command) = self.inbox.try_recv() else { return };
            match command {
                Command::Own(of, topics) => {
                    self.owned.insert(of.clone(), topics.clone());
                    self.let_go(&of);
                    // None: it was taken away again meanwhile.
                    let events = self.tail_of(&of, &topics);
                    self.followed.extend(events);
                }
                Command::Disown(of) => {
                    self.owned.remove(&of);
                    self.let_go(&of);
                }
                Command::Renew(of, codec) => {
                    let followed = self.followed.iter_mut().find(|followed| followed.of == of);
                    followed.into_iter().for_each(|followed| followed.renew(&codec));
                }
            }
        }
    }

    fn tail_of(&self, of: &StreamPartition, topics: &Arc<StreamTopics>) -> Option<Followed> {
        let partition = topics.number(of.partition).ok()?;
        let codec = topics.codec(topics.newest_schema()).ok()?.clone();
        Some(Followed::new(of.clone(), partition, topics.clone(), codec, self.tails.pair(of)?))
    }

    fn let_go(&mut self, of: &StreamPartition) {
        if let Some(index) = self.followed.iter().position(|followed| followed.of == *of) {
            let mut followed = self.followed.swap_remove(index);
            followed.stop(&self.consumer);
        }
    }

    /// Takes what is there now.
    fn collect(&mut self) {
        let mut patience = SLEEP;
        let mut until = None;
        for _ in 0..COLLECT {
            match self.consumer.poll(patience) {
                Some(Ok(message)) => {
                    let is_it = |followed: &Followed| followed.is_of(message.topic(), message.partition());
                    if !self.followed.get(self.last).is_some_and(is_it) {
                        match self.followed.iter().position(is_it) {
                            Some(index) => self.last = index,
                            None => continue,
                        }
                    }
                    self.followed[self.last].take(&message, &self.consumer);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => tracing::warn!(%error, "reading new events"),
                None => return,
            }
            patience = Duration::ZERO;
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + COLLECT_FOR) {
                return;
            }
        }
    }
}
