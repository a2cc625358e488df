//! One deletion, step by step: end the entity's life, wait until everybody is done with it, delete, write it out of the
//! files. Each step may be repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use crossbeam_channel::bounded;

use super::ErasureService;
use crate::derived::{RekeyedEvent, Rekeyer};
use crate::plan::{Plan, StreamPlan};
use crate::ports::archive::{ArchivedEvent, HistoryQuery};
use crate::ports::erasure::{EraseStep, Erased, Erasure, PendingErasure};
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, StoreError};
use crate::shared::log_stopped;
use crate::sinks::{ArchiveEventsSink, DeletionRole, SINKS};
use crate::worker::{EndLifetime, Request};

/// The longest wait for scoring and sinks to catch up, after which the deletion is put off.
const MAX_CATCH_UP_WAIT: Duration = Duration::from_secs(60);
/// The interval of the checks that they are done.
const CATCH_UP_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Events that are deleted at once: each may be in a block of its own, which is rewritten in memory.
const MAX_EVENTS_AT_ONCE: usize = 64;

pub(super) struct Deletion<'e> {
    service: &'e ErasureService,
    erasure: &'e dyn Erasure,
    erasing: &'e PendingErasure,
    plan: Arc<Plan>,
    identities: ArchiveEventsSink,
}

impl<'e> Deletion<'e> {
    pub(super) fn new(service: &'e ErasureService, erasure: &'e dyn Erasure, erasing: &'e PendingErasure) -> Self {
        let identities = ArchiveEventsSink::new(service.shared.ports.archive.clone());
        Self { service, erasure, erasing, plan: service.shared.plan(), identities }
    }

    /// Does what is left to do.
    pub(super) fn carry_out(&mut self) -> Result<Erased, StoreError> {
        let partition = &self.erasing.partition;
        let mut erased = Erased::default();
        let life = match &self.erasing.step {
            EraseStep::EndLifetime { key } => {
                let end = self.service.shared.ports.log.end(&partition.stream, Topic::Events, partition.partition)?;
                Some((key, self.end_lifetime(partition, end, Some(key.as_str()))?))
            }
            EraseStep::Erase { key, before } => Some((key, *before)),
            EraseStep::Purge => None,
        };
        if let Some((key, before)) = life {
            self.wait_for_sinks(partition, before)?;
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
    fn end_lifetime(&self, partition: &PartitionId, through: Offset, key: Option<&str>) -> Result<Offset, StoreError> {
        let mut ended_at = None;
        self.wait_until(&format!("the scoring of {partition}"), || {
            let Some(worker) = self.service.ownership.worker_of(partition) else { return Ok(false) };
            let (done, answer) = bounded(1);
            let entity = key.map(|key| (self.erasing.clone(), key.to_owned()));
            worker.send(Request::EndLifetime(EndLifetime { partition: partition.clone(), through, entity, done }));
            // No answer: the partition is not open.
            ended_at = answer.recv_timeout(MAX_CATCH_UP_WAIT).ok().transpose()?.flatten();
            Ok(ended_at.is_some())
        })?;
        ended_at.ok_or_else(log_stopped)
    }

    /// Waits until sinks are done with what was in a partition: they write nothing of it any more.
    fn wait_for_sinks(&self, partition: &PartitionId, before: Offset) -> Result<(), StoreError> {
        let (ports, config) = (&self.service.shared.ports, &self.service.shared.config);
        let verdicts_end = ports.log.end(&partition.stream, Topic::Verdicts, partition.partition)?;
        let awaited = SINKS.iter().filter(|sink| sink.deletion != DeletionRole::NotAwaited);
        for sink in awaited.filter(|sink| config.runs_sink(sink.name)) {
            let through = match sink.topic {
                Topic::Events => before,
                Topic::Verdicts => verdicts_end,
            };
            self.wait_until(&format!("the sink {}", sink.name), || {
                Ok((sink.position)(ports, &self.plan, partition)?.is_none_or(|position| position >= through))
            })?;
        }
        Ok(())
    }

    fn wait_until(&self, what: &str, mut is_done: impl FnMut() -> Result<bool, StoreError>) -> Result<(), StoreError> {
        let deadline = Instant::now() + MAX_CATCH_UP_WAIT;
        while !is_done()? {
            if self.service.shared.is_stopping() {
                return Err(log_stopped());
            }
            if Instant::now() > deadline {
                let message = format!("{what} is behind; the deletion goes on when it is not");
                return Err(StoreError::Unavailable { store: "engine", message });
            }
            std::thread::sleep(CATCH_UP_POLL_INTERVAL);
        }
        Ok(())
    }

    /// Deletes the events of a life, and their copies in derived streams.
    fn erase(&mut self, key: &str, before: Offset) -> Result<Erased, StoreError> {
        let partition = self.erasing.partition.clone();
        let stream = self.stream(&partition.stream)?;
        let derived_copies = self.derived_copies(&stream)?;
        let archive = self.service.shared.ports.archive.clone();
        let mut erased = Erased::default();
        let mut query =
            HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: MAX_EVENTS_AT_ONCE, cursor: None };
        loop {
            let page = archive.history(&partition, &query)?;
            let events: Vec<ArchivedEvent> =
                page.items.into_iter().filter(|event| event.place.offset < before).collect();
            for (rekey, partitions) in &derived_copies {
                for event in &events {
                    erased += self.erase_copy(rekey, *partitions, event)?;
                }
            }
            erased += self.erase_events(&stream, &partition, &events)?;
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(erased);
            }
        }
    }

