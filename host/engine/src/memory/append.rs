//! The way of an append: handed over, stored, acknowledged.

use std::sync::Arc;

use assay_core::names::PartitionIndex;

use super::client::Port;
use super::faults::Fate;
use super::in_flight::{Batch, Lane};
use super::tables::Extent;
use super::world::{ProcessId, WorldState, Write};
use crate::ports::log::{Appended, Durability, Offsets, Receipt, Records, Topic};
use crate::ports::{PartitionId, StoreError};

/// So many batches of a lane may be under way: whoever appends faster waits, which here means that the oldest arrive.
const MAX_LANE_BATCHES: usize = 64;

impl WorldState {
    /// Takes an append that was checked. Each batch fails or is delayed by itself.
    pub(super) fn append(
        &mut self,
        process: Option<ProcessId>,
        (stream, topic): (&str, Topic),
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Receipt {
        let stream: Arc<str> = stream.into();
        let (append, receipt) = self.in_flight.begin(batches.len());
        for (index, (partition, records)) in batches.into_iter().enumerate() {
            let lane = Lane { process, partition: PartitionId { stream: stream.clone(), partition }, topic };
            let mut fate = self.draw_fate(process, 0);
            if fate == Fate::FailBefore && topic == Topic::Verdicts && !self.faults.rates.loses_verdicts {
                fate = Fate::Succeed;
            }
            let rate = self.faults.rates.delayed_appends;
            let is_delayed = process.is_some() && self.faults.happens(rate);
            let is_synced = durability == Durability::Synced;
            let assignment = process.and_then(|process| self.group.current_assignment(process, &lane.partition));
            let batch = Batch { append, index, records: Arc::new(records), is_synced, assignment, fate, stored: None };
            self.in_flight.push(&lane, batch);
            if fate == Fate::FailLate {
                self.in_flight.fail(append, Port::Log.unavailable("an injected fault: no answer in time"));
            } else if !is_delayed {
                self.finish_lane(&lane);
            }
            while self.in_flight.len(&lane) > MAX_LANE_BATCHES {
                self.store_next(&lane);
                self.acknowledge_next(&lane);
            }
        }
        receipt
    }

    /// Stores and acknowledges everything in a lane.
    fn finish_lane(&mut self, lane: &Lane) {
        while self.in_flight.len(lane) > 0 {
            self.store_next(lane);
            self.acknowledge_next(lane);
        }
    }

    /// Stores the first batch of a lane that is not stored.
    pub(super) fn store_next(&mut self, lane: &Lane) {
        let Some(batch) = self.in_flight.first_unstored(lane) else { return };
        let (fate, records) = (batch.fate, batch.records.clone());
        let (append, assignment) = (batch.append, batch.assignment);
        let stored = match fate {
            Fate::FailBefore => Err(Port::Log.unavailable("an injected fault: the records did not arrive")),
            _ => {
                let (partition, topic) = (lane.partition.clone(), lane.topic);
                let write = Write::<_, StoreError>::new(Port::Log, move |tables, _| {
                    tables.log.append(&partition, topic, records.clone())
                });
                self.commit(&write, Extent::Whole)
            }
        };
        match stored {
            Ok(first) => {
                self.note_if_late(lane, append, assignment);
                if let Some(batch) = self.in_flight.first_unstored(lane) {
                    batch.stored = Some(first);
                }
                self.signals.notify_appended(lane.topic, &mut self.faults);
            }
            Err(error) => self.in_flight.fail_unstored(lane, &error),
        }
    }

    /// Notes an append of which the process does not wait for the answer any more, or that is of an assignment that does not
    /// hold any more.
    fn note_if_late(&mut self, lane: &Lane, append: u64, assignment: Option<u64>) {
        let current = lane.process.and_then(|process| self.group.current_assignment(process, &lane.partition));
        if assignment.is_none() || assignment != current || !self.in_flight.is_awaited(append) {
            self.appended_late.insert((lane.partition.clone(), lane.topic));
        }
    }

    /// Acknowledges the first batch of a lane, if it is stored.
    pub(super) fn acknowledge_next(&mut self, lane: &Lane) {
        let Some(batch) = self.in_flight.take_stored(lane) else { return };
        let Some(first) = batch.stored else { return };
        if batch.fate == Fate::FailAfter {
            let error = Port::Log.unavailable("an injected fault: the acknowledgement was lost");
            return self.in_flight.fail(batch.append, error);
        }
        if batch.is_synced {
            self.journal.sync();
        }
        let appended = Appended { partition: lane.partition.partition, offsets: Offsets::From(first) };
        self.in_flight.acknowledge(batch.append, batch.index, appended);
    }
}
