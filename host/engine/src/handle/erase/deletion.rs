//! One deletion, step by step: end the entity's life, wait until everybody is done with it, delete, write it out of the
//! files. Each step may be repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_core::time_range::TimeRange;
use crossbeam_channel::bounded;

use super::Engine;
use crate::derived::{Rekey, Rekeyed, progress_of};
use crate::followers::ArchiveEvents;
use crate::plan::{Plan, StreamPlan};
use crate::ports::archive::{ArchivedEvent, HistoryQuery};
use crate::ports::erasure::{EraseStep, Erased, Erasing, Erasure};
use crate::ports::log::{Records, Topic};
use crate::ports::{StoreError, StreamPartition};
use crate::shared::log_stopped;
use crate::worker::{Cut, Request};

/// How long others may be behind before the deletion is put off.
const BEHIND: Duration = Duration::from_secs(60);
/// How often to look whether they are done.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Events that are deleted at once: each may be in a block of its own, which is rewritten in memory.
const AT_ONCE: usize = 64;

pub(super) struct Deletion<'e> {
    engine: &'e Engine,
    erasure: &'e dyn Erasure,
    erasing: &'e Erasing,
    plan: Arc<Plan>,
    identities: ArchiveEvents,
}

impl<'e> Deletion<'e> {
    pub(super) fn new(engine: &'e Engine, erasure: &'e dyn Erasure, erasing: &'e Erasing) -> Self {
        let identities = ArchiveEvents::new(engine.ports().archive.clone());
        Self { engine, erasure, erasing, plan: engine.plan(), identities }
    }

    /// Does what is left to do.
    pub(super) fn carry_out(&mut self) -> Result<Erased, StoreError> {
        let of = &self.erasing.of;
        let mut erased = Erased::default();
        let life = match &self.erasing.step {
            EraseStep::Cut { key } => {
                let end = self.engine.ports().log.end(&of.stream, Topic::Events, of.partition)?;
                Some((key, self.cut(of, end, Some(key.as_str()))?))
            }
            EraseStep::Erase { key, before } => Some((key, *before)),
            EraseStep::Purge => None,
        };
        if let Some((key, before)) = life {
            self.until_followed(of, before)?;
            erased += self.erase(key, before)?;
            erased += self.erasure.finish(self.erasing, key, before)?;
        }
        self.erasure.purge(self.erasing.id)?;
        Ok(erased)
    }

    fn stream(&self, name: &str) -> Result<Arc<StreamPlan>, StoreError> {
        self.plan.streams.get(name).cloned().ok_or_else(|| StoreError::Broken {
            store: "catalog",
            message: format!("the stream '{name}' is gone: make it again, so that its entity's data can be deleted"),
        })
    }

    /// Waits until the events of a partition before `through` are scored, and saved; there the life of the entity ends.
    /// Returns the place.
    fn cut(&self, of: &StreamPartition, through: Offset, key: Option<&str>) -> Result<Offset, StoreError> {
        let mut cut = None;
        self.until(&format!("the scoring of {of}"), || {
            let Some(worker) = self.engine.inner.ownership.worker_of(of) else { return Ok(false) };
            let (done, answer) = bounded(1);
            let entity = key.map(|key| (self.erasing.clone(), key.to_owned()));
            worker.ask(Request::Cut(Cut { of: of.clone(), through, entity, done }));
            // No answer: the partition is not open.
            cut = answer.recv_timeout(BEHIND).ok().transpose()?.flatten();
            Ok(cut.is_some())
        })?;
        cut.ok_or_else(log_stopped)
    }

    /// Waits until followers are done with what was in a partition: they write nothing of it any more.
    fn until_followed(&self, of: &StreamPartition, before: Offset) -> Result<(), StoreError> {
        let (ports, config) = (self.engine.ports(), &self.engine.inner.shared.config);
        let said = ports.log.end(&of.stream, Topic::Verdicts, of.partition)?;
        let wait = |follower: &str, position: &dyn Fn() -> Result<Offset, StoreError>, through: Offset| {
            if !config.follows(follower) {
                return Ok(());
            }
            self.until(&format!("the follower {follower}"), || Ok(position()? >= through))
        };
        wait("archive-events", &|| ports.archive.events_position(of), before)?;
        wait("archive-verdicts", &|| ports.archive.verdicts_position(of), said)?;
        wait("profiles", &|| ports.profiles.position(of), said)?;
        wait("graph", &|| ports.graph.position(of), said)?;
        wait("dead-letters", &|| ports.dead_letters.position(of), said)?;
        for derived in self.derived(&of.stream) {
            let progress = progress_of(derived, of.partition);
            let position = || Ok(ports.state.checkpoint(&progress)?.unwrap_or_default().events);
            wait("derive", &position, before)?;
        }
        Ok(())
    }

