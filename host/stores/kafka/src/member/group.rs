//! The callbacks of the group's consumer: rebalances and commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::panics::catch;
use assay_engine::ports::PartitionId;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::super::client;
use super::super::fetch::Fetcher;
use super::super::topics::Topics;
use super::rebalance_notifier::RebalanceNotifier;
use super::session_liveness::SessionLiveness;

/// The state that the group's consumer and its callbacks share with the membership.
pub(super) struct Group {
    pub(super) topics: Arc<Topics>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) notifier: RebalanceNotifier,
    pub(super) liveness: Arc<SessionLiveness>,
    pub(super) revoke_timeout: Duration,
    /// The partitions that this process owns.
    pub(super) owned: Mutex<BTreeSet<PartitionId>>,
    /// Positions that are not committed yet.
    pub(super) uncommitted: Arc<UncommittedPositions>,
}

/// Positions that are not committed yet.
#[derive(Default)]
pub(super) struct UncommittedPositions(Mutex<BTreeMap<PartitionId, Offset>>);

impl UncommittedPositions {
    pub(super) fn note(&self, partition: &PartitionId, events: Offset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.clone(), events);
    }

    /// Takes out the positions of the selected partitions.
    fn take(&self, is_selected: impl Fn(&PartitionId) -> bool) -> BTreeMap<PartitionId, Offset> {
        let mut uncommitted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (selected, rest) =
            std::mem::take(&mut *uncommitted).into_iter().partition(|(partition, _)| is_selected(partition));
        *uncommitted = rest;
        selected
    }

    /// Puts positions back, unless there are newer ones.
    fn put_back(&self, positions: BTreeMap<PartitionId, Offset>) {
        let mut uncommitted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, offset) in positions {
            uncommitted.entry(partition).or_insert(offset);
        }
    }
}

impl Group {
    /// Runs the body of a callback. A panic must not unwind into librdkafka's C code, which would abort the process; after
    /// one the member rejoins.
    fn run_callback(&self, act: impl FnOnce()) {
        if let Err(panicked) = catch(act) {
            tracing::error!(%panicked, "a panic while the group's partitions change hands: joining again");
            self.liveness.force_rejoin();
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<PartitionId> {
        list.elements()
            .iter()
            .filter_map(|one| self.topics.find_partition_of_events(one.topic(), one.partition()))
            .collect()
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, BTreeSet<PartitionId>> {
        // A poisoned lock is safe: inserts and removals leave the set whole.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process_assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        // This consumer only holds the membership; the fetcher's consumer reads the events.
        if let Err(error) = consumer.pause(list) {
            tracing::warn!(%error, "pausing the group's consumer");
        }
        let partitions = self.partitions(list);
        self.liveness.note_joined();
        for partition in &partitions {
            self.owned().insert(partition.clone());
            match self.topics.get(&partition.stream) {
                Ok(topics) => self.fetcher.assign(partition, topics),
                Err(error) => tracing::error!(partition = %partition, %error, "an assigned partition cannot be read"),
            }
        }
        tracing::info!(partitions = partitions.len(), "the group assigned partitions to this process");
        self.notifier.assign(partitions);
    }

    fn process_revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions: Vec<PartitionId> = {
            let owned = self.owned();
            self.partitions(list).into_iter().filter(|partition| owned.contains(partition)).collect()
        };
        tracing::info!(partitions = partitions.len(), "the group takes partitions from this process");
        self.notifier.revoke(partitions.clone(), self.revoke_timeout, || self.liveness.record_activity());
        self.commit(consumer, CommitMode::Sync, |partition| partitions.contains(partition));
        self.drop_partitions(&partitions);
    }

    /// Drops all partitions: the group has assigned them to other members already.
    pub(super) fn process_lost(&self) {
        let partitions: Vec<PartitionId> = std::mem::take(&mut *self.owned()).into_iter().collect();
        if !partitions.is_empty() {
            tracing::warn!(partitions = partitions.len(), "this process has lost its partitions to the group");
        }
        self.notifier.lose(partitions.clone());
        self.drop_partitions(&partitions);
    }

    fn drop_partitions(&self, partitions: &[PartitionId]) {
        for partition in partitions {
            self.owned().remove(partition);
            self.fetcher.unassign(partition);
        }
        self.uncommitted.take(|partition| partitions.contains(partition));
    }

    /// Commits the positions of selected partitions that this process owns.
    pub(super) fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        mode: CommitMode,
        is_selected: impl Fn(&PartitionId) -> bool,
    ) {
        let positions = {
            let owned = self.owned();
            self.uncommitted.take(|partition_id| is_selected(partition_id) && owned.contains(partition_id))
        };
        if positions.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition_id, offset) in &positions {
            let Ok(topics) = self.topics.get(&partition_id.stream) else { continue };
            let Ok(partition) = topics.partition_number(partition_id.partition) else { continue };
            // Offsets are far below what an i64 holds.
            let position = KafkaOffset::Offset(offset.0 as i64);
            if let Err(error) = list.add_partition_offset(&topics.events, partition, position) {
                tracing::warn!(partition = %partition_id, %error, "a position cannot be committed");
            }
        }
        if let Err(error) = consumer.commit(&list, mode) {
            // The engine keeps its own positions; these are only for monitoring the group's lag.
            tracing::debug!(%error, "positions were not committed");
            self.uncommitted.put_back(positions);
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.run_callback(|| match rebalance {
            Rebalance::Revoke(_) if consumer.assignment_lost() || self.liveness.is_expired() => {
                self.liveness.note_left();
                self.process_lost();
            }
            Rebalance::Revoke(list) => self.process_revoke(consumer, list),
            Rebalance::Assign(_) => {}
            Rebalance::Error(error) => tracing::error!(%error, "the group's partitions cannot be shared out"),
        });
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.run_callback(|| self.process_assign(consumer, list));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Err(error) = result else { return };
        tracing::debug!(%error, "positions were not committed");
        let position = |one: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let partition = self.topics.find_partition_of_events(one.topic(), one.partition())?;
            match one.offset() {
                KafkaOffset::Offset(offset) => Some((partition, Offset(u64::try_from(offset).ok()?))),
                _ => None,
            }
        };
        self.run_callback(|| self.uncommitted.put_back(offsets.elements().iter().filter_map(position).collect()));
    }
}
