//! The profiles: one row per entity, merged when it is written.

mod highest;
mod row;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_core::wire::Corrupt;
use assay_engine::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use assay_engine::ports::{Page, PartitionId, StoreError};

use super::commits::Batch;
use super::database::{Database, Durability};
use super::error::damaged;
use super::keys::{self, PositionOwner};

/// The highest event offset in a row; none if it has no verdicts.
pub(super) fn latest_offset(row: &[u8]) -> Result<Option<Offset>, Corrupt> {
    Ok(row::decode(None, row)?.rules.values().map(|latest| latest.offset).max())
}

/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 10_000;

/// Profiles on the embedded database.
pub(super) struct EmbeddedProfiles {
    database: Arc<Database>,
    /// Locked while profiles are read, merged and written. Without it a concurrent merge could be lost.
    writer: Mutex<()>,
}

impl EmbeddedProfiles {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writer: Mutex::new(()) }
    }

    /// Locks the profiles for reading, changing and writing.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // A poisoned lock is safe: it guards no data of its own.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the removal of an entity's verdicts on events before an offset to a batch. Returns whether there were any.
    pub(super) fn erase(
        &self,
        batch: &mut Batch,
        partition: &PartitionId,
        key: &str,
        before: Offset,
    ) -> Result<bool, StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else { return Ok(false) };
        let Some(mut profile) = self.get(partition, key)? else { return Ok(false) };
        let rules = profile.rules.len();
        profile.rules.retain(|_, latest| latest.offset >= before);
        let row_key = keys::entity_key(id, key);
        if profile.rules.is_empty() {
            batch.remove(&self.database.profiles, row_key);
        } else if profile.rules.len() < rules {
            let is_key_in_row = keys::entity_in_key(&row_key).is_some();
            let row = row::merge(None, &profile, is_key_in_row);
            batch.insert(&self.database.profiles, row_key, row.map_err(|error| damaged("a profile", &error))?);
        }
        Ok(profile.rules.len() < rules)
    }
}

impl Profiles for EmbeddedProfiles {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.database.position(PositionOwner::Profiles, id).map(Offset))
    }

    fn write(&self, partition: &PartitionId, mut newer: Vec<Profile>, next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        let _writer = self.lock();
        // At the stored position the parts of a block are added, so only an older one is outdated.
        if next.0 < self.database.position(PositionOwner::Profiles, id)? {
            return Ok(());
        }
        // Neighbouring keys are close in the tables and in the memtable, so sorted access is faster.
        newer.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut batch = self.database.batch(newer.len() + 1);
        for profile in newer {
            let row_key = keys::entity_key(id, &profile.key);
            let is_key_in_row = keys::entity_in_key(&row_key).is_some();
            let doing = format_args!("merging the profile of '{}'", profile.key);
            let have = self.database.get(&self.database.profiles, &row_key, doing)?;
            let merged = row::merge(have.as_deref(), &profile, is_key_in_row);
            let merged = merged.map_err(|error| damaged(doing, &error))?;
            batch.insert(&self.database.profiles, row_key, merged);
        }
        self.database.put_position(&mut batch, PositionOwner::Profiles, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing profiles of {partition}"))
    }

    fn get(&self, partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError> {
        let id = self.database.streams.find_partition(partition);
        let Some(id) = id else {
            return Ok(None);
        };
        let doing = format_args!("reading the profile of '{key}'");
        let row = self.database.get(&self.database.profiles, &keys::entity_key(id, key), doing)?;
        row.map(|row| row::decode(Some(key), &row).map_err(|error| damaged(doing, &error))).transpose()
    }

    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        let after = query.cursor.as_deref().map(highest::read_cursor).transpose()?;
        let limit = query.limit.min(MAX_PAGE_ITEMS);
        match self.database.streams.find(&query.stream) {
            Some(id) if limit > 0 => highest::list_highest(&self.database, id, query, limit, after.as_ref()),
            _ => Ok(Page { items: Vec::new(), cursor: None }),
        }
    }
}