    fn derived(&self, stream: &str) -> &[String] {
        self.plan.streams.get(stream).map_or(&[], |stream| &stream.derived)
    }

    fn until(&self, what: &str, mut is_done: impl FnMut() -> Result<bool, StoreError>) -> Result<(), StoreError> {
        let deadline = Instant::now() + BEHIND;
        while !is_done()? {
            if self.engine.inner.shared.is_stopping() {
                return Err(log_stopped());
            }
            if Instant::now() > deadline {
                let message = format!("{what} is behind; the deletion goes on when it is not");
                return Err(StoreError::Unavailable { store: "engine", message });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Deletes the events of a life, and their copies in derived streams.
    fn erase(&mut self, key: &str, before: Offset) -> Result<Erased, StoreError> {
        let of = self.erasing.of.clone();
        let stream = self.stream(&of.stream)?;
        let copies = self.copies(&stream)?;
        let archive = self.engine.ports().archive.clone();
        let mut erased = Erased::default();
        let mut query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: AT_ONCE, cursor: None };
        loop {
            let page = archive.history(&of, &query)?;
            let events: Vec<ArchivedEvent> =
                page.items.into_iter().filter(|event| event.place.offset < before).collect();
            for (rekey, partitions) in &copies {
                for event in &events {
                    erased += self.erase_copy(rekey, *partitions, event)?;
                }
            }
            erased += self.erase_events(&stream, &of, &events)?;
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(erased);
            }
        }
    }

    /// The derived streams in which there are copies, once all that was appended to them is done with.
    fn copies(&self, stream: &StreamPlan) -> Result<Vec<(Rekey, u32)>, StoreError> {
        let mut copies = Vec::new();
        for name in &stream.derived {
            let to = self.stream(name)?;
            for partition in (0..to.partitions).map(Partition) {
                let of = StreamPartition { stream: name.as_str().into(), partition };
                let end = self.engine.ports().log.end(name, Topic::Events, partition)?;
                let before = self.cut(&of, end, None)?;
                self.until_followed(&of, before)?;
            }
            let partitions = to.partitions;
            let rekey = Rekey::new(stream, to).map_err(|error| broken(format!("{name}: {error}")))?;
            copies.push((rekey, partitions));
        }
        Ok(copies)
    }

    /// Deletes the copies of an event in a derived stream: after a crash there may be two.
    fn erase_copy(&mut self, rekey: &Rekey, partitions: u32, event: &ArchivedEvent) -> Result<Erased, StoreError> {
        let mut copy = Vec::new();
        let Some(Rekeyed { key, .. }) = rekey.event(&event.bytes, event.place, &mut copy) else {
            return Ok(Erased::default());
        };
        let ports = self.engine.ports();
        let partition = ports.log.partition_of(&key, partitions);
        let of = StreamPartition { stream: rekey.to.def.stream.as_str().into(), partition };
        let of_event = self.identities.read(&rekey.to, &of, &[records_of(event.place.offset, &copy)])?;
        let Some(time) = of_event.first().map(|entry| entry.time) else { return Ok(Erased::default()) };
        let mut query = HistoryQuery { key, times: TimeRange::at(time), limit: AT_ONCE, cursor: None };
        let mut erased = Erased::default();
        loop {
            let page = self.engine.ports().archive.history(&of, &query)?;
            let found: Vec<ArchivedEvent> = page.items.into_iter().filter(|found| found.bytes == copy).collect();
            erased += self.erase_events(&rekey.to, &of, &found)?;
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(erased);
            }
        }
    }

    fn erase_events(
        &mut self,
        stream: &StreamPlan,
        of: &StreamPartition,
        events: &[ArchivedEvent],
    ) -> Result<Erased, StoreError> {
        if events.is_empty() {
            return Ok(Erased::default());
        }
        let records: Vec<Records> = events.iter().map(|event| records_of(event.place.offset, &event.bytes)).collect();
        let entries = self.identities.read(stream, of, &records)?;
        self.erasure.erase(of, &entries)
    }
}

fn records_of(offset: Offset, event: &[u8]) -> Records {
    let mut records = Records { first: offset, ..Records::default() };
    records.push(event);
    records
}

fn broken(message: String) -> StoreError {
    StoreError::Broken { store: "engine", message }
}
