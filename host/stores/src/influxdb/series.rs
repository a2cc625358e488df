//! The time series port on InfluxDB: points first, then how far they go.

use assay_core::names::Offset;
use assay_engine::ports::series::{Point, TimeSeries};
use assay_engine::ports::{Poison, StoreError, StreamPartition};

use super::Database;
use super::positions::Follower;

/// The time series port.
pub(super) struct InfluxSeries {
    database: Database,
}

impl InfluxSeries {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Points are acked before their position is written: what is lost between the two is written again.
    fn carry(
        &self,
        follower: Follower,
        of: &StreamPartition,
        points: &[Point],
        next: Offset,
    ) -> Result<Vec<Poison>, StoreError> {
        let poison = self.database.write(points)?;
        self.database.put_position(follower, of, next)?;
        Ok(poison)
    }
}

impl TimeSeries for InfluxSeries {
    fn events_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.database.position(Follower::Events, of)
    }

    fn write_events(&self, of: &StreamPartition, points: Vec<Point>, next: Offset) -> Result<Vec<Poison>, StoreError> {
        self.carry(Follower::Events, of, &points, next)
    }

    fn verdicts_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.database.position(Follower::Verdicts, of)
    }

    fn write_verdicts(
        &self,
        of: &StreamPartition,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<Poison>, StoreError> {
        self.carry(Follower::Verdicts, of, &points, next)
    }

    fn write(&self, points: Vec<Point>) -> Result<Vec<Poison>, StoreError> {
        self.database.write(&points)
    }
}
