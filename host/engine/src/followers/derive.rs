//! Feeds derived streams: appends events to the partitions of their entities there. See `derived`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::event_time::MaxAhead;
use assay_core::names::{Offset, Partition};
use tokio::sync::oneshot::error::TryRecvError;

use super::{Follow, Refusal, refused};
use crate::derived::{Rekey, progress_of};
use crate::partition::StoredTimes;
use crate::plan::Plan;
use crate::ports::log::{Durability, Receipt, Records, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{Place, StoreError, StreamPartition};
use crate::shared::{Shared, log_stopped};

/// How often is looked whether events have come into the log.
const RECEIPT: Duration = Duration::from_millis(1);
/// How often is saved how far it has come. What was appended after that is appended again after a crash.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Feeds derived streams.
pub(super) struct Follower {
    shared: Arc<Shared>,
    /// By derived stream and partition of its source.
    progress: HashMap<StreamPartition, Progress>,
}

/// How far a partition of a source is appended to a derived stream.
struct Progress {
    next: Offset,
    saved: Offset,
    due: Instant,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, progress: HashMap::new() }
    }

    /// How far it has come for one derived stream.
    fn progress(&mut self, of: &StreamPartition) -> Result<&mut Progress, StoreError> {
        match self.progress.entry(of.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let saved = self.shared.ports.state.checkpoint(of)?.unwrap_or_default().events;
                Ok(unknown.insert(Progress { next: saved, saved, due: Instant::now() + SAVE_EVERY }))
            }
        }
    }

    /// Appends some events to one derived stream.
    fn append(
        &self,
        rekey: &Rekey,
        max_ahead: MaxAhead,
        of: &StreamPartition,
        records: &[Records],
        from: Offset,
    ) -> Result<Option<Receipt>, StoreError> {
        let log = &self.shared.ports.log;
        let (bad, stored) = (refused(records), StoredTimes::of(records));
        let mut batches: HashMap<Partition, Records> = HashMap::new();
        let mut event = Vec::new();
        for block in records {
            for (offset, bytes) in block.iter().filter(|(offset, _)| *offset >= from && !bad.contains(offset)) {
                event.clear();
                let place = Place { partition: of.partition, offset };
                let Some(copy) = rekey.event(bytes, place, &mut event) else { continue };
                // Decided as the source's worker does, which makes it a dead letter.
                if max_ahead.check(copy.time, stored.at(offset)).is_err() {
                    continue;
                }
                let batch = batches.entry(log.partition_of(&copy.key, rekey.to.partitions)).or_default();
                if batch.is_empty() {
                    batch.appended_at = block.appended_at;
                    batch.schema = rekey.to.history.newest();
                }
                batch.push(&event);
            }
        }
        if batches.is_empty() {
            return Ok(None);
        }
        log.append(&rekey.to.def.stream, Topic::Events, batches.into_iter().collect(), Durability::Ordered).map(Some)
    }

    /// Waits until events are in the log, or the engine stops.
    fn wait(&self, mut receipt: Receipt) -> Result<(), StoreError> {
        loop {
            match receipt.try_recv() {
                Ok(appended) => return appended.map(drop),
                Err(TryRecvError::Empty) if !self.shared.is_stopping() => std::thread::sleep(RECEIPT),
                Err(_) => return Err(log_stopped()),
            }
        }
    }

    fn save(&mut self, of: &StreamPartition, at_once: bool) -> Result<(), StoreError> {
        let Some(progress) = self.progress.get_mut(of) else { return Ok(()) };
        if progress.saved < progress.next && (at_once || Instant::now() >= progress.due) {
            let checkpoint = Checkpoint { events: progress.next, ..Checkpoint::default() };
            self.shared.ports.state.save(of, &checkpoint, &[])?;
            progress.saved = progress.next;
            progress.due = Instant::now() + SAVE_EVERY;
        }
        Ok(())
    }
}

/// The streams that are derived from one.
fn derived<'p>(plan: &'p Plan, from: &StreamPartition) -> &'p [String] {
    plan.streams.get(&*from.stream).map_or(&[], |stream| &stream.derived)
}

impl Follow for Follower {
    fn name(&self) -> &'static str {
        "derive"
    }

    fn topic(&self) -> Topic {
        Topic::Events
    }

    fn wants(&self, plan: &Plan, of: &StreamPartition) -> bool {
        !derived(plan, of).is_empty()
    }

    fn is_elsewhere(&self, before: &Plan, now: &Plan, of: &StreamPartition) -> bool {
        derived(before, of) != derived(now, of)
    }

    /// The least of all its derived streams.
    fn position(&mut self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let plan = self.shared.plan();
        let mut least = None;
        for name in derived(&plan, of) {
            let to = progress_of(name, of.partition);
            // Another process may have gone on with it meanwhile.
            self.progress.remove(&to);
            let next = self.progress(&to)?.next;
            least = Some(least.map_or(next, |least: Offset| least.min(next)));
        }
        Ok(least.unwrap_or_default())
    }

    fn carry(
        &mut self,
        plan: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let Some(source) = plan.streams.get(&*of.stream) else { return Ok(Vec::new()) };
        for name in derived(plan, of) {
            let Some(to) = plan.streams.get(name) else { continue };
            let rekey = Rekey::new(source, to.clone())
                .map_err(|error| StoreError::Broken { store: "engine", message: format!("{name}: {error}") })?;
            let progress = progress_of(name, of.partition);
            let from = self.progress(&progress)?.next;
            if from >= next {
                continue;
            }
            if let Some(receipt) = self.append(&rekey, source.max_ahead(), of, records, from)? {
                self.wait(receipt)?;
            }
            self.progress(&progress)?.next = next;
            self.save(&progress, false)?;
        }
        Ok(Vec::new())
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        let all: Vec<StreamPartition> = self.progress.keys().cloned().collect();
        all.iter().try_for_each(|of| self.save(of, true))
    }
}
