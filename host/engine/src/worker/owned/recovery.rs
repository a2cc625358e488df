//! How a partition is opened: where its last owner left it, with the events behind its checkpoint folded again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::{block_flags, flags, read_block};
use assay_core::wire::Corrupt;
use tokio::sync::oneshot::error::TryRecvError;

use super::super::Opening;
use super::super::batch_size::BatchSize;
use super::super::saver::save;
use super::super::suspects::Suspects;
use super::{Fate, Owned, READ_BYTES, Unsaved, broken};
use crate::panics::{EVENT_PANICKED, catch};
use crate::partition::{Instances, Partition, write_refused};
use crate::plan::{Plan, StreamPlan};
use crate::ports::log::{Durability, Records, Refused, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::shared::{FIRST_DELAY, Shared, log_stopped, unreadable_block};

/// How long to wait for records that the log has but cannot give yet.
const RETRY_READ: Duration = Duration::from_millis(2);

impl Owned {
    /// Opens a partition where the last owner left it: events whose verdicts are in the log already are folded again,
    /// by the rules that gave those verdicts, and nothing is appended for them. Events that panic when they are folded
    /// are passed over. Which ones those are, `opening` knows or learns by this.
    pub(in crate::worker) fn open(
        opening: &mut Opening,
        plan: &Plan,
        stream: &Arc<StreamPlan>,
        shared: &Shared,
    ) -> Result<Self, StoreError> {
        let of = opening.of.clone();
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
        shared.progress.note_scored(&of, checkpoint.events);
        opening.suspects.forget_before(checkpoint.events);
        let mut tail = Tail { end: checkpoint.verdicts, judged: checkpoint.events, panicked: BTreeSet::new() };
        tail.read(&of, &mut opening.suspects, shared)?;
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
            verdicts: tail.end,
            saved_at: checkpoint.clone(),
            due: Instant::now() + shared.config.checkpoint_every,
            saved: Arc::default(),
            unsaved: Unsaved::default(),
            block: Vec::new(),
            under_way: VecDeque::new(),
            fate: Fate::Working,
            halt: None,
            batch_size: BatchSize::new(shared.config.batch_rows),
            last_turn: 0,
            turned_at: None,
            retry_at: None,
            age: Duration::ZERO,
            folding: None,
            suspects: opening.suspects.clone(),
            opened: (Instant::now(), opening.delay),
        };
        if tail.judged > checkpoint.events {
            let folded = catch(|| owned.fold_again(&tail, checkpoint.catalog, plan, shared));
            folded.unwrap_or_else(|panicked| {
                if let Some(folding) = owned.folding.take() {
                    opening.suspects.note(&folding, &panicked);
                    opening.delay = FIRST_DELAY;
                }
                Err(broken(&of, &panicked))
            })?;
            owned.batch_size.reset();
        }
        if checkpoint.catalog != version {
            owned.hand_over(plan, shared)?;
        }
        shared.hub.open(&of, owned.events);
        Ok(owned)
    }

    /// Folds the events that are judged by the rules of an older version of the catalog, without saying anything, but
    /// of events that cannot be folded any more.
    fn fold_again(&mut self, tail: &Tail, catalog: u64, now: &Plan, shared: &Shared) -> Result<(), StoreError> {
        let (of, judged) = (self.partition.of().clone(), tail.judged);
        tracing::info!(partition = %of, from = %self.events, to = %judged, catalog, "recovering: folding events again");
        let then = if catalog == now.snapshot.version { None } else { plan_at(catalog, shared)? };
        let stream = then.as_ref().unwrap_or(&now.streams).get(&*of.stream);
        let Some(stream) = stream.cloned() else { return Ok(()) };
        self.partition.adopt(stream.clone(), catalog).map_err(|error| broken(&of, &error))?;
        let mut instances = Instances::interruptible(shared.stopping());
        instances.equip(&stream).map_err(|error| broken(&of, &error))?;
        while self.events < judged {
            let blocks = self.read(shared)?;
            let panicked = self.suspects.panicked().clone();
            let (rows, batches) = self.batches(&blocks, judged, &panicked);
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
            for (records, refused) in batches.iter(rows) {
                self.block.clear();
                if shared.is_stopping() || !shared.is_mine(&of) {
                    return Err(log_stopped());
                }
                self.score_batch(records, refused, &mut instances, shared)?;
                if self.fate != Fate::Working {
                    // Only a stop of the engine interrupts calls here.
                    return Err(log_stopped());
                }
                if let Some(halt) = self.halt.take() {
                    // It was judged before: only a limit on time tells twice something different.
                    return Err(broken(&of, &halt));
                }
            }
        }
        self.say_panicked(tail, catalog, shared)
    }

    /// Says of judged events that they cannot be folded any more, such as by a newer version of this program, so that
    /// every recovery passes over them.
    fn say_panicked(&mut self, tail: &Tail, catalog: u64, shared: &Shared) -> Result<(), StoreError> {
        let is_new = |(offset, _): &(&Offset, &Refused)| **offset < tail.judged && !tail.panicked.contains(offset);
        let new: Vec<(Offset, &Refused)> =
            self.suspects.panicked().iter().filter(is_new).map(|(offset, refused)| (*offset, refused)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let (of, mut block) = (self.partition.of(), Vec::new());
        write_refused(&mut block, catalog, tail.judged, &new);
        let mut records = Records { appended_at: crate::clock::now_ms(), ..Records::default() };
        records.push(&block);
        let log = &shared.ports.log;
        let batches = vec![(of.partition, records)];
        let mut receipt = log.append(&of.stream, Topic::Verdicts, batches, Durability::Ordered)?;
        let appended = loop {
            match receipt.try_recv() {
                Ok(appended) => break appended?,
                Err(TryRecvError::Empty) if !shared.is_stopping() => std::thread::sleep(RETRY_READ),
                Err(_) => return Err(log_stopped()),
            }
        };
        let place = appended.first().and_then(|appended| appended.place(0));
        self.verdicts = place.map_or(self.verdicts, |place| place.offset.next());
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

/// What is said of events behind a checkpoint.
struct Tail {
    /// The end of the verdicts.
    end: Offset,
    /// All events before it have their verdicts.
    judged: Offset,
    /// Events of which is said that they panic.
    panicked: BTreeSet<Offset>,
}

impl Tail {
    /// Reads on, up to the end of the verdicts.
    fn read(&mut self, of: &StreamPartition, suspects: &mut Suspects, shared: &Shared) -> Result<(), StoreError> {
        loop {
            let blocks = shared.ports.log.read(&of.stream, Topic::Verdicts, of.partition, self.end, 64, READ_BYTES)?;
            if blocks.is_empty() {
                if self.end >= shared.ports.log.end(&of.stream, Topic::Verdicts, of.partition)? {
                    return Ok(());
                }
                if shared.is_stopping() {
                    return Err(log_stopped());
                }
                std::thread::sleep(RETRY_READ);
            }
            for (offset, block) in blocks.iter().flat_map(Records::iter) {
                let read = self.take(block, suspects);
                read.map_err(|error| unreadable_block(of, offset, &error))?;
                self.end = offset.next();
            }
        }
    }

    fn take(&mut self, block: &[u8], suspects: &mut Suspects) -> Result<(), Corrupt> {
        let (has, next) = block_flags(block)?;
        self.judged = self.judged.max(next);
        if has & flags::FAILURES == 0 {
            return Ok(());
        }
        for outcome in read_block(block)?.outcomes {
            let panicked = outcome.failures.into_iter().find(|failure| failure.code == EVENT_PANICKED);
            if let Some(failure) = panicked {
                self.panicked.insert(outcome.offset);
                suspects.add(outcome.offset, failure.message);
            }
        }
        Ok(())
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
