//! Between two batches: checkpoints, changes of the plan, ends of entities, and giving the partition up. All of them need
//! the state saved up to where it is, and no block in flight.
//!
//! A checkpoint names the version of the catalog by which the events behind it are judged, and recovery folds them by the
//! plan of that version. So before the first event is judged by another plan, a checkpoint must name its version. Where
//! the stream's plan means the same in both versions, either of them folds and judges equally, to the bit: recovery may go
//! by the older one, and the new number need only stand in the next checkpoint that has something else to say.

use assay_core::names::Offset;

use super::{Effect, Effects, PartitionProcessor, Phase, PlanVersion, ReopenReason, broken};
use crate::partition::write_fence;
use crate::ports::StoreError;
use crate::ports::state::Checkpoint;

/// A checkpoint on its way to the store. There is one at a time: what changes meanwhile is in the next one.
#[derive(Debug)]
pub(super) struct Saving {
    number: u64,
    checkpoint: Checkpoint,
    /// The plan that comes into use when it is durable.
    plan: Option<PlanVersion>,
}

/// A wish to end the life of an entity.
#[derive(Debug)]
pub(super) struct EndEntity {
    pub(super) request: u64,
    pub(super) key: Option<String>,
}

impl PartitionProcessor {
    /// Does what is next between two batches, if nothing is under way any more.
    pub(super) fn advance(&mut self, effects: &mut Effects) {
        let is_between = matches!(self.phase, Phase::Opening | Phase::Running) && self.prepared.is_none();
        if !is_between {
            return;
        }
        self.take_equivalent_version(effects);
        if self.saving.is_some() || !self.in_flight.is_empty() {
            return;
        }
        if self.is_switch_pending() {
            if !self.is_fenced {
                return self.append_fence(effects);
            }
            let target = self.target.clone();
            return self.save(target.version, Some(target), effects);
        }
        if matches!(self.phase, Phase::Opening) {
            self.phase = Phase::Running;
            effects.push_back(Effect::Opened);
        }
        let wants_saved = self.is_checkpoint_due || self.is_releasing || !self.ending.is_empty();
        self.is_checkpoint_due = false;
        if wants_saved && self.has_unsaved() {
            return self.save(self.state.catalog(), None, effects);
        }
        if let Some(EndEntity { request, .. }) = self.ending.front() {
            effects.push_back(Effect::EndEntity { request: *request, at: self.next });
        } else if self.is_releasing {
            effects.push_back(Effect::Released);
        }
    }

    /// Takes the next place in the verdicts log.
    fn append_fence(&mut self, effects: &mut Effects) {
        let mut data = Vec::new();
        write_fence(&mut data, self.state.catalog(), self.next);
        self.append_block(data, self.next, effects);
    }

    /// Whether no durable checkpoint names the version of the plan that is to be in use, nor an equivalent one.
    pub(super) fn is_switch_pending(&self) -> bool {
        self.covered_version < self.target.version
    }

    /// Takes the number of a version in which nothing has changed for the stream.
    fn take_equivalent_version(&mut self, effects: &mut Effects) {
        // Only the plan in use can be compared, so it has to be the one that the checkpoint means.
        let is_known = self.state.catalog() == self.covered_version;
        if self.is_switch_pending() && is_known && self.state.plan().is_equivalent(&self.target.plan) {
            self.covered_version = self.target.version;
            self.state.set_catalog_version(self.target.version);
            effects.push_back(Effect::PlanSwitched { is_equivalent: true });
        }
    }

    fn checkpoint(&self, catalog: u64) -> Checkpoint {
        let origins = self.state.origins().to_vec();
        Checkpoint { events: self.next, verdicts: self.verdicts_end, catalog, origins }
    }

    fn has_unsaved(&self) -> bool {
        self.checkpoint(self.saved.catalog) != self.saved
    }

    fn save(&mut self, catalog: u64, plan: Option<PlanVersion>, effects: &mut Effects) {
        let (checkpoint, barrier) = (self.checkpoint(catalog), self.state.barrier());
        self.saving = Some(Saving { number: barrier.epoch, checkpoint: checkpoint.clone(), plan });
        effects.push_back(Effect::SaveCheckpoint { checkpoint, barrier });
    }

    pub(super) fn on_checkpoint_saved(&mut self, number: u64, effects: &mut Effects) {
        let Some(Saving { checkpoint, plan, .. }) = self.saving.take_if(|saving| saving.number == number) else {
            return;
        };
        self.saved_barrier = number;
        self.covered_version = self.covered_version.max(checkpoint.catalog);
        self.saved = checkpoint;
        if let Some(PlanVersion { plan, version }) = plan.filter(|_| !self.has_failed()) {
            if let Err(error) = self.state.switch_plan(plan, version) {
                self.phase = Phase::Stuck;
                effects.push_back(Effect::Retry(broken(&self.partition, &error)));
                return;
            }
            effects.push_back(Effect::PlanSwitched { is_equivalent: false });
        }
        self.advance(effects);
    }

    pub(super) fn on_checkpoint_failed(&mut self, error: StoreError, effects: &mut Effects) {
        self.saving = None;
        let is_open = self.is_running();
        let reason = if is_open { ReopenReason::CheckpointFailed(error) } else { ReopenReason::CannotOpen(error) };
        self.fail(reason, effects);
    }

    pub(super) fn on_checkpoint_due(&mut self, effects: &mut Effects) {
        if self.is_running() {
            self.state.evict(self.settings.max_entities_in_memory, self.saved_barrier);
            self.is_checkpoint_due = self.saving.is_none() && self.has_unsaved();
            self.advance(effects);
        }
    }

    pub(super) fn on_plan_changed(&mut self, target: PlanVersion, effects: &mut Effects) {
        // There is no way back to an older version.
        if target.version > self.target.version {
            self.memory.clear_halt();
            self.target = target;
            self.advance(effects);
        }
    }

    pub(super) fn on_end_entity(&mut self, wish: EndEntity, through: Offset, effects: &mut Effects) {
        if !self.is_running() || self.next < through {
            effects.push_back(Effect::RefuseEndEntity { request: wish.request });
            return;
        }
        self.ending.push_back(wish);
        if self.ending.len() == 1 {
            self.advance(effects);
        }
    }

    pub(super) fn on_entity_ended(&mut self, request: u64, is_ended: bool, effects: &mut Effects) {
        let Some(wish) = self.ending.pop_front_if(|wish| wish.request == request) else { return };
        if let Some(key) = wish.key.filter(|_| is_ended) {
            self.state.forget(&key);
        }
        self.advance(effects);
    }

    pub(super) fn on_release(&mut self, effects: &mut Effects) {
        if self.is_running() {
            self.is_releasing = true;
            self.advance(effects);
        } else {
            effects.push_back(Effect::Released);
        }
    }
}
