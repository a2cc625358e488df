//! The membership port: this process is a member of a consumer group, whose coordinator assigns the partitions.
//!
//! It uses the classic protocol, which every Kafka and Redpanda speaks, with the cooperative-sticky assignor: when a process
//! comes or goes, only the partitions that move are stopped, and a partition is assigned only after its former owner has
//! revoked it. `partition.assignment.strategy` among the properties selects another assignor.

mod group;
mod rebalance_notifier;
mod session_liveness;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::membership::{Membership, PartitionOwner};
use assay_engine::ports::{PartitionId, StoreError};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::client;
use super::config::Config;
use super::error::{failed, unavailable};
use super::fetch::Fetcher;
use super::topics::Topics;
use group::{Group, UncommittedPositions};
use rebalance_notifier::RebalanceNotifier;
use session_liveness::SessionLiveness;

/// The timeout of one poll.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// The interval of committing positions.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// The time to leave the group, in addition to the engine's time for a revoke.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The membership in a consumer group.
pub(super) struct KafkaMembership {
    config: Config,
    topics: Arc<Topics>,
    fetcher: Arc<Fetcher>,
    liveness: Arc<SessionLiveness>,
    uncommitted: Arc<UncommittedPositions>,
    /// The topics to subscribe to.
    topics_to_share: Arc<Mutex<BTreeSet<Arc<str>>>>,
    is_leaving: Arc<AtomicBool>,
    /// Set once this process has left the group: waiting appends of its verdicts are aborted then.
    is_ending: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaMembership {
    pub(super) fn new(config: Config, topics: Arc<Topics>, fetcher: Arc<Fetcher>, is_ending: Arc<AtomicBool>) -> Self {
        Self {
            liveness: Arc::new(SessionLiveness::new(config.session_timeout)),
            config,
            topics,
            fetcher,
            uncommitted: Arc::default(),
            topics_to_share: Arc::default(),
            is_leaving: Arc::new(AtomicBool::new(false)),
            is_ending,
            thread: Mutex::new(None),
        }
    }

    fn start(&self, owner: Arc<dyn PartitionOwner>) -> Result<JoinHandle<()>, StoreError> {
        let group = Group {
            topics: self.topics.clone(),
            fetcher: self.fetcher.clone(),
            notifier: RebalanceNotifier::start(owner)?,
            liveness: self.liveness.clone(),
            revoke_timeout: self.config.revoke_timeout,
            owned: Mutex::default(),
            uncommitted: self.uncommitted.clone(),
        };
        let consumer = BaseConsumer::from_config_and_context(&client::member_settings(&self.config), group)
            .map_err(|error| failed("making the member of the group", &error))?;
        let mut run = MemberLoop {
            consumer,
            topics_to_share: self.topics_to_share.clone(),
            subscribed: BTreeSet::new(),
            is_leaving: self.is_leaving.clone(),
            next_commit: Instant::now() + COMMIT_INTERVAL,
            was_running: false,
            leave_timeout: self.config.revoke_timeout * 2 + LEAVE_TIMEOUT,
        };
        let leaving = self.is_leaving.clone();
        let is_closed = move || leaving.load(Ordering::Acquire);
        let thread = panics::spawn("kafka-group", is_closed, move |heartbeat| run.run(heartbeat));
        thread.map_err(|error| unavailable(format!("starting the member of the group: {error}")))
    }
}

impl Membership for KafkaMembership {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            tracing::error!("the group was joined already");
            return;
        }
        match self.start(owner) {
            Ok(started) => *thread = Some(started),
            // The port's `join` returns no error. The other clients were just created from the same settings.
            Err(error) => tracing::error!(%error, "the group cannot be joined: no partitions will be scored here"),
        }
    }

    fn set_partitions(&self, partitions: Vec<PartitionId>) {
        let streams: BTreeSet<Arc<str>> = partitions.into_iter().map(|partition| partition.stream).collect();
        let mut topics = BTreeSet::new();
        for stream in streams {
            match self.topics.get(&stream) {
                Ok(found) => drop(topics.insert(found.events.clone())),
                Err(error) => tracing::error!(stream = &*stream, %error, "a stream cannot be shared out"),
            }
        }
        *self.topics_to_share.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    fn commit(&self, partition: &PartitionId, events: Offset) {
        self.uncommitted.note(partition, events);
    }

    fn is_member(&self) -> bool {
        self.liveness.is_member()
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

/// The state of the group's thread.
struct MemberLoop {
    consumer: BaseConsumer<Group>,
    topics_to_share: Arc<Mutex<BTreeSet<Arc<str>>>>,
    subscribed: BTreeSet<Arc<str>>,
    is_leaving: Arc<AtomicBool>,
    next_commit: Instant,
    /// True after the loop has started. At a start it is true only after a panic.
    was_running: bool,
    leave_timeout: Duration,
}

impl MemberLoop {
    fn run(&mut self, heartbeat: &Heartbeat) {
        let group = self.consumer.context().clone();
        if self.was_running {
            // After a panic the engine's partitions may differ from those of the group, so the member rejoins.
            group.liveness.force_rejoin();
        }
        self.was_running = true;
        while !self.is_leaving.load(Ordering::Acquire) {
            group.liveness.record_activity();
            if group.liveness.is_expired() && !self.subscribed.is_empty() {
                self.rejoin(&group);
            }
            self.subscribe();
            self.poll();
            if Instant::now() >= self.next_commit {
                self.next_commit = Instant::now() + COMMIT_INTERVAL;
                group.commit(&self.consumer, CommitMode::Async, |_| true);
            }
            heartbeat.mark_alive();
        }
        self.leave(&group);
        group.liveness.note_left();
        group.notifier.end();
    }

    fn poll(&self) {
        match self.consumer.poll(POLL_TIMEOUT) {
            // The partitions are paused. A message that was fetched before the pause is also read by the fetcher.
            Some(Ok(_)) | None => {}
            Some(Err(error)) => tracing::warn!(%error, "the group"),
        }
    }

    /// Joins the group again after an expired session: the group has assigned the partitions to other members.
    fn rejoin(&mut self, group: &Group) {
        tracing::warn!("this process slept longer than the group's session: its partitions are others' by now");
        group.liveness.note_left();
        group.process_lost();
        self.consumer.unsubscribe();
        self.subscribed.clear();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while self.has_assignment() && Instant::now() < deadline {
            group.liveness.record_activity();
            self.poll();
        }
        // The next assignment sets the partitions again.
        group.liveness.reset();
    }

    fn has_assignment(&self) -> bool {
        self.consumer.assignment().is_ok_and(|list| list.count() > 0)
    }

    fn subscribe(&mut self) {
        let topics_to_share = self.topics_to_share.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if topics_to_share == self.subscribed {
            return;
        }
        let topics: Vec<&str> = topics_to_share.iter().map(|topic| &**topic).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(error) = self.consumer.subscribe(&topics) {
            tracing::error!(%error, ?topics, "the group cannot be joined for these topics; trying again");
            return;
        }
        self.subscribed = topics_to_share;
    }

    fn leave(&self, group: &Group) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + self.leave_timeout;
        while self.has_assignment() && Instant::now() < deadline {
            group.liveness.record_activity();
            self.poll();
        }
        // Drops the partitions that were not revoked in time.
        group.process_lost();
    }
}
