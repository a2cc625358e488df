//! How a partition is opened: where its last owner left it, with the events behind its checkpoint folded again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::block_flags;

use super::super::batches::Batches;
use super::super::saver::save;
use super::{Fate, Owned, READ_BYTES, Unsaved, broken};
use crate::partition::{Instances, Partition};
use crate::plan::{Plan, StreamPlan};
use crate::ports::log::{Records, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::shared::{Shared, log_stopped, unreadable_block};

/// How long to wait for records that the log has but cannot give yet.
const RETRY_READ: Duration = Duration::from_millis(2);

impl Owned {
    /// Opens a partition where the last owner left it: events whose verdicts are in the log already are folded again,
    /// by the rules that gave those verdicts, and nothing is appended for them.
    pub(in crate::worker) fn open(
        of: StreamPartition,
        plan: &Plan,
        stream: &Arc<StreamPlan>,
        shared: &Shared,
    ) -> Result<Self, StoreError> {
        let version = plan.snapshot.version;
        let checkpoint = match shared.ports.state.checkpoint(&of)? {
            Some(checkpoint) => checkpoint,
            None => {
                // Says which rules the first events are judged by, before any of them is.
                let first = Checkpoint { catalog: version, ..Checkpoint::default() };
                shared.ports.state.save(&of, &first, &[])?;
                first
            }
        };
        if checkpoint.catalog > version {
            // Its last owner had gone over to rules that this process has not heard of. No event may be judged by older
            // ones than the event before it.
            let message =
                format!("{of} is judged by version {} already, and {version} is known here", checkpoint.catalog);
            return Err(StoreError::Unavailable { store: "catalog", message });
        }
        let (verdicts, judged) = tail(&of, &checkpoint, shared)?;
        let mut partition = Partition::new(of.clone(), stream.clone(), version).map_err(|error| broken(&of, &error))?;
        partition.resume(checkpoint.origins.clone());
        if shared.ports.buckets.is_some() {
            partition.note_buckets();
        }
        if checkpoint.events == Offset(0) {
            // Rows that a last owner saved before it died are given again by the events that they hold.
            partition.note_nothing_stored();
        }
        let mut owned = Self {
            partition,
            events: checkpoint.events,
            verdicts,
            saved_at: checkpoint.clone(),
            due: Instant::now() + shared.config.checkpoint_every,
            saved: Arc::default(),
            unsaved: Unsaved::default(),
            block: Vec::new(),
            under_way: VecDeque::new(),
            fate: Fate::Working,
            halt: None,
        };
        if judged > checkpoint.events {
            owned.fold_again(judged, checkpoint.catalog, plan, shared)?;
        }
        if checkpoint.catalog != version {
            owned.hand_over(plan, shared)?;
        }
        shared.hub.open(&of, owned.events);
        Ok(owned)
    }

    /// Folds the events up to `judged` by the rules of an older version of the catalog, without saying anything.
    fn fold_again(&mut self, judged: Offset, catalog: u64, now: &Plan, shared: &Shared) -> Result<(), StoreError> {
        let of = self.partition.of().clone();
        tracing::info!(partition = %of, from = %self.events, to = %judged, catalog, "recovering: folding events again");
        let then = if catalog == now.snapshot.version { None } else { plan_at(catalog, shared)? };
        let stream = then.as_ref().unwrap_or(&now.streams).get(&*of.stream);
        let Some(stream) = stream.cloned() else { return Ok(()) };
        self.partition.adopt(stream.clone(), catalog).map_err(|error| broken(&of, &error))?;
        let mut instances = Instances::default();
        instances.equip(&stream).map_err(|error| broken(&of, &error))?;
        while self.events < judged {
            let blocks = self.read(shared)?;
            let batches = Batches::of(&blocks, judged);
            if batches.is_empty() {
                // Where the log is another server, records may still be on their way.
                let end = shared.ports.log.end(&of.stream, Topic::Events, of.partition)?;
                if end < judged {
                    let message = format!("{of}: the events before {judged} were judged, but end at {end}");
                    return Err(StoreError::Broken { store: "log", message });
                }
                if shared.is_stopping() || !shared.is_mine(&of) {
                    return Err(log_stopped());
                }
                std::thread::sleep(RETRY_READ);
                continue;
            }
            for (records, refused) in batches.iter(shared.config.batch_rows) {
                self.block.clear();
                self.score_batch(records, refused, &mut instances, shared)?;
                if let Some(halt) = self.halt.take() {
                    // It was judged before: only a limit on time tells twice something different.
                    return Err(broken(&of, &halt));
                }
            }
        }
        Ok(())
    }

    /// Before the first event is judged by the rules of now, everything is saved with their version.
    fn hand_over(&mut self, now: &Plan, shared: &Shared) -> Result<(), StoreError> {
        let of = self.partition.of().clone();
        let Some(stream) = now.streams.get(&*of.stream) else { return Ok(()) };
        let barrier = self.partition.barrier();
        let checkpoint = self.checkpoint(now.snapshot.version);
        save(&of, &checkpoint, &barrier, shared)?;
        self.saved_at = checkpoint;
        self.unsaved = Unsaved::default();
        self.partition.adopt(stream.clone(), now.snapshot.version).map_err(|error| broken(&of, &error))
    }
}

/// The end of the verdicts, and the offset before which all events have theirs.
fn tail(of: &StreamPartition, checkpoint: &Checkpoint, shared: &Shared) -> Result<(Offset, Offset), StoreError> {
    let (mut at, mut judged) = (checkpoint.verdicts, checkpoint.events);
    loop {
        let blocks = shared.ports.log.read(&of.stream, Topic::Verdicts, of.partition, at, 64, READ_BYTES)?;
        if blocks.is_empty() {
            if at >= shared.ports.log.end(&of.stream, Topic::Verdicts, of.partition)? {
                return Ok((at, judged));
            }
            if shared.is_stopping() {
                return Err(log_stopped());
            }
            std::thread::sleep(RETRY_READ);
        }
        for (offset, block) in blocks.iter().flat_map(Records::iter) {
            let (_, next) = block_flags(block).map_err(|error| unreadable_block(of, offset, &error))?;
            judged = judged.max(next);
            at = offset.next();
        }
    }
}

type Streams = BTreeMap<String, Arc<StreamPlan>>;

/// The streams as they were at an older version of the catalog.
fn plan_at(catalog: u64, shared: &Shared) -> Result<Option<Streams>, StoreError> {
    let snapshot = Arc::new(shared.ports.catalog.snapshot(Some(catalog))?);
    match shared.compile(snapshot) {
        Ok(plan) => Ok(Some(plan.streams)),
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let message = format!("version {catalog} of the catalog, which recovery needs, does not compile: {first}");
            Err(StoreError::Broken { store: "catalog", message })
        }
    }
}
