//! What a worker is asked between two batches.

use std::sync::Arc;

use assay_core::names::Offset;
use crossbeam_channel::Sender;

use super::opening::Opening;
use super::{OwnedPartition, Worker};
use crate::partition::PartitionState;
use crate::partition::processor::{Input, PlanVersion};
use crate::plan::Plan;
use crate::ports::erasure::PendingErasure;
use crate::ports::{PartitionId, StoreError};

/// Reads what a partition has in memory, and answers whoever asked.
pub(crate) type Read = Box<dyn FnOnce(&mut PartitionState) + Send>;

/// What a worker is asked between two batches. It never waits for the answer itself.
pub(crate) enum Request {
    /// Switch to a plan; answer when it is in effect.
    SwitchPlan(Arc<Plan>, Sender<()>),
    /// Score a partition from now on.
    Open(PartitionId),
    /// Let go of a partition. With somebody to answer, everything is saved first; else it is another's already.
    Release(PartitionId, Option<Sender<()>>),
    /// Save a partition, and end the life of an entity in it.
    EndLifetime(EndLifetime),
    /// Read from a partition. Nothing is read if it is not open.
    Read(PartitionId, Read),
}

/// A wish to save a partition, and to end the life of an entity there: what it was is saved nowhere any more, what comes
/// begins from nothing.
pub(crate) struct EndLifetime {
    pub(crate) partition: PartitionId,
    /// Events before this offset must be scored.
    pub(crate) through: Offset,
    /// The entity, if it is about one.
    pub(crate) entity: Option<(PendingErasure, String)>,
    /// The next event to score; none: it is not there yet, ask again.
    pub(crate) done: Sender<Result<Option<Offset>, StoreError>>,
}

impl Worker {
    pub(super) fn answer_requests(&mut self) {
        // Those that come meanwhile wait for the next step. One that panics takes no other one with it.
        for _ in 0..self.inbox.len() {
            if let Ok(request) = self.inbox.try_recv() {
                self.answer(request);
            }
        }
        // Whoever wanted a call to stop so that it is heard has been heard, or repeats it.
        self.interrupt.clear();
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::SwitchPlan(plan, done) => {
                self.switch_plan(plan);
                self.waiting_for_switch.push(done);
            }
            Request::Open(partition) => self.open(partition),
            Request::Release(partition, done) => self.release(&partition, done),
            Request::EndLifetime(wish) => {
                if let Some(index) = self.index_of(&wish.partition) {
                    self.with_partition(index, |owned, environment| owned.end_lifetime(wish, environment));
                }
            }
            Request::Read(partition, read) => {
                if let Some(index) = self.index_of(&partition) {
                    self.with_partition(index, |owned, environment| owned.read(read, environment));
                }
            }
        }
    }

    fn index_of(&self, partition: &PartitionId) -> Option<usize> {
        self.owned.iter().position(|owned| owned.id() == partition)
    }

    fn open(&mut self, partition: PartitionId) {
        self.assignments += 1;
        self.assigned.insert(partition.clone(), self.assignments);
        // It may not have been given up yet since it was released.
        self.owned.retain(|owned| *owned.id() != partition);
        let now = self.now();
        self.openings.add(Opening::new(partition, self.assignments, now));
    }

    fn release(&mut self, partition: &PartitionId, done: Option<Sender<()>>) {
        self.assigned.remove(partition);
        self.openings.remove(partition);
        match self.index_of(partition) {
            // Answered when it is given up: see `close_ended`.
            Some(index) if done.is_some() => {
                self.with_partition(index, |owned, environment| owned.release(done, environment));
            }
            Some(index) => drop(self.owned.swap_remove(index)),
            None => {
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
        if self.index_of(partition).is_none() {
            self.forget(partition);
        }
    }

    /// Switches to a plan. Each partition that it concerns saves everything with its version first, while others go on; so
    /// recovery knows by which rules each event was judged. There is no way back to an older version.
    pub(super) fn switch_plan(&mut self, plan: Arc<Plan>) {
        if plan.snapshot.version <= self.plan.snapshot.version {
            return;
        }
        self.owned.retain(|owned| plan.streams.contains_key(&*owned.id().stream));
        self.halts.clear(&self.shared);
        self.openings.clear_halts();
        let before = std::mem::replace(&mut self.plan, plan.clone());
        for stream in before.streams.keys().filter(|stream| !plan.streams.contains_key(*stream)) {
            self.instances.remove_stream(stream);
        }
        for (name, stream) in &plan.streams {
            // None of its partitions folds by the plan of before from here on.
            if !before.streams.get(name).is_some_and(|before| before.is_equivalent(stream)) {
                self.instantiate_plugins(name);
            }
        }
        for index in 0..self.owned.len() {
            let Some(stream) = plan.streams.get(&*self.owned[index].id().stream) else { continue };
            let target = PlanVersion { plan: stream.clone(), version: plan.snapshot.version };
            let fed = self.with_partition(index, |owned, environment| {
                owned.feed("switching the plan", Input::PlanChanged(target), environment)
            });
            if let Err(error) = fed {
                tracing::error!(partition = %self.owned[index].id(), %error, "a plan that compiled cannot be switched to");
            }
        }
    }

    /// Answers who waits for the plan to be in effect. A partition that has failed is opened with it.
    pub(super) fn answer_switched(&mut self) {
        if !self.waiting_for_switch.is_empty() && !self.owned.iter().any(OwnedPartition::is_switching) {
            for done in self.waiting_for_switch.drain(..) {
                // Nobody waits any more if it took too long.
                let _ = done.send(());
            }
        }
    }
}
