//! The events that were read last of a partition of a source, as the derived stream has them, until the merge takes them.

use std::collections::{BTreeMap, HashSet};

use assay_core::names::{Offset, PartitionIndex};

use super::super::write_records::write_dead_letters;
use super::super::{DERIVE, Refusal, refused_offsets};
use super::merge::Merge;
use super::stream_merge::Target;
use crate::derived::{Rekeyer, copy_event};
use crate::panics::{EVENT_PANICKED, Panicked, catch};
use crate::plan::StreamPlan;
use crate::ports::log::Records;
use crate::ports::{PartitionId, Place, StoreError};
use crate::probe::ProbePoint;
use crate::shared::Shared;

/// An event that waits in the merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WaitingEvent {
    /// Its offset in the source.
    pub(super) offset: Offset,
    /// Its partition in the derived stream.
    pub(super) target: PartitionIndex,
    /// Its first byte and the byte after its last one, in the data of its batch.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The time at which the log of the source stored it, ms since 1970.
    pub(super) stored_at: i64,
}

/// An event that was read: its offset, its time if it counts, and the event if it is to be taken.
type ReadEvent = (Offset, Option<i64>, Option<WaitingEvent>);

/// Decides which events of a source go to which partition of the derived stream.
pub(super) struct Router<'a> {
    pub(super) shared: &'a Shared,
    pub(super) source: &'a StreamPlan,
    pub(super) rekey: &'a Rekeyer,
    pub(super) targets: &'a BTreeMap<PartitionIndex, Target>,
}

impl Router<'_> {
    /// Hands the merge what was read of a partition of the source. `data` gets the events and must hold nothing that waits.
    pub(super) fn accept(
        &self,
        merge: &mut Merge<WaitingEvent>,
        partition: &PartitionId,
        records: &[Records],
        data: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let whole = catch(|| {
            let last = Offset(last.next().0.saturating_sub(1));
            self.shared.config.probe.call(ProbePoint::Carry(DERIVE, partition, first.first, last));
            self.read_events(partition, records, data)
        });
        let events = match whole {
            Ok(events) => events,
            Err(panicked) => {
                let (first, next) = (first.first, last.next());
                tracing::error!(sink = DERIVE, %partition, %first, %next, %panicked, "a panic while records are carried");
                self.read_events_alone(partition, records, data)?
            }
        };
        let source = partition.partition.0 as usize;
        for (offset, time, event) in events {
            merge.accept(source, offset, time, event);
        }
        merge.end_batch(source, last.next(), self.shared.config.clock.now());
        Ok(())
    }

    fn read_events(&self, partition: &PartitionId, records: &[Records], data: &mut Vec<u8>) -> Vec<ReadEvent> {
        data.clear();
        let refused = refused_offsets(records);
        let mut events = Vec::with_capacity(records.iter().map(Records::len).sum());
        for block in records {
            for (index, (offset, bytes)) in block.iter().enumerate() {
                let stored_at = block.stored_at(index);
                let identified = self.identify((offset, bytes), stored_at, &refused);
                events.push(self.route(partition, (offset, bytes), identified, stored_at, data));
            }
        }
        events
    }

    /// Reads events one at a time, because some of them panicked together. Those that panic alone become dead letters.
    fn read_events_alone(
        &self,
        partition: &PartitionId,
        records: &[Records],
        data: &mut Vec<u8>,
    ) -> Result<Vec<ReadEvent>, StoreError> {
        data.clear();
        let refused = refused_offsets(records);
        let (mut events, mut refusals) = (Vec::new(), Vec::new());
        for block in records {
            for (index, (offset, bytes)) in block.iter().enumerate() {
                let stored_at = block.stored_at(index);
                let identified = catch(|| {
                    self.shared.config.probe.call(ProbePoint::Carry(DERIVE, partition, offset, offset));
                    self.identify((offset, bytes), stored_at, &refused)
                });
                let identified = identified.unwrap_or_else(|panicked| {
                    refusals.push(refusal(offset, &panicked));
                    None
                });
                // Not caught: a panic of the log is not the fault of an event. The thread begins anew.
                events.push(self.route(partition, (offset, bytes), identified, stored_at, data));
            }
        }
        // Before they are passed over: after that nobody would know of them if the process ended here.
        write_dead_letters(self.shared, DERIVE, partition, refusals)?;
        Ok(events)
    }

    /// The entity of an event in the derived stream, and its time; none: the event is not taken there, and does not count.
    fn identify(
        &self,
        (offset, bytes): (Offset, &[u8]),
        stored_at: i64,
        refused: &HashSet<Offset>,
    ) -> Option<(Option<String>, i64)> {
        if refused.contains(&offset) {
            return None;
        }
        let (key, time) = self.rekey.identify(bytes)?;
        // Decided as the source's worker does, which makes it a dead letter. A log that keeps no times says 0.
        self.source.max_ahead().check(time, Some(stored_at).filter(|at| *at > 0)).ok()?;
        Some((key, time))
    }

    /// Copies an event to the data if it belongs to one of the targets and is not there yet.
    fn route(
        &self,
        partition: &PartitionId,
        (offset, bytes): (Offset, &[u8]),
        identified: Option<(Option<String>, i64)>,
        stored_at: i64,
        data: &mut Vec<u8>,
    ) -> ReadEvent {
        let Some((key, time)) = identified else { return (offset, None, None) };
        let target = key.map(|key| self.shared.ports.log.partition_of(&key, self.rekey.to.partitions));
        let is_wanted = |target: &PartitionIndex| {
            let has = |target: &Target| target.started_at(partition.partition) <= offset;
            self.targets.get(target).is_some_and(has)
        };
        let Some(target) = target.filter(is_wanted) else { return (offset, Some(time), None) };
        let start = data.len();
        copy_event(bytes, Place { partition: partition.partition, offset }, data);
        (offset, Some(time), Some(WaitingEvent { offset, target, start, end: data.len(), stored_at }))
    }
}

fn refusal(offset: Offset, panicked: &Panicked) -> Refusal {
    Refusal { offset, code: EVENT_PANICKED, message: panicked.to_string() }
}
