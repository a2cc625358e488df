//! Which partitions this process scores: it is a member of a consumer group, whose coordinator shares them out.
//!
//! The protocol is the classic one, which every Kafka and Redpanda speaks, with the cooperative-sticky assignor: when a
//! process comes or goes, only the partitions that move are stopped, and a partition is given out only after the
//! process that had it has let go. `partition.assignment.strategy` among the properties chooses another.

mod group;
mod owner;
mod pulse;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::membership::{Membership, Owner};
use assay_engine::ports::{StoreError, StreamPartition};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::client;
use super::config::Config;
use super::error::{failed, unavailable};
use super::fetch::Fetcher;
use super::topics::Topics;
use group::{Group, Saved};
use owner::Teller;
use pulse::Pulse;

/// How long one poll takes at most.
const POLL: Duration = Duration::from_millis(50);
/// How often positions are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long leaving takes at most beyond the engine's time.
const LEAVE: Duration = Duration::from_secs(5);

/// The membership in a consumer group.
pub(super) struct KafkaMembership {
    config: Config,
    topics: Arc<Topics>,
    fetcher: Arc<Fetcher>,
    pulse: Arc<Pulse>,
    saved: Arc<Saved>,
    /// The topics to have a share of.
    wanted: Arc<Mutex<BTreeSet<Arc<str>>>>,
    is_leaving: Arc<AtomicBool>,
    /// Set when this process has left: nothing that it scores is wanted any more.
    is_ending: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaMembership {
    pub(super) fn new(config: Config, topics: Arc<Topics>, fetcher: Arc<Fetcher>, is_ending: Arc<AtomicBool>) -> Self {
        Self {
            pulse: Arc::new(Pulse::new(config.session_timeout)),
            config,
            topics,
            fetcher,
            saved: Arc::default(),
            wanted: Arc::default(),
            is_leaving: Arc::new(AtomicBool::new(false)),
            is_ending,
            thread: Mutex::new(None),
        }
    }

    fn start(&self, owner: Arc<dyn Owner>) -> Result<JoinHandle<()>, StoreError> {
        let group = Group {
            topics: self.topics.clone(),
            fetcher: self.fetcher.clone(),
            teller: Teller::start(owner)?,
            pulse: self.pulse.clone(),
            revoke_timeout: self.config.revoke_timeout,
            owned: Mutex::default(),
            saved: self.saved.clone(),
        };
        let consumer = BaseConsumer::from_config_and_context(&client::member(&self.config), group)
            .map_err(|error| failed("making the member of the group", &error))?;
        let mut run = Run {
            consumer,
            wanted: self.wanted.clone(),
            subscribed: BTreeSet::new(),
            is_leaving: self.is_leaving.clone(),
            due: Instant::now() + COMMIT_EVERY,
            is_running: false,
            leave_within: self.config.revoke_timeout * 2 + LEAVE,
        };
        let leaving = self.is_leaving.clone();
        let is_over = move || leaving.load(Ordering::Acquire);
        let thread = panics::spawn("kafka-group", is_over, move |heartbeat| run.run(heartbeat));
        thread.map_err(|error| unavailable(format!("starting the member of the group: {error}")))
    }
}

impl Membership for KafkaMembership {
    fn join(&self, owner: Arc<dyn Owner>) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            tracing::error!("the group was joined already");
            return;
        }
        match self.start(owner) {
            Ok(started) => *thread = Some(started),
            // Settings that the other clients were made of a moment ago.
            Err(error) => tracing::error!(%error, "the group cannot be joined: no partitions will be scored here"),
        }
    }

    fn share(&self, partitions: Vec<StreamPartition>) {
        let streams: BTreeSet<Arc<str>> = partitions.into_iter().map(|of| of.stream).collect();
        let mut topics = BTreeSet::new();
        for stream in streams {
            match self.topics.get(&stream) {
                Ok(found) => drop(topics.insert(found.events.clone())),
                Err(error) => tracing::error!(stream = &*stream, %error, "a stream cannot be shared out"),
            }
        }
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    fn saved(&self, of: &StreamPartition, events: Offset) {
        self.saved.note(of, events);
    }

    fn is_member(&self) -> bool {
        self.pulse.is_member()
    }

    fn leave(&self) {
        self.is_leaving.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the member of the group ended by a panic");
        }
        self.is_ending.store(true, Ordering::Release);
    }
}

/// What the group's thread works with.
struct Run {
    consumer: BaseConsumer<Group>,
    wanted: Arc<Mutex<BTreeSet<Arc<str>>>>,
    subscribed: BTreeSet<Arc<str>>,
    is_leaving: Arc<AtomicBool>,
    due: Instant,
    /// A round has begun and not ended, which after a panic is so.
    is_running: bool,
    leave_within: Duration,
}

impl Run {
    fn run(&mut self, heartbeat: &Heartbeat) {
        let group = self.consumer.context().clone();
        if self.is_running {
            // A panic came between: the group and the engine may think differently of who has what.
            group.pulse.doubt();
        }
        self.is_running = true;
        while !self.is_leaving.load(Ordering::Acquire) {
            group.pulse.beat();
            if group.pulse.slept() && !self.subscribed.is_empty() {
                self.join_again(&group);
            }
            self.subscribe();
            self.poll();
            if Instant::now() >= self.due {
                self.due = Instant::now() + COMMIT_EVERY;
                group.commit(&self.consumer, CommitMode::Async, |_| true);
            }
            heartbeat.beat();
        }
        self.leave(&group);
        group.pulse.left();
        group.teller.end();
    }

    fn poll(&self) {
        match self.consumer.poll(POLL) {
            // Its partitions are paused. What it fetched before that is read by others.
            Some(Ok(_)) | None => {}
            Some(Err(error)) => tracing::warn!(%error, "the group"),
        }
    }

    /// The group did without this process for longer than it waits for anyone.
    fn join_again(&mut self, group: &Group) {
        tracing::warn!("this process slept longer than the group's session: its partitions are others' by now");
        group.pulse.left();
        group.lost_all();
        self.consumer.unsubscribe();
        self.subscribed.clear();
        let deadline = Instant::now() + LEAVE;
        while self.has_assignment() && Instant::now() < deadline {
            group.pulse.beat();
            self.poll();
        }
        // What matters is that it is told anew what it has.
        group.pulse.awake();
    }

    fn has_assignment(&self) -> bool {
        self.consumer.assignment().is_ok_and(|list| list.count() > 0)
    }

    fn subscribe(&mut self) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if wanted == self.subscribed {
            return;
        }
        let topics: Vec<&str> = wanted.iter().map(|topic| &**topic).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(error) = self.consumer.subscribe(&topics) {
            tracing::error!(%error, ?topics, "the group cannot be joined for these topics; trying again");
            return;
        }
        self.subscribed = wanted;
    }

    fn leave(&self, group: &Group) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + self.leave_within;
        while self.has_assignment() && Instant::now() < deadline {
            group.pulse.beat();
            self.poll();
        }
        // What was not taken back in time.
        group.lost_all();
    }
}
