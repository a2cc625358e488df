//! The outbox port: published outcomes by partition, as a topic would have them.
//!
//! How far it has come is told by the last record, and outcomes up to it are passed over, as the adapter on Kafka does. An
//! owner that was replaced can still publish some again: a reader passes over whatever does not come after the last event
//! that it has seen in the partition.

use std::collections::BTreeMap;

use assay_core::names::Offset;
use assay_core::verdict::Outcome;

use super::client::{Client, Port};
use super::tables::{Extent, Positions};
use super::world::{LateWrite, ProcessId, World, WorldState, Write};
use crate::ports::outbox::Outbox;
use crate::ports::{PartitionId, StoreError};

/// All that is published.
#[derive(Clone, Default)]
pub(super) struct OutboxTable {
    /// Each outcome with the offset of its verdict block.
    published: BTreeMap<PartitionId, Vec<(Offset, Outcome)>>,
    positions: Positions,
}

/// What was handed over and is not known to be published, by process and partition.
#[derive(Default)]
pub(super) struct Publications(BTreeMap<(Option<ProcessId>, PartitionId), Vec<Publication>>);

#[derive(Clone)]
struct Publication {
    outcomes: Vec<(Offset, Outcome)>,
    next: Offset,
}

impl OutboxTable {
    fn last(&self, partition: &PartitionId) -> Option<&(Offset, Outcome)> {
        self.published.get(partition)?.last()
    }

    /// The block that the last outcome stands in, which may be published in part, or where a publication ended.
    fn position(&self, partition: &PartitionId) -> Offset {
        self.last(partition).map_or(Offset(0), |(block, _)| *block).max(self.positions.get(partition))
    }

    fn add(&mut self, partition: &PartitionId, publication: &Publication, extent: Extent) {
        self.published
            .entry(partition.clone())
            .or_default()
            .extend_from_slice(extent.stored_items(&publication.outcomes));
        self.positions.advance(partition, publication.next, extent);
    }
}

impl Publication {
    fn write(self, partition: PartitionId) -> Write<(), StoreError> {
        let count = self.outcomes.len();
        let write = Write::new(Port::Outbox, move |tables, extent| {
            tables.outbox.add(&partition, &self, extent);
            Ok(())
        });
        write.divisible(count)
    }
}

impl WorldState {
    /// A process has crashed: of what it had handed over the first outcomes may still arrive, in their order.
    pub(super) fn crash_publications(&mut self, process: ProcessId) {
        let (of_process, others) =
            std::mem::take(&mut self.publications.0).into_iter().partition(|((owner, _), _)| *owner == Some(process));
        self.publications.0 = others;
        for ((_, partition), publications) in of_process {
            let all: Vec<(Offset, Outcome)> = publications.into_iter().flat_map(|one| one.outcomes).collect();
            let arriving = self.faults.random.index(all.len() + 1);
            let write = Publication { outcomes: all, next: Offset(0) }.write(partition);
            let carry_out = move |world: &mut Self| drop(world.commit(&write, Extent::First(arriving)));
            self.late.push(LateWrite { process: Some(process), carry_out: Box::new(carry_out) });
        }
    }
}

impl World {
    /// What was published of a partition, in order, each event once, as a reader that passes over repetitions sees it.
    pub fn published(&self, partition: &PartitionId) -> Vec<Outcome> {
        let world = self.lock();
        let mut read: Vec<Outcome> = Vec::new();
        for (_, outcome) in world.tables.outbox.published.get(partition).into_iter().flatten() {
            if read.last().is_none_or(|last| last.offset < outcome.offset) {
                read.push(outcome.clone());
            }
        }
        read
    }
}

impl Outbox for Client {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Outbox, |tables| Ok(tables.outbox.position(partition)))
    }

    fn publish(
        &self,
        partition: &PartitionId,
        outcomes: Vec<(Offset, Outcome)>,
        next: Offset,
    ) -> Result<(), StoreError> {
        let mut world = self.enter(Port::Outbox)?;
        let stored = world.tables.outbox.last(partition).map(|(_, last)| last.offset);
        let handed_over = world.publications.0.entry((self.process, partition.clone())).or_default();
        let under_way = handed_over.iter().rev().find_map(|one| one.outcomes.last()).map(|(_, last)| last.offset);
        let last = stored.max(under_way);
        let new = outcomes.into_iter().filter(|(_, outcome)| last.is_none_or(|last| outcome.offset > last));
        handed_over.push(Publication { outcomes: new.collect(), next });
        Ok(())
    }

    /// Everything that this process handed over is published now, or some of it fails. What comes after a failure in the
    /// same partition is not published.
    fn flush(&self) -> Result<(), StoreError> {
        let all: Vec<(PartitionId, Vec<Publication>)> = {
            let mut world = self.world.lock();
            let (own, others) = std::mem::take(&mut world.publications.0)
                .into_iter()
                .partition::<BTreeMap<_, _>, _>(|((process, _), _)| *process == self.process);
            world.publications.0 = others;
            own.into_iter().map(|((_, partition), publications)| (partition, publications)).collect()
        };
        let mut settled = Ok(());
        for (partition, publications) in all {
            let published = publications.into_iter().try_for_each(|one| self.execute(one.write(partition.clone())));
            settled = settled.and(published);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::FaultRates;
    use super::*;
    use crate::ports::Ports;

    fn partition() -> PartitionId {
        PartitionId { stream: "payments".into(), partition: assay_core::names::PartitionIndex(0) }
    }

    /// The outcomes of some events, each in a block of its own.
    fn outcomes(offsets: std::ops::Range<u64>) -> Vec<(Offset, Outcome)> {
        let empty = || (String::new(), String::new(), Vec::new(), Vec::new());
        let outcome = |offset| {
            let (key, id, verdicts, failures) = empty();
            (Offset(offset), Outcome { offset: Offset(offset), time: 0, key, id, verdicts, failures })
        };
        offsets.map(outcome).collect()
    }

    /// What the sink does: goes on from where the outbox is, until it succeeds. Returns the number of attempts.
    fn publish_until(ports: &Ports, end: u64) -> u32 {
        let outbox = ports.outbox.as_ref().unwrap();
        (1..=1000)
            .find(|_| {
                let publish = || {
                    let from = outbox.position(&partition())?.0;
                    for at in (from..end).step_by(3) {
                        let next = (at + 3).min(end);
                        outbox.publish(&partition(), outcomes(at..next), Offset(next))?;
                    }
                    outbox.flush()
                };
                publish().is_ok()
            })
            .unwrap()
    }

    #[test]
    fn each_event_is_published_once_to_a_reader_that_passes_over_repetitions() {
        let mut attempts = 0;
        for seed in 0..100 {
            let world = World::new(seed, FaultRates { failed_late: 200, failed_partly: 200, ..FaultRates::ROUGH });
            let (first, second) = (world.start_process(), world.start_process());
            attempts += publish_until(&first.ports(), 20);
            first.ports().outbox.unwrap().publish(&partition(), outcomes(20..40), Offset(40)).ok();
            world.crash(first.id());
            world.deliver_next();
            attempts += publish_until(&second.ports(), 50);
            world.deliver_all();
            attempts += publish_until(&second.ports(), 60);
            let read: Vec<u64> = world.published(&partition()).iter().map(|outcome| outcome.offset.0).collect();
            assert_eq!(read, (0..60).collect::<Vec<u64>>(), "{seed}");
            assert_eq!(world.observer().outbox.unwrap().position(&partition()).unwrap(), Offset(60));
        }
        assert!(attempts > 400, "{attempts}");
    }
}
