//! One partition that is fetched from its end on. It pauses while its tail is full and while the registry does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_engine::ports::log::Topic;
use assay_engine::ports::{PartitionId, StoreError};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset as KafkaOffset, TopicPartitionList};

use super::super::blocks::BlockBuilder;
use super::super::client::LoggingContext;
use super::super::error::failed;
use super::super::format::{Codec, MessageDecoder};
use super::super::history::History;
use super::super::tails::PartitionTails;
use super::super::topics::StreamTopics;

/// The delay before the first retry. It doubles up to [`MAX_RETRY_DELAY`].
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

/// One partition that is fetched.
pub(super) struct FetchedPartition {
    pub(super) partition_id: PartitionId,
    partition: i32,
    topics: Arc<StreamTopics>,
    tails: PartitionTails,
    blocks: BlockBuilder,
    /// The next offset to fetch.
    next: u64,
    state: FetchState,
    retry_delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchState {
    /// The end is not known yet. It is read at this time.
    New(Instant),
    Running,
    /// The tail is full.
    Paused,
    /// A message cannot be decoded yet. It is retried at this time.
    Failed(Instant),
}

impl FetchedPartition {
    pub(super) fn new(
        partition_id: PartitionId,
        partition: i32,
        topics: Arc<StreamTopics>,
        codec: Arc<Codec>,
        tails: PartitionTails,
    ) -> Self {
        let blocks = BlockBuilder::new(Some(MessageDecoder::new(codec)));
        let state = FetchState::New(Instant::now());
        Self { partition_id, partition, topics, tails, blocks, next: 0, state, retry_delay: MIN_RETRY_DELAY }
    }

    /// Switches to a later schema: the tail restarts at the next event.
    pub(super) fn switch_schema(&mut self, codec: &Arc<Codec>) {
        if codec.number <= self.blocks.schema() {
            return;
        }
        // The builder is empty: blocks are delivered after each round.
        self.blocks = BlockBuilder::new(Some(MessageDecoder::new(codec.clone())));
        if matches!(self.state, FetchState::New(_)) {
            // The start uses this schema once the end is known.
            return;
        }
        self.tails.events.start_in(codec.number, self.next);
        if let FetchState::Failed(due) = &mut self.state {
            *due = Instant::now();
        }
    }

    pub(super) fn is_source_of(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topics.events == *topic
    }

    /// Performs the transition that is due, such as a start, a retry or a resume.
    pub(super) fn advance(
        &mut self,
        consumer: &BaseConsumer<LoggingContext>,
        history: &History,
        is_housekeeping_due: bool,
    ) {
        let result = match self.state {
            FetchState::New(due) if due <= Instant::now() => self.start(consumer, history),
            FetchState::Failed(due) if due <= Instant::now() => {
                self.note_lost(history).and_then(|()| self.fetch_from(consumer, self.next))
            }
            FetchState::Paused if self.tails.events.has_room() => self.resume(consumer, history),
            FetchState::Paused | FetchState::Failed(_) if is_housekeeping_due => {
                history.read_ends(&self.topics.events, self.partition).map(|(_, end)| self.tails.events.note_end(end))
            }
            _ => return,
        };
        if let Err(error) = result {
            tracing::warn!(partition = %self.partition_id, %error, "new events cannot be read; trying again");
            self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
            match self.state {
                FetchState::New(_) => self.state = FetchState::New(Instant::now() + self.retry_delay),
                FetchState::Failed(_) => self.state = FetchState::Failed(Instant::now() + self.retry_delay),
                FetchState::Running | FetchState::Paused => {}
            }
        }
    }

    /// Starts at the partition's end. Readers get older events from brokers.
    fn start(&mut self, consumer: &BaseConsumer<LoggingContext>, history: &History) -> Result<(), StoreError> {
        let (_, verdicts) = history.read_ends(&self.topics.verdict_log, self.partition)?;
        let (_, events) = history.read_ends(&self.topics.events, self.partition)?;
        self.fetch_from(consumer, events)?;
        self.tails.verdicts.start(verdicts);
        self.tails.events.start_in(self.blocks.schema(), events);
        Ok(())
    }

    fn fetch_from(&mut self, consumer: &BaseConsumer<LoggingContext>, offset: u64) -> Result<(), StoreError> {
        let doing = || format!("reading {}/{} at {offset}", self.topics.events, self.partition);
        let mut list = TopicPartitionList::new();
        // Offsets are far below what an i64 holds.
        let at = KafkaOffset::Offset(offset as i64);
        list.add_partition_offset(&self.topics.events, self.partition, at).map_err(|error| failed(doing(), &error))?;
        consumer.incremental_assign(&list).map_err(|error| failed(doing(), &error))?;
        self.next = offset;
        self.state = FetchState::Running;
        Ok(())
    }

    fn resume(&mut self, consumer: &BaseConsumer<LoggingContext>, history: &History) -> Result<(), StoreError> {
        self.note_lost(history)?;
        let list = self.make_list();
        consumer.resume(&list).map_err(|error| failed(format_args!("resuming {}", self.partition_id), &error))?;
        self.state = FetchState::Running;
        Ok(())
    }

    /// Counts the records that retention deleted while nothing was fetched.
    fn note_lost(&self, history: &History) -> Result<(), StoreError> {
        history.note_lost(&self.topics, Topic::Events, self.partition, self.next).map(drop)
    }

    /// Adds a message. If it cannot be decoded yet, fetching stops until a retry.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>, consumer: &BaseConsumer<LoggingContext>) {
        // Offsets of fetched messages are not negative.
        let offset = message.offset() as u64;
        if offset < self.next || self.state != FetchState::Running {
            return;
        }
        match self.blocks.push(message) {
            Ok(()) => {
                self.next = offset + 1;
                if self.retry_delay > MIN_RETRY_DELAY {
                    self.retry_delay = MIN_RETRY_DELAY;
                    self.tails.events.note_failure(None);
                }
            }
            Err(error) => {
                tracing::warn!(partition = %self.partition_id, offset, %error, "an event cannot be read yet; trying again");
                self.stop(consumer);
                self.next = offset;
                self.tails.events.note_failure(Some(error));
                self.state = FetchState::Failed(Instant::now() + self.retry_delay);
                self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
            }
        }
    }

    /// Moves the collected blocks to the tail. Returns whether there were any.
    pub(super) fn deliver(&mut self, consumer: &BaseConsumer<LoggingContext>) -> bool {
        let blocks = self.blocks.take();
        let is_new = !blocks.is_empty();
        blocks.into_iter().for_each(|block| self.tails.events.push(block));
        if self.state == FetchState::Running && self.tails.events.is_full() {
            match consumer.pause(&self.make_list()) {
                Ok(()) => self.state = FetchState::Paused,
                Err(error) => tracing::warn!(partition = %self.partition_id, %error, "reading cannot be paused"),
            }
        }
        is_new
    }

    /// Stops fetching.
    pub(super) fn stop(&mut self, consumer: &BaseConsumer<LoggingContext>) {
        if matches!(self.state, FetchState::Running | FetchState::Paused)
            && let Err(error) = consumer.incremental_unassign(&self.make_list())
        {
            log_stop_failure(&self.partition_id, &error);
        }
    }

    fn make_list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topics.events, self.partition);
        list
    }
}

fn log_stop_failure(partition: &PartitionId, error: &KafkaError) {
    tracing::warn!(partition = %partition, %error, "reading cannot be stopped");
}