    /// The derived streams in which there are copies, once all that was appended to them is done with.
    fn derived_copies(&self, stream: &StreamPlan) -> Result<Vec<(Rekeyer, u32)>, StoreError> {
        let mut derived_copies = Vec::new();
        for name in &stream.derived {
            let to = self.stream(name)?;
            for partition in (0..to.partitions).map(PartitionIndex) {
                let partition_id = PartitionId { stream: name.as_str().into(), partition };
                let end = self.service.shared.ports.log.end(name, Topic::Events, partition)?;
                let before = self.end_lifetime(&partition_id, end, None)?;
                self.wait_for_sinks(&partition_id, before)?;
            }
            let partitions = to.partitions;
            let rekey = Rekeyer::new(stream, to).map_err(|error| broken(format!("{name}: {error}")))?;
            derived_copies.push((rekey, partitions));
        }
        Ok(derived_copies)
    }

    /// Deletes the copies of an event in a derived stream: after a crash there may be two.
    fn erase_copy(&mut self, rekey: &Rekeyer, partitions: u32, event: &ArchivedEvent) -> Result<Erased, StoreError> {
        let mut copy = Vec::new();
        let Some(RekeyedEvent { key, .. }) = rekey.event(&event.bytes, event.place, &mut copy) else {
            return Ok(Erased::default());
        };
        let ports = &self.service.shared.ports;
        let partition = ports.log.partition_of(&key, partitions);
        let partition_id = PartitionId { stream: rekey.to.def.stream.as_str().into(), partition };
        let of_event = self.identities.read(&rekey.to, &partition_id, &[records_of(event.place.offset, &copy)])?;
        let Some(time) = of_event.first().map(|entry| entry.time) else { return Ok(Erased::default()) };
        let mut query = HistoryQuery { key, times: TimeRange::at(time), limit: MAX_EVENTS_AT_ONCE, cursor: None };
        let mut erased = Erased::default();
        loop {
            let page = self.service.shared.ports.archive.history(&partition_id, &query)?;
            let found: Vec<ArchivedEvent> = page.items.into_iter().filter(|found| found.bytes == copy).collect();
            erased += self.erase_events(&rekey.to, &partition_id, &found)?;
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(erased);
            }
        }
    }

    fn erase_events(
        &mut self,
        stream: &StreamPlan,
        partition: &PartitionId,
        events: &[ArchivedEvent],
    ) -> Result<Erased, StoreError> {
        if events.is_empty() {
            return Ok(Erased::default());
        }
        let records: Vec<Records> = events.iter().map(|event| records_of(event.place.offset, &event.bytes)).collect();
        let entries = self.identities.read(stream, partition, &records)?;
        self.erasure.erase(partition, &entries)
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
