//! Which weeks an entity has events in. A row per entity and week; what was written lately is remembered, so that a
//! busy entity does not cost one such row for each write.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use xxhash_rust::xxh3::xxh3_128;

use super::super::connection::Connection;
use super::super::keys::Home;

/// So many rows are remembered: some tens of megabytes.
const MOST_REMEMBERED: usize = 1 << 19;
/// And not for longer than this.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A row outlives the events that it tells of, those too that come while it is remembered.
const LIVES_LONGER: i32 = 2 * 24 * 60 * 60;

/// One entity and one of its weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntityWeek<'a> {
    pub(super) key: &'a str,
    pub(super) week: i64,
}

struct Remembered {
    since: Instant,
    /// By hash: that two of a million rows share 128 bits is out of the question.
    rows: HashSet<u128>,
}

/// Writes the table of weeks.
pub(super) struct Weeks {
    connection: Arc<Connection>,
    write: PreparedStatement,
    remembered: Mutex<Remembered>,
}

impl Weeks {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let write = "INSERT INTO {}.entity_weeks (stream, log_partition, key, week) VALUES (?, ?, ?, ?) USING TTL ?";
        let remembered = Mutex::new(Remembered { since: Instant::now(), rows: HashSet::new() });
        Ok(Self { write: connection.prepare(write).await?, connection, remembered })
    }

    /// Writes the weeks that were not written lately.
    pub(super) async fn write(&self, home: &Home, weeks: &[EntityWeek<'_>]) -> Result<(), ExecutionError> {
        let hashes: Vec<u128> = weeks.iter().map(|week| hash(home, week)).collect();
        let is_new: Vec<bool> = {
            let remembered = self.remembered();
            hashes.iter().map(|hash| !remembered.rows.contains(hash)).collect()
        };
        let ttl = match self.connection.config.ttl_seconds() {
            0 => 0,
            ttl => ttl.saturating_add(LIVES_LONGER).min(super::super::config::LONGEST_TTL_SECONDS),
        };
        let new = weeks.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
        let rows = new.map(|(week, _)| (&home.stream, home.partition, week.key, week.week, ttl));
        self.connection.write_all(&self.write, rows).await?;
        self.remembered().rows.extend(hashes);
        Ok(())
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        // A set of rows that are written is right at any moment.
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.rows.len() > MOST_REMEMBERED || remembered.since.elapsed() > REMEMBERED_FOR {
            *remembered = Remembered { since: Instant::now(), rows: HashSet::new() };
        }
        remembered
    }
}

fn hash(home: &Home, week: &EntityWeek<'_>) -> u128 {
    let mut bytes = Vec::with_capacity(home.stream.len() + week.key.len() + 13);
    bytes.extend_from_slice(&week.week.to_be_bytes());
    bytes.extend_from_slice(&home.partition.to_be_bytes());
    bytes.extend_from_slice(home.stream.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(week.key.as_bytes());
    xxh3_128(&bytes)
}
