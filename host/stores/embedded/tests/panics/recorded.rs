//! A time series and an outbox that keep in memory what they are given, beyond the life of an engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use assay_core::names::Offset;
use assay_core::verdict::Outcome;
use assay_engine::ports::outbox::Outbox;
use assay_engine::ports::series::{Point, TimeSeries};
use assay_engine::ports::{PartitionId, RejectedItem, StoreError};

/// Points by their identity, and the positions of both sinks.
#[derive(Default)]
pub(crate) struct RecordedSeries {
    pub(crate) points: Mutex<BTreeMap<String, Point>>,
    events: Mutex<HashMap<PartitionId, Offset>>,
    verdicts: Mutex<HashMap<PartitionId, Offset>>,
}

fn position(positions: &Mutex<HashMap<PartitionId, Offset>>, partition: &PartitionId) -> Offset {
    positions.lock().unwrap().get(partition).copied().unwrap_or_default()
}

fn advance(positions: &Mutex<HashMap<PartitionId, Offset>>, partition: &PartitionId, next: Offset) {
    let mut positions = positions.lock().unwrap();
    let known = positions.entry(partition.clone()).or_default();
    *known = next.max(*known);
}

impl TimeSeries for RecordedSeries {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(position(&self.events, partition))
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        self.write(points)?;
        advance(&self.events, partition, next);
        Ok(Vec::new())
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(position(&self.verdicts, partition))
    }

    fn write_verdicts(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        self.write(points)?;
        advance(&self.verdicts, partition, next);
        Ok(Vec::new())
    }

    fn write(&self, points: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError> {
        let identity = |point: &Point| format!("{} {:?} {}", point.measurement, point.tags, point.time_ns);
        self.points.lock().unwrap().extend(points.into_iter().map(|point| (identity(&point), point)));
        Ok(Vec::new())
    }
}

/// Outcomes in the order in which they were published.
#[derive(Default)]
pub(crate) struct RecordedOutbox {
    pub(crate) published: Mutex<BTreeMap<PartitionId, Vec<Outcome>>>,
    positions: Mutex<HashMap<PartitionId, Offset>>,
}

impl Outbox for RecordedOutbox {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(position(&self.positions, partition))
    }

    fn publish(
        &self,
        partition: &PartitionId,
        outcomes: Vec<(Offset, Outcome)>,
        next: Offset,
    ) -> Result<(), StoreError> {
        let mut published = self.published.lock().unwrap();
        let published = published.entry(partition.clone()).or_default();
        for (_, outcome) in outcomes {
            if published.last().is_none_or(|last| outcome.offset > last.offset) {
                published.push(outcome);
            }
        }
        advance(&self.positions, partition, next);
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
