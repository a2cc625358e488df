//! The time series port on InfluxDB: points first, then how far they go.

use assay_core::names::Offset;
use assay_engine::ports::series::{Point, TimeSeries};
use assay_engine::ports::{PartitionId, RejectedItem, StoreError};

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

    /// Points are acked before their position is written: what is lost between the two is written again. The position
    /// stays if points are refused.
    fn carry(
        &self,
        follower: Follower,
        partition: &PartitionId,
        points: &[Point],
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let poison = self.database.write(points)?;
        if poison.is_empty() {
            self.database.put_position(follower, partition, next)?;
        }
        Ok(poison)
    }
}

impl TimeSeries for InfluxSeries {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.database.position(Follower::Events, partition)
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        self.carry(Follower::Events, partition, &points, next)
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.database.position(Follower::Verdicts, partition)
    }

    fn write_verdicts(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        self.carry(Follower::Verdicts, partition, &points, next)
    }

    fn write(&self, points: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError> {
        self.database.write(&points)
    }
}
