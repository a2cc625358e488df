//! The time series port: points by measurement, tags and time.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use super::client::{Client, Port};
use super::tables::{Extent, Positions};
use super::world::{World, Write};
use crate::ports::series::{FieldValue, Point, TimeSeries};
use crate::ports::{PartitionId, RejectedItem, StoreError};

/// All points.
#[derive(Clone, Default)]
pub(super) struct SeriesTable {
    points: BTreeMap<Identity, BTreeMap<String, FieldValue>>,
    events_positions: Positions,
    verdicts_positions: Positions,
}

/// Measurement, time and tags.
type Identity = (String, i64, BTreeMap<String, String>);

/// A point as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPoint {
    /// When, ns since 1970.
    pub time_ns: i64,
    /// By what it is told apart.
    pub tags: BTreeMap<String, String>,
    /// What was measured.
    pub fields: BTreeMap<String, FieldValue>,
}

impl SeriesTable {
    /// Numbers that are not finite, tags without a value and points without a field are left out: no store holds them.
    fn write(&mut self, points: &[Point]) {
        let is_finite = |value: &FieldValue| !matches!(value, FieldValue::Float(float) if !float.is_finite());
        for point in points {
            let mut fields = point.fields.iter().filter(|(_, value)| is_finite(value)).cloned().peekable();
            if fields.peek().is_some() {
                let tags = point.tags.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
                let identity = (point.measurement.clone(), point.time_ns, tags);
                self.points.entry(identity).or_default().extend(fields);
            }
        }
    }
}

impl World {
    /// All points of a measurement, by time.
    pub fn points(&self, measurement: &str) -> Vec<StoredPoint> {
        let world = self.lock();
        let of_it = world.tables.series.points.iter().filter(|((name, _, _), _)| name == measurement);
        let stored = of_it.map(|((_, time_ns, tags), fields)| StoredPoint {
            time_ns: *time_ns,
            tags: tags.clone(),
            fields: fields.clone(),
        });
        stored.collect()
    }
}

impl Client {
    fn write_points(
        &self,
        points: Vec<Point>,
        advance: impl Fn(&mut SeriesTable, Extent) + Send + Sync + 'static,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let count = points.len();
        let write = Write::new(Port::Series, move |tables, extent| {
            tables.series.write(extent.stored_items(&points));
            advance(&mut tables.series, extent);
            Ok(Vec::new())
        });
        self.execute(write.divisible(count))
    }
}

impl TimeSeries for Client {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Series, |tables| Ok(tables.series.events_positions.get(partition)))
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let partition = partition.clone();
        self.write_points(points, move |series, extent| series.events_positions.advance(&partition, next, extent))
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Series, |tables| Ok(tables.series.verdicts_positions.get(partition)))
    }

    fn write_verdicts(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let partition = partition.clone();
        self.write_points(points, move |series, extent| series.verdicts_positions.advance(&partition, next, extent))
    }

    fn write(&self, points: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError> {
        self.write_points(points, |_, _| {})
    }
}
