//! What the group says, in the callbacks of its consumer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::panics::catch;
use assay_engine::ports::StreamPartition;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::client;
use super::super::fetch::Fetcher;
use super::super::topics::Topics;
use super::owner::Teller;
use super::pulse::Pulse;

/// What the group's consumer and its callbacks share with the rest.
pub(super) struct Group {
    pub(super) topics: Arc<Topics>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) teller: Teller,
    pub(super) pulse: Arc<Pulse>,
    pub(super) revoke_timeout: Duration,
    /// The partitions that this process has.
    pub(super) owned: Mutex<BTreeSet<StreamPartition>>,
    /// Positions that are not committed yet.
    pub(super) saved: Arc<Saved>,
}

/// Positions that are to be committed.
#[derive(Default)]
pub(super) struct Saved(Mutex<BTreeMap<StreamPartition, Offset>>);

impl Saved {
    pub(super) fn note(&self, of: &StreamPartition, events: Offset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of.clone(), events);
    }

    /// Takes out the positions of some partitions.
    fn take(&self, is_wanted: impl Fn(&StreamPartition) -> bool) -> BTreeMap<StreamPartition, Offset> {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (wanted, rest) = std::mem::take(&mut *saved).into_iter().partition(|(of, _)| is_wanted(of));
        *saved = rest;
        wanted
    }

    /// Puts positions back, unless there are newer ones.
    fn put_back(&self, positions: BTreeMap<StreamPartition, Offset>) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, offset) in positions {
            saved.entry(of).or_insert(offset);
        }
    }
}

impl Group {
    /// Does what librdkafka calls back for. A panic must not reach it: its C code would end the process.
    fn called_back(&self, act: impl FnOnce()) {
        if let Err(panicked) = catch(act) {
            tracing::error!(%panicked, "a panic while the group's partitions change hands: joining again");
            self.pulse.doubt();
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<StreamPartition> {
        list.elements().iter().filter_map(|one| self.topics.of_events(one.topic(), one.partition())).collect()
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, BTreeSet<StreamPartition>> {
        // Inserts and removals leave the set whole.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        // This consumer only holds the membership; events are read by another.
        if let Err(error) = consumer.pause(list) {
            tracing::warn!(%error, "pausing the group's consumer");
        }
        let partitions = self.partitions(list);
        self.pulse.joined();
        for of in &partitions {
            self.owned().insert(of.clone());
            match self.topics.get(&of.stream) {
                Ok(topics) => self.fetcher.own(of, topics),
                Err(error) => tracing::error!(partition = %of, %error, "an assigned partition cannot be read"),
            }
        }
        tracing::info!(partitions = partitions.len(), "the group assigned partitions to this process");
        self.teller.assign(partitions);
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions: Vec<StreamPartition> = {
            let owned = self.owned();
            self.partitions(list).into_iter().filter(|of| owned.contains(of)).collect()
        };
        tracing::info!(partitions = partitions.len(), "the group takes partitions from this process");
        self.teller.revoke(partitions.clone(), self.revoke_timeout, || self.pulse.beat());
        self.commit(consumer, CommitMode::Sync, |of| partitions.contains(of));
        self.let_go(&partitions);
    }

    /// The group has given partitions to others already.
    pub(super) fn lost_all(&self) {
        let partitions: Vec<StreamPartition> = std::mem::take(&mut *self.owned()).into_iter().collect();
        if !partitions.is_empty() {
            tracing::warn!(partitions = partitions.len(), "this process has lost its partitions to the group");
        }
        self.teller.lose(partitions.clone());
        self.let_go(&partitions);
    }

    fn let_go(&self, partitions: &[StreamPartition]) {
        for of in partitions {
            self.owned().remove(of);
            self.fetcher.disown(of);
        }
        self.saved.take(|of| partitions.contains(of));
    }

    /// Commits what is saved of partitions that this process has.
    pub(super) fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        mode: CommitMode,
        is_wanted: impl Fn(&StreamPartition) -> bool,
    ) {
        let positions = {
            let owned = self.owned();
            self.saved.take(|of| is_wanted(of) && owned.contains(of))
        };
        if positions.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (of, offset) in &positions {
            let Ok(topics) = self.topics.get(&of.stream) else { continue };
            let Ok(partition) = topics.number(of.partition) else { continue };
            // Offsets are far below what an i64 holds.
            let at = KafkaOffset::Offset(offset.0 as i64);
            if let Err(error) = list.add_partition_offset(&topics.events, partition, at) {
                tracing::warn!(partition = %of, %error, "a position cannot be committed");
            }
        }
        if let Err(error) = consumer.commit(&list, mode) {
            // The engine keeps its own positions; these are for those who watch the group's lag.
            tracing::debug!(%error, "positions were not committed");
            self.saved.put_back(positions);
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.called_back(|| match rebalance {
            Rebalance::Revoke(_) if consumer.assignment_lost() || self.pulse.slept() => {
                self.pulse.left();
                self.lost_all();
            }
            Rebalance::Revoke(list) => self.revoked(consumer, list),
            Rebalance::Assign(_) => {}
            Rebalance::Error(error) => tracing::error!(%error, "the group's partitions cannot be shared out"),
        });
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.called_back(|| self.assigned(consumer, list));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Err(error) = result else { return };
        tracing::debug!(%error, "positions were not committed");
        let position = |one: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let of = self.topics.of_events(one.topic(), one.partition())?;
            match one.offset() {
                KafkaOffset::Offset(offset) => Some((of, Offset(u64::try_from(offset).ok()?))),
                _ => None,
            }
        };
        self.called_back(|| self.saved.put_back(offsets.elements().iter().filter_map(position).collect()));
    }
}
