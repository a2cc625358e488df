//! One partition that is followed: from its end on, with pauses while nobody reads and while the registry is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_engine::ports::log::Topic;
use assay_engine::ports::{StoreError, StreamPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset as KafkaOffset, TopicPartitionList};

use super::super::blocks::Blocks;
use super::super::client::Logged;
use super::super::error::failed;
use super::super::format::{Codec, Reading};
use super::super::history::History;
use super::super::tails::Pair;
use super::super::topics::StreamTopics;

/// How long to wait before trying again, at first and at last.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// One partition that is followed.
pub(super) struct Followed {
    pub(super) of: StreamPartition,
    partition: i32,
    topics: Arc<StreamTopics>,
    tails: Pair,
    blocks: Blocks,
    /// The next offset that is wanted.
    next: u64,
    state: State,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its end is not known yet. To be asked for then.
    New(Instant),
    Running,
    /// The tail is full.
    Paused,
    /// A message cannot be read yet. To be tried again then.
    Failed(Instant),
}

impl Followed {
    pub(super) fn new(
        of: StreamPartition,
        partition: i32,
        topics: Arc<StreamTopics>,
        codec: Arc<Codec>,
        tails: Pair,
    ) -> Self {
        let blocks = Blocks::new(Some(Reading::new(codec)));
        let state = State::New(Instant::now());
        Self { of, partition, topics, tails, blocks, next: 0, state, delay: FIRST_DELAY }
    }

    /// Goes on in a later schema: the tail begins anew at the next event.
    pub(super) fn renew(&mut self, codec: &Arc<Codec>) {
        if codec.number <= self.blocks.schema() {
            return;
        }
        // Nothing is in the blocks: they are delivered after each round.
        self.blocks = Blocks::new(Some(Reading::new(codec.clone())));
        if matches!(self.state, State::New(_)) {
            // It begins in this schema when its end is known.
            return;
        }
        self.tails.events.start_in(codec.number, self.next);
        if let State::Failed(due) = &mut self.state {
            *due = Instant::now();
        }
    }

    pub(super) fn is_of(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topics.events == *topic
    }

    /// Does what is due.
    pub(super) fn tend(&mut self, consumer: &BaseConsumer<Logged>, history: &History, is_due: bool) {
        let done = match self.state {
            State::New(due) if due <= Instant::now() => self.start(consumer, history),
            State::Failed(due) if due <= Instant::now() => {
                self.note_lost(history).and_then(|()| self.fetch_from(consumer, self.next))
            }
            State::Paused if self.tails.events.has_room() => self.resume(consumer, history),
            State::Paused | State::Failed(_) if is_due => {
                history.ends(&self.topics.events, self.partition).map(|(_, end)| self.tails.events.note_end(end))
            }
            _ => return,
        };
        if let Err(error) = done {
            tracing::warn!(partition = %self.of, %error, "new events cannot be read; trying again");
            self.delay = (self.delay * 2).min(LONGEST_DELAY);
            match self.state {
                State::New(_) => self.state = State::New(Instant::now() + self.delay),
                State::Failed(_) => self.state = State::Failed(Instant::now() + self.delay),
                State::Running | State::Paused => {}
            }
        }
    }

    /// Begins at the partition's end: older events are read by whoever needs them.
    fn start(&mut self, consumer: &BaseConsumer<Logged>, history: &History) -> Result<(), StoreError> {
        let (_, verdicts) = history.ends(&self.topics.verdict_log, self.partition)?;
        let (_, events) = history.ends(&self.topics.events, self.partition)?;
        self.fetch_from(consumer, events)?;
        self.tails.verdicts.start(verdicts);
        self.tails.events.start_in(self.blocks.schema(), events);
        Ok(())
    }

    fn fetch_from(&mut self, consumer: &BaseConsumer<Logged>, offset: u64) -> Result<(), StoreError> {
        let doing = || format!("reading {}/{} at {offset}", self.topics.events, self.partition);
        let mut list = TopicPartitionList::new();
        // Offsets are far below what an i64 holds.
        let at = KafkaOffset::Offset(offset as i64);
        list.add_partition_offset(&self.topics.events, self.partition, at).map_err(|error| failed(doing(), &error))?;
        consumer.incremental_assign(&list).map_err(|error| failed(doing(), &error))?;
        self.next = offset;
        self.state = State::Running;
        Ok(())
    }

    fn resume(&mut self, consumer: &BaseConsumer<Logged>, history: &History) -> Result<(), StoreError> {
        self.note_lost(history)?;
        let list = self.list();
        consumer.resume(&list).map_err(|error| failed(format_args!("resuming {}", self.of), &error))?;
        self.state = State::Running;
        Ok(())
    }

    /// Counts what was deleted while nothing was fetched.
    fn note_lost(&self, history: &History) -> Result<(), StoreError> {
        history.note_lost(&self.topics, Topic::Events, self.partition, self.next).map(drop)
    }

    /// Takes a message.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>, consumer: &BaseConsumer<Logged>) {
        // Offsets of what was fetched are not negative.
        let offset = message.offset() as u64;
        if offset < self.next || self.state != State::Running {
            return;
        }
        match self.blocks.push(message) {
            Ok(()) => {
                self.next = offset + 1;
                if self.delay > FIRST_DELAY {
                    self.delay = FIRST_DELAY;
                    self.tails.events.note_failure(None);
                }
            }
            Err(error) => {
                tracing::warn!(partition = %self.of, offset, %error, "an event cannot be read yet; trying again");
                self.stop(consumer);
                self.next = offset;
                self.tails.events.note_failure(Some(error));
                self.state = State::Failed(Instant::now() + self.delay);
                self.delay = (self.delay * 2).min(LONGEST_DELAY);
            }
        }
    }

    /// Hands what was taken to the tail. Whether there was anything.
    pub(super) fn deliver(&mut self, consumer: &BaseConsumer<Logged>) -> bool {
        let blocks = self.blocks.take();
        let is_new = !blocks.is_empty();
        blocks.into_iter().for_each(|block| self.tails.events.push(block));
        if self.state == State::Running && self.tails.events.is_full() {
            match consumer.pause(&self.list()) {
                Ok(()) => self.state = State::Paused,
                Err(error) => tracing::warn!(partition = %self.of, %error, "reading cannot be paused"),
            }
        }
        is_new
    }

    /// Fetches no more.
    pub(super) fn stop(&mut self, consumer: &BaseConsumer<Logged>) {
        if matches!(self.state, State::Running | State::Paused)
            && let Err(error) = consumer.incremental_unassign(&self.list())
        {
            report(&self.of, &error);
        }
    }

    fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topics.events, self.partition);
        list
    }
}

fn report(of: &StreamPartition, error: &KafkaError) {
    tracing::warn!(partition = %of, %error, "reading cannot be stopped");
}
