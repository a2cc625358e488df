//! Feeds derived streams: appends events to the partitions of their entities there. See `derived`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::event_time::MaxAhead;
use assay_core::names::{Offset, Partition};

use super::{Refusal, Sink, refused_offsets};
use crate::derived::{Rekeyer, derive_progress_id};
use crate::partition::AppendTimes;
use crate::plan::Plan;
use crate::ports::log::{Durability, Receipt, Records, Topic, wait_for_receipt};
use crate::ports::state::Checkpoint;
use crate::ports::{PartitionId, Place, StoreError};
use crate::shared::Shared;

/// How often is saved how far it has come. What was appended after that is appended again after a crash.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// Feeds derived streams.
pub(super) struct DeriveSink {
    shared: Arc<Shared>,
    /// By derived stream and partition of its source.
    progress: BTreeMap<PartitionId, DerivePosition>,
}

/// How far a partition of a source is appended to a derived stream.
struct DerivePosition {
    next: Offset,
    saved: Offset,
    due: Instant,
}

impl DeriveSink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, progress: BTreeMap::new() }
    }

    /// How far it has come for one derived stream.
    fn progress(&mut self, partition: &PartitionId) -> Result<&mut DerivePosition, StoreError> {
        match self.progress.entry(partition.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let saved = self.shared.ports.state.checkpoint(partition)?.unwrap_or_default().events;
                Ok(unknown.insert(DerivePosition {
                    next: saved,
                    saved,
                    due: self.shared.config.clock.now() + SAVE_INTERVAL,
                }))
            }
        }
    }

    /// Appends some events to one derived stream.
    fn append(
        &self,
        rekey: &Rekeyer,
        max_ahead: MaxAhead,
        partition: &PartitionId,
        records: &[Records],
        from: Offset,
    ) -> Result<Option<Receipt>, StoreError> {
        let log = &self.shared.ports.log;
        let (bad, stored) = (refused_offsets(records), AppendTimes::of(records));
        let mut batches: BTreeMap<Partition, Records> = BTreeMap::new();
        let mut event = Vec::new();
        for block in records {
            for (offset, bytes) in block.iter().filter(|(offset, _)| *offset >= from && !bad.contains(offset)) {
                event.clear();
                let place = Place { partition: partition.partition, offset };
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

    fn save(&mut self, partition: &PartitionId, at_once: bool) -> Result<(), StoreError> {
        let now = self.shared.config.clock.now();
        let Some(progress) = self.progress.get_mut(partition) else { return Ok(()) };
        if progress.saved < progress.next && (at_once || now >= progress.due) {
            let checkpoint = Checkpoint { events: progress.next, ..Checkpoint::default() };
            self.shared.ports.state.save(partition, &checkpoint, &[])?;
            progress.saved = progress.next;
            progress.due = now + SAVE_INTERVAL;
        }
        Ok(())
    }
}

/// The streams that are derived from one.
fn derived<'p>(plan: &'p Plan, from: &PartitionId) -> &'p [String] {
    plan.streams.get(&*from.stream).map_or(&[], |stream| &stream.derived)
}

impl Sink for DeriveSink {
    fn name(&self) -> &'static str {
        "derive"
    }

    fn topic(&self) -> Topic {
        Topic::Events
    }

    fn applies_to(&self, plan: &Plan, partition: &PartitionId) -> bool {
        !derived(plan, partition).is_empty()
    }

    fn is_repositioned(&self, before: &Plan, now: &Plan, partition: &PartitionId) -> bool {
        derived(before, partition) != derived(now, partition)
    }

    /// The least of all its derived streams.
    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let plan = self.shared.plan();
        let mut least = None;
        for name in derived(&plan, partition) {
            let to = derive_progress_id(name, partition.partition);
            // Another process may have gone on with it meanwhile.
            self.progress.remove(&to);
            let next = self.progress(&to)?.next;
            least = Some(least.map_or(next, |least: Offset| least.min(next)));
        }
        Ok(least.unwrap_or_default())
    }

    fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let Some(source) = plan.streams.get(&*partition.stream) else { return Ok(Vec::new()) };
        for name in derived(plan, partition) {
            let Some(to) = plan.streams.get(name) else { continue };
            let rekey = Rekeyer::new(source, to.clone())
                .map_err(|error| StoreError::Broken { store: "engine", message: format!("{name}: {error}") })?;
            let progress = derive_progress_id(name, partition.partition);
            let from = self.progress(&progress)?.next;
            if from >= next {
                continue;
            }
            if let Some(receipt) = self.append(&rekey, source.max_ahead(), partition, records, from)? {
                wait_for_receipt(receipt, &self.shared.config.clock, || self.shared.is_stopping())?;
            }
            self.progress(&progress)?.next = next;
            self.save(&progress, false)?;
        }
        Ok(Vec::new())
    }

    fn on_idle(&mut self) -> Result<(), StoreError> {
        let all: Vec<PartitionId> = self.progress.keys().cloned().collect();
        all.iter().try_for_each(|partition| self.save(partition, true))
    }
}
