//! The table of the weeks in which an entity has events: a row per entity and week.
//!
//! A cache holds the rows that were written recently, so that a busy entity does not cause one such row with each
//! write.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use xxhash_rust::xxh3::xxh3_128;

use crate::connection::Connection;
use crate::keys::TablePartition;

/// The most rows in the cache, which take some tens of megabytes. A cache with more is cleared.
const MAX_CACHED_ROWS: usize = 1 << 19;
/// A cache that is older than this is cleared, so that each row is written again before its TTL ends.
const MAX_CACHE_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Added to the TTL of the events. A row must outlive all events of its week, also those that are written while the
/// row is in the cache.
const EXTRA_TTL_SECONDS: i32 = 2 * 24 * 60 * 60;

/// An entity's key, and the number of a week (see [`keys::week_of`](crate::keys::week_of)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntityWeek<'a> {
    pub(super) key: &'a str,
    pub(super) week: i64,
}

struct WrittenWeeks {
    since: Instant,
    /// The hashes of the rows. A collision of 128 bits among a million rows is practically impossible.
    rows: HashSet<u128>,
}

/// The prepared statement of the table, and the cache.
pub(super) struct Weeks {
    connection: Arc<Connection>,
    write: PreparedStatement,
    written: Mutex<WrittenWeeks>,
}

impl Weeks {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let write = "INSERT INTO {}.entity_weeks (stream, log_partition, key, week) VALUES (?, ?, ?, ?) USING TTL ?";
        let written = Mutex::new(WrittenWeeks { since: Instant::now(), rows: HashSet::new() });
        Ok(Self { write: connection.prepare(write).await?, connection, written })
    }

    /// Writes the weeks that are not in the cache.
    pub(super) async fn write(
        &self,
        table_partition: &TablePartition,
        weeks: &[EntityWeek<'_>],
    ) -> Result<(), ExecutionError> {
        let hashes: Vec<u128> = weeks.iter().map(|week| hash_row(table_partition, week)).collect();
        let is_new: Vec<bool> = {
            let written = self.lock_written();
            hashes.iter().map(|hash| !written.rows.contains(hash)).collect()
        };
        let ttl = match self.connection.config.ttl_seconds() {
            0 => 0,
            ttl => ttl.saturating_add(EXTRA_TTL_SECONDS).min(crate::config::MAX_TTL_SECONDS),
        };
        let new = weeks.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
        let rows = new.map(|(week, _)| (&table_partition.stream, table_partition.partition, week.key, week.week, ttl));
        self.connection.write_all(&self.write, rows).await?;
        // Only written rows may be in the cache.
        self.lock_written().rows.extend(hashes);
        Ok(())
    }

    /// Locks the cache, and clears it if it is full or old.
    fn lock_written(&self) -> MutexGuard<'_, WrittenWeeks> {
        // A panic cannot leave the set inconsistent: each insertion adds a row that is already written.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.rows.len() > MAX_CACHED_ROWS || written.since.elapsed() > MAX_CACHE_AGE {
            *written = WrittenWeeks { since: Instant::now(), rows: HashSet::new() };
        }
        written
    }
}

fn hash_row(table_partition: &TablePartition, week: &EntityWeek<'_>) -> u128 {
    let mut bytes = Vec::with_capacity(table_partition.stream.len() + week.key.len() + 13);
    bytes.extend_from_slice(&week.week.to_be_bytes());
    bytes.extend_from_slice(&table_partition.partition.to_be_bytes());
    bytes.extend_from_slice(table_partition.stream.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(week.key.as_bytes());
    xxh3_128(&bytes)
}
