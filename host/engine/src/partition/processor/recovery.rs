//! Opening a partition where its last owner left it: events whose verdicts are in the log already are folded again, by
//! the plan that gave those verdicts, and nothing is appended for them. Events that panic when they are folded are passed
//! over; of calls that ran out of time or memory only what the verdicts say is taken.
//!
//! A block may be missing among later ones: its append failed when a later one was under way. Its events are judged now,
//! by the same plan, and their verdicts are appended.

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::{flags, read_block, read_block_summary, read_hidden_failures};
use assay_core::wire::Corrupt;

use super::judged::JudgedEvents;
use super::suspects::PanicSuspects;
use super::{Effect, Effects, MAX_BLOCKS_IN_FLIGHT, PartitionProcessor, Phase, ReopenReason, broken};
use crate::panics::EVENT_PANICKED;
use crate::partition::{Barrier, RecordedFailures, write_refused};
use crate::plan::StreamPlan;
use crate::ports::StoreError;
use crate::ports::log::{Records, Refused};
use crate::ports::state::Checkpoint;

/// What the log says of events behind a checkpoint.
#[derive(Debug)]
pub(super) struct VerdictTail {
    /// The end of the verdicts that were read.
    pub(super) end: Offset,
    /// The events that have their verdicts.
    judged: JudgedEvents,
    /// Events that have a verdict which says that they panic.
    panicked: BTreeSet<Offset>,
    /// Failures of rules that are taken from the log instead of calling their plugins again.
    recorded: RecordedFailures,
}

impl VerdictTail {
    fn behind(checkpoint: &Checkpoint) -> Self {
        Self {
            end: checkpoint.verdicts,
            judged: JudgedEvents::from(checkpoint.events),
            panicked: BTreeSet::new(),
            recorded: RecordedFailures::default(),
        }
    }

    fn take(&mut self, block: &[u8], suspects: &mut PanicSuspects) -> Result<(), Corrupt> {
        let summary = read_block_summary(block)?;
        // Also a late block of a replaced owner, by older rules perhaps: sinks have carried its verdicts.
        self.judged.add(summary.from, summary.next);
        if summary.flags & flags::HIDDEN_FAILURES != 0 {
            for failure in read_hidden_failures(block)? {
                self.recorded.add(failure.offset, &failure.rule, &failure.code);
            }
        }
        if summary.flags & flags::FAILURES == 0 {
            return Ok(());
        }
        for outcome in read_block(block)?.outcomes {
            for failure in outcome.failures {
                if failure.code == EVENT_PANICKED {
                    self.panicked.insert(outcome.offset);
                    suspects.add(outcome.offset, failure.message);
                } else if let Some(by) = &failure.by {
                    self.recorded.add(outcome.offset, &by.rule, &failure.code);
                }
            }
        }
        Ok(())
    }

    /// True if an event has its verdicts.
    pub(super) fn is_judged(&self, offset: Offset) -> bool {
        self.judged.contains(offset)
    }

    /// Up to where the events from one on have all their verdicts, or all have none.
    pub(super) fn end_of_run(&self, from: Offset) -> Offset {
        self.judged.end_of_run(from)
    }
}

impl PartitionProcessor {
    /// True if the next events can be folded again.
    pub(super) fn can_refold(&self) -> bool {
        self.prepared.is_none() && self.in_flight.len() < MAX_BLOCKS_IN_FLIGHT
    }

    pub(super) fn on_checkpoint_loaded(&mut self, checkpoint: Option<Checkpoint>, effects: &mut Effects) {
        if !matches!(self.phase, Phase::LoadingCheckpoint) {
            return;
        }
        match checkpoint {
            Some(checkpoint) => self.resume(checkpoint, effects),
            None => {
                // Says by which rules the first events are judged, before any of them is.
                let checkpoint = Checkpoint { catalog: self.target.version, ..Checkpoint::default() };
                let barrier = Barrier { epoch: 0, rows: Vec::new(), buckets: Vec::new() };
                self.phase = Phase::SavingFirstCheckpoint;
                self.save_barrier(checkpoint, barrier, None, effects);
            }
        }
    }

    pub(super) fn resume(&mut self, checkpoint: Checkpoint, effects: &mut Effects) {
        let known = self.target.version;
        if checkpoint.catalog > known {
            // Its last owner had gone over to rules that this process has not heard of. No event may be judged by older
            // ones than the event before it.
            let version = checkpoint.catalog;
            let message =
                format!("{} is judged by version {version} already, and {known} is known here", self.partition);
            return self.fail_opening(StoreError::Unavailable { store: "catalog", message }, effects);
        }
        (self.next, self.verdicts_end) = (checkpoint.events, checkpoint.verdicts);
        self.covered_version = checkpoint.catalog;
        self.memory.suspects.forget_before(checkpoint.events);
        self.state.resume(checkpoint.origins.clone());
        if checkpoint.events == Offset(0) {
            // Rows that a last owner saved before it died are given again by the events that they hold.
            self.state.note_nothing_stored();
        }
        self.phase = Phase::ReadingVerdicts(VerdictTail::behind(&checkpoint));
        effects.push_back(Effect::ReadVerdicts { from: checkpoint.verdicts });
        self.saved = checkpoint;
    }

