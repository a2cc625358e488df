//! From events that were read to verdicts that are in the log.

use assay_core::names::Offset;

use super::batches::Batches;
use super::suspects::Folding;
use super::{Effect, Effects, InFlightBlock, MAX_BLOCKS_IN_FLIGHT, PartitionProcessor, Phase, ReopenReason, broken};
use crate::partition::{FoldContext, PartitionError, PreparedBatch};
use crate::ports::StoreError;
use crate::ports::log::Records;
use crate::probe::ProbePoint;
use crate::schema_resolution::resolve_to_newest;

impl PartitionProcessor {
    /// Whether a batch can be folded now. A checkpoint, a change of the plan, the end of an entity and a release come
    /// first, once the blocks before them are in the log.
    pub(super) fn can_score(&self) -> bool {
        self.prepared.is_none()
            && self.in_flight.len() < MAX_BLOCKS_IN_FLIGHT
            && self.ending.is_empty()
            && !(self.is_checkpoint_due || self.is_releasing || self.is_switch_pending())
    }

    pub(super) fn on_events_read(
        &mut self,
        blocks: Vec<Records>,
        log_end: Offset,
        max_rows: usize,
        context: &mut FoldContext<'_>,
        effects: &mut Effects,
    ) {
        let before = match &self.phase {
            Phase::Refolding(tail) if self.can_refold() => tail.end_of_run(self.next),
            Phase::Running if self.can_score() => self.halts_before(),
            _ => return,
        };
        let blocks = resolve_to_newest(&self.state.plan().history, blocks);
        self.state.note_stored(&blocks);
        let suspects = &self.memory.suspects;
        let (mut rows, end) = suspects.limits(self.next, max_rows, before);
        let mut batches = Batches::of(&blocks, end, suspects.panicked());
        if batches.is_empty() {
            // Where offsets were left out, the next record may be among the suspects.
            (rows, batches) = (1, Batches::of(&blocks, before, suspects.panicked()));
        }
        let Some((records, refused)) = batches.iter(rows).next() else {
            if matches!(self.phase, Phase::Refolding(_)) {
                let is_passed = blocks.iter().any(|block| block.next() > before);
                self.on_nothing_to_refold(before, is_passed, log_end, effects);
            }
            return;
        };
        self.folding = Folding::of(self.next, records);
        context.probe.call(ProbePoint::Fold(&self.partition, records));
        if let Some(prepared) = self.state.prepare(self.next, records, refused) {
            self.fold_when_loaded(prepared, context, effects);
        }
    }

    pub(super) fn on_states_loaded(
        &mut self,
        states: Vec<Option<Vec<u8>>>,
        context: &mut FoldContext<'_>,
        effects: &mut Effects,
    ) {
        let Some(mut prepared) = self.prepared.take() else { return };
        match self.state.insert_states(&mut prepared, states) {
            Ok(()) => self.fold_when_loaded(prepared, context, effects),
            Err(error) if self.is_running() => {
                self.folding = None;
                effects.push_back(Effect::Retry(error));
            }
            Err(error) => self.fail_opening(error, effects),
        }
    }

    fn fold_when_loaded(&mut self, prepared: PreparedBatch, context: &mut FoldContext<'_>, effects: &mut Effects) {
        if prepared.missing_keys().is_empty() {
            return self.fold(prepared, context, effects);
        }
        effects.push_back(Effect::LoadStates { keys: prepared.missing_keys().to_vec() });
        self.prepared = Some(prepared);
    }

    fn fold(&mut self, prepared: PreparedBatch, context: &mut FoldContext<'_>, effects: &mut Effects) {
        let next = prepared.next();
        let mut data = Vec::with_capacity(self.block_bytes);
        let folded = self.state.fold(prepared, context, &mut data);
        self.folding = None;
        // Verdicts that are in the log already are not appended again.
        let is_replay = matches!(&self.phase, Phase::Refolding(tail) if tail.is_judged(self.next));
        let stats = match folded {
            Ok(stats) => stats,
            Err(error) => return self.on_fold_failed(error, effects),
        };
        (self.next, self.block_bytes) = (next, data.len());
        effects.push_back(Effect::NoteFolded { stats, is_replay });
        if !is_replay {
            self.append_block(data, next, effects);
        }
        if !self.is_running() {
            self.on_refolded(effects);
        }
    }

    fn on_fold_failed(&mut self, error: PartitionError, effects: &mut Effects) {
        let is_running = self.is_running();
        match error {
            PartitionError::Halt(halt) if is_running => {
                self.memory.halt = Some(halt.clone());
                self.fail(ReopenReason::Halted(halt), effects);
            }
            PartitionError::Unfinished { rule, cause } => {
                effects.push_back(Effect::NoteGivenUp { rule, cause });
                self.fail(ReopenReason::Interrupted, effects);
            }
            PartitionError::Plan(_) if is_running => {
                self.phase = Phase::Stuck;
                effects.push_back(Effect::Retry(broken(&self.partition, &error)));
            }
            PartitionError::Store(error) => self.fail_opening(error, effects),
            // Of events that were judged before: only a limit on time tells twice something different.
            error @ (PartitionError::Halt(_) | PartitionError::Plan(_)) => {
                let error = broken(&self.partition, &error);
                self.fail_opening(error, effects);
            }
        }
    }

    pub(super) fn append_block(&mut self, data: Vec<u8>, next: Offset, effects: &mut Effects) {
        self.memory.blocks += 1;
        let number = self.memory.blocks;
        self.in_flight.push_back(InFlightBlock { number, next });
        effects.push_back(Effect::AppendVerdicts { block: number, data });
    }

    pub(super) fn on_verdicts_appended(&mut self, block: u64, end: Option<Offset>, effects: &mut Effects) {
        let Some(first) = self.in_flight.pop_front_if(|first| first.number == block) else { return };
        self.verdicts_end = end.unwrap_or(self.verdicts_end);
        effects.push_back(Effect::Publish { next: first.next });
        self.reopen_when_drained(effects);
        self.advance(effects);
        if self.in_flight.len() + 1 == MAX_BLOCKS_IN_FLIGHT {
            // Recovery may have waited for this.
            self.on_refolded(effects);
        }
    }

    pub(super) fn on_append_failed(&mut self, block: u64, error: StoreError, effects: &mut Effects) {
        if !self.in_flight.iter().any(|in_flight| in_flight.number == block) {
            return;
        }
        self.in_flight.clear();
        self.fail(ReopenReason::AppendFailed(error), effects);
        // It may have failed before, and have waited for this.
        self.reopen_when_drained(effects);
    }
}
