//! Appends that were handed over and are not acknowledged. They are stored, and acknowledged, in the order of their lane:
//! what one process appends to one partition of a topic. Lanes overtake each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use assay_core::names::Offset;
use tokio::sync::oneshot;

use super::faults::{Fate, Random};
use super::world::ProcessId;
use crate::ports::log::{Appended, Receipt, Records, Topic};
use crate::ports::{PartitionId, StoreError};

/// What one process appends to one partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) process: Option<ProcessId>,
    pub(super) partition: PartitionId,
    pub(super) topic: Topic,
}

/// Records for one partition.
pub(super) struct Batch {
    /// The append that it is part of.
    pub(super) append: u64,
    /// Which part.
    pub(super) index: usize,
    pub(super) records: Arc<Records>,
    pub(super) is_synced: bool,
    /// The assignment of the partition to the process when it was handed over; none: it was not the owner, as far as it knew.
    pub(super) assignment: Option<u64>,
    pub(super) fate: Fate,
    /// The offset of its first record once it is stored.
    pub(super) stored: Option<Offset>,
}

/// What can happen next in a lane.
pub(super) enum Move {
    Store(Lane),
    Acknowledge(Lane),
}

/// An append whose receipt is still to come.
struct Open {
    answer: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    /// By batch.
    appended: Vec<Option<Appended>>,
}

/// All appends under way.
#[derive(Default)]
pub(super) struct InFlight {
    lanes: BTreeMap<Lane, VecDeque<Batch>>,
    open: BTreeMap<u64, Open>,
    next: u64,
}

impl InFlight {
    /// Begins an append of so many batches.
    pub(super) fn begin(&mut self, batches: usize) -> (u64, Receipt) {
        let (answer, receipt) = oneshot::channel();
        let append = self.next;
        self.next += 1;
        if batches == 0 {
            // Whoever appended may not wait for the receipt.
            let _ = answer.send(Ok(Vec::new()));
        } else {
            self.open.insert(append, Open { answer, appended: vec![None; batches] });
        }
        (append, receipt)
    }

    pub(super) fn push(&mut self, lane: &Lane, batch: Batch) {
        self.lanes.entry(lane.clone()).or_default().push_back(batch);
    }

    /// How many batches of a lane are under way.
    pub(super) fn len(&self, lane: &Lane) -> usize {
        self.lanes.get(lane).map_or(0, VecDeque::len)
    }

    pub(super) fn moves(&self) -> impl Iterator<Item = Move> {
        self.lanes.iter().flat_map(|(lane, batches)| {
            let store = batches.iter().any(|batch| batch.stored.is_none()).then(|| Move::Store(lane.clone()));
            let is_stored = batches.front().is_some_and(|front| front.stored.is_some());
            let acknowledge = is_stored.then(|| Move::Acknowledge(lane.clone()));
            store.into_iter().chain(acknowledge)
        })
    }

    /// The first batch of a lane that is not stored.
    pub(super) fn first_unstored(&mut self, lane: &Lane) -> Option<&mut Batch> {
        self.lanes.get_mut(lane)?.iter_mut().find(|batch| batch.stored.is_none())
    }

    /// Drops the batches of a lane that are not stored: the first of them failed, and none may be stored before it.
    pub(super) fn fail_unstored(&mut self, lane: &Lane, error: &StoreError) {
        let Some(batches) = self.lanes.get_mut(lane) else { return };
        let stored = batches.iter().take_while(|batch| batch.stored.is_some()).count();
        let failed = batches.split_off(stored);
        failed.iter().for_each(|batch| self.fail(batch.append, error.clone()));
        self.remove_if_empty(lane);
    }

    /// Takes the first batch of a lane, if it is stored.
    pub(super) fn take_stored(&mut self, lane: &Lane) -> Option<Batch> {
        let first = self.lanes.get_mut(lane)?.pop_front_if(|batch| batch.stored.is_some());
        self.remove_if_empty(lane);
        first
    }

    fn remove_if_empty(&mut self, lane: &Lane) {
        if self.len(lane) == 0 {
            self.lanes.remove(lane);
        }
    }

    /// Returns whether somebody still waits for the answer to an append.
    pub(super) fn is_awaited(&self, append: u64) -> bool {
        self.open.get(&append).is_some_and(|open| !open.answer.is_closed())
    }

    /// Answers an append with a failure, unless it was answered.
    pub(super) fn fail(&mut self, append: u64, error: StoreError) {
        if let Some(open) = self.open.remove(&append) {
            let _ = open.answer.send(Err(error));
        }
    }

    /// A batch is acknowledged. The last one of an append answers it.
    pub(super) fn acknowledge(&mut self, append: u64, index: usize, appended: Appended) {
        let Some(open) = self.open.get_mut(&append) else { return };
        open.appended[index] = Some(appended);
        if open.appended.iter().all(Option::is_some)
            && let Some(open) = self.open.remove(&append)
        {
            let _ = open.answer.send(Ok(open.appended.into_iter().flatten().collect()));
        }
    }

    /// A process has crashed: the first batches of each of its lanes stay under way, the others are lost. Nobody waits for
    /// the answers.
    pub(super) fn crash(&mut self, process: ProcessId, random: &mut Random) {
        for (_, batches) in self.lanes.iter_mut().filter(|(lane, _)| lane.process == Some(process)) {
            batches.iter().for_each(|batch| drop(self.open.remove(&batch.append)));
            batches.retain(|batch| batch.stored.is_none());
            batches.truncate(random.index(batches.len() + 1));
        }
        self.lanes.retain(|_, batches| !batches.is_empty());
    }
}
