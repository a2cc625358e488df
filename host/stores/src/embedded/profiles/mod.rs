//! The profiles: one row per entity, merged when it is written.

mod highest;
mod row;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_core::wire::Corrupt;
use assay_engine::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use assay_engine::ports::{Page, StoreError, StreamPartition};

use super::commits::Batch;
use super::database::{Database, Durability};
use super::error::damaged;
use super::keys::{self, Whose};

/// The highest offset of an event that a row knows.
pub(super) fn latest_offset(row: &[u8]) -> Result<Option<Offset>, Corrupt> {
    Ok(row::decode(None, row)?.rules.values().map(|latest| latest.offset).max())
}

/// The most entities of one page of the highest scores.
const LONGEST_PAGE: usize = 10_000;

/// Profiles on the embedded database.
pub struct EmbeddedProfiles {
    database: Arc<Database>,
    /// Profiles are read, merged and written: one follower at a time, or a merge could be lost to another.
    writer: Mutex<()>,
}

impl EmbeddedProfiles {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writer: Mutex::new(()) }
    }

    /// To be held while profiles are read, changed and written.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own, so what a panic left behind does not matter.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to a batch that an entity's profile holds nothing of events before an offset. Returns whether it did.
    pub(super) fn erase(
        &self,
        batch: &mut Batch,
        of: &StreamPartition,
        key: &str,
        before: Offset,
    ) -> Result<bool, StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else { return Ok(false) };
        let Some(mut profile) = self.get(of, key)? else { return Ok(false) };
        let rules = profile.rules.len();
        profile.rules.retain(|_, latest| latest.offset >= before);
        let row_key = keys::entity(id, key);
        if profile.rules.is_empty() {
            batch.remove(&self.database.profiles, row_key);
        } else if profile.rules.len() < rules {
            let is_key_in_row = keys::entity_of(&row_key).is_some();
            let row = row::merge(None, &profile, is_key_in_row);
            batch.insert(&self.database.profiles, row_key, row.map_err(|error| damaged("a profile", &error))?);
        }
        Ok(profile.rules.len() < rules)
    }
}

impl Profiles for EmbeddedProfiles {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.database.position(Whose::Profiles, id).map(Offset))
    }

    fn write(&self, of: &StreamPartition, mut newer: Vec<Profile>, next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        let _writer = self.lock();
        if next.0 <= self.database.position(Whose::Profiles, id)? {
            return Ok(());
        }
        // Rows in the order of their keys are read and written faster: they lie next to each other.
        newer.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut batch = self.database.batch(newer.len() + 1);
        for profile in newer {
            let row_key = keys::entity(id, &profile.key);
            let is_key_in_row = keys::entity_of(&row_key).is_some();
            let doing = format_args!("merging the profile of '{}'", profile.key);
            let have = self.database.get(&self.database.profiles, &row_key, doing)?;
            let merged = row::merge(have.as_deref(), &profile, is_key_in_row);
            let merged = merged.map_err(|error| damaged(doing, &error))?;
            batch.insert(&self.database.profiles, row_key, merged);
        }
        self.database.put_position(&mut batch, Whose::Profiles, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing profiles of {of}"))
    }

    fn get(&self, of: &StreamPartition, key: &str) -> Result<Option<Profile>, StoreError> {
        let id = self.database.streams.find_partition(of);
        let Some(id) = id else {
            return Ok(None);
        };
        let doing = format_args!("reading the profile of '{key}'");
        let row = self.database.get(&self.database.profiles, &keys::entity(id, key), doing)?;
        row.map(|row| row::decode(Some(key), &row).map_err(|error| damaged(doing, &error))).transpose()
    }

    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        let behind = query.cursor.as_deref().map(highest::read_cursor).transpose()?;
        let limit = query.limit.min(LONGEST_PAGE);
        match self.database.streams.find(&query.stream) {
            Some(id) if limit > 0 => highest::highest(&self.database, id, query, limit, behind.as_ref()),
            _ => Ok(Page { items: Vec::new(), cursor: None }),
        }
    }
}