    pub(super) fn on_verdicts_read(&mut self, blocks: &[Records], log_end: Offset, effects: &mut Effects) {
        let Phase::ReadingVerdicts(tail) = &mut self.phase else { return };
        for (offset, block) in blocks.iter().flat_map(Records::iter) {
            if let Err(error) = tail.take(block, &mut self.memory.suspects) {
                let message = format!("verdicts of {} at offset {offset}: {error}", self.partition);
                return self.fail_opening(StoreError::Broken { store: "log", message }, effects);
            }
            tail.end = offset.next();
        }
        if !blocks.is_empty() {
            effects.push_back(Effect::ReadVerdicts { from: tail.end });
        } else if tail.end < log_end {
            effects.push_back(Effect::WaitForLog);
        } else {
            self.on_tail_read(effects);
        }
    }

    fn on_tail_read(&mut self, effects: &mut Effects) {
        let Phase::ReadingVerdicts(tail) = std::mem::replace(&mut self.phase, Phase::Opening) else { return };
        self.verdicts_end = tail.end;
        let version = self.saved.catalog;
        if tail.judged.end() <= self.next {
            self.advance(effects);
        } else if version == self.target.version {
            let plan = self.target.plan.clone();
            self.begin_refold(tail, plan, effects);
        } else {
            self.phase = Phase::CompilingPlan(tail);
            effects.push_back(Effect::CompilePlan { version });
        }
    }

    pub(super) fn on_plan_compiled(&mut self, plan: Option<Arc<StreamPlan>>, effects: &mut Effects) {
        if !matches!(self.phase, Phase::CompilingPlan(_)) {
            return;
        }
        let Phase::CompilingPlan(tail) = std::mem::replace(&mut self.phase, Phase::Opening) else { return };
        match plan {
            Some(plan) => self.begin_refold(tail, plan, effects),
            // There was no such stream, so nothing of it was folded.
            None => self.advance(effects),
        }
    }

    fn begin_refold(&mut self, mut tail: VerdictTail, plan: Arc<StreamPlan>, effects: &mut Effects) {
        let catalog = self.saved.catalog;
        if let Err(error) = self.state.switch_plan(plan.clone(), catalog) {
            let error = broken(&self.partition, &error);
            return self.fail_opening(error, effects);
        }
        self.state.use_recorded_failures(Arc::new(std::mem::take(&mut tail.recorded)));
        effects.push_back(Effect::BeginRefold { plan, catalog, from: self.next, to: tail.judged.end() });
        self.phase = Phase::Refolding(tail);
        self.read_events(effects);
    }

    /// Nothing could be read of events before an offset that are to be folded again. `is_passed`: later ones were read,
    /// so the log has none of these.
    pub(super) fn on_nothing_to_refold(
        &mut self,
        judged: Offset,
        is_passed: bool,
        log_end: Offset,
        effects: &mut Effects,
    ) {
        if is_passed {
            self.next = judged;
            return self.on_refolded(effects);
        }
        if log_end >= judged {
            // Where the log is another server, records may still be on their way.
            effects.push_back(Effect::WaitForLog);
            return;
        }
        let message = format!("{}: the events before {judged} were judged, but end at {log_end}", self.partition);
        self.fail_opening(StoreError::Broken { store: "log", message }, effects);
    }

    /// A batch was folded again.
    pub(super) fn on_refolded(&mut self, effects: &mut Effects) {
        let Phase::Refolding(tail) = &self.phase else { return };
        if self.next < tail.judged.end() {
            if self.can_refold() {
                self.read_events(effects);
            }
            return;
        }
        let Phase::Refolding(tail) = std::mem::replace(&mut self.phase, Phase::Opening) else { return };
        self.state.use_recorded_failures(Arc::default());
        self.append_panicked(&tail, effects);
        self.advance(effects);
    }

    /// Says of judged events that they cannot be folded any more, such as by a newer version of this program, so that
    /// every recovery passes over them.
    fn append_panicked(&mut self, tail: &VerdictTail, effects: &mut Effects) {
        let is_new =
            |(offset, _): &(&Offset, &Refused)| **offset < tail.judged.end() && !tail.panicked.contains(offset);
        let panicked = self.memory.suspects.panicked().iter().filter(is_new);
        let new: Vec<(Offset, &Refused)> = panicked.map(|(offset, refused)| (*offset, refused)).collect();
        if !new.is_empty() {
            let mut data = Vec::new();
            write_refused(&mut data, self.saved.catalog, tail.judged.end(), &new);
            self.append_block(data, tail.judged.end(), effects);
        }
    }

    pub(super) fn fail_opening(&mut self, error: StoreError, effects: &mut Effects) {
        self.fail(ReopenReason::CannotOpen(error), effects);
    }
}
