//! The profiles: one document per entity. A write expects the version of the document that it has read, and is repeated
//! if another process wrote it meanwhile.

mod document;
mod highest;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ::mongodb::bson::{Document, doc};
use ::mongodb::options::IndexOptions;
use assay_core::names::Offset;
use assay_engine::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use assay_engine::ports::{Page, PartitionId, StoreError};

use super::database::Database;
use super::error::unavailable;
use super::statements::Upsert;
use document::StoredProfile;

const PROFILES: &str = "profiles";
/// The sink's name in the positions.
const SINK: &str = "profiles";
/// The number of profiles that are read and written together.
const PROFILES_PER_WRITE: usize = 250;
/// A larger change of a profile is left out and logged. MongoDB refuses documents of more than 16 MiB, and a refused
/// write would block the sink for good.
const MAX_PROFILE_BYTES: usize = 8 << 20;
/// The number of attempts of a write while other processes change the same profiles.
const MAX_ATTEMPTS: usize = 8;
/// A larger limit of the listing of the highest scores is lowered to this.
const MAX_PAGE_ITEMS: usize = 10_000;

/// Profiles on MongoDB.
pub struct MongoProfiles {
    database: Arc<Database>,
    /// The rules whose index this process has created or tried to create.
    indexed: Mutex<BTreeSet<String>>,
}

impl MongoProfiles {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        // For queries of people: they know the key but not the partition, which the `_id` begins with.
        database.make_index(PROFILES, doc! { "key": 1, "stream": 1 }, IndexOptions::default())?;
        Ok(Self { database, indexed: Mutex::default() })
    }

    /// Creates the missing indexes of rules. MongoDB allows 64 indexes in a collection; further rules have none, and
    /// listing their highest scores is a scan.
    fn make_indexes(&self, profiles: &[Profile]) {
        let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in profiles.iter().flat_map(|profile| profile.rules.keys()) {
            if indexed.contains(rule) {
                continue;
            }
            if let Err(error) = highest::make_index(&self.database, rule) {
                tracing::warn!(rule, %error, "listing the highest scores of this rule will be slow");
            }
            indexed.insert(rule.clone());
        }
    }

    /// Merges newer verdicts into the stored profiles.
    fn merge(&self, partition: &PartitionId, newer: &[Profile]) -> Result<(), StoreError> {
        let doing = format_args!("writing profiles of {partition}");
        let mut unwritten: Vec<&Profile> = newer.iter().collect();
        for _ in 0..MAX_ATTEMPTS {
            let mut stored = self.read(partition, &unwritten)?;
            let mut writes = Vec::with_capacity(unwritten.len());
            for profile in unwritten {
                let id = document::id(partition, &profile.key);
                match document::merge(partition, &id, stored.remove(&id).as_ref(), profile)? {
                    Some(write) if write.size() > MAX_PROFILE_BYTES => {
                        tracing::error!(%id, bytes = write.size(), "a profile is too large for MongoDB and is left out");
                    }
                    Some(write) => writes.push((profile, write)),
                    None => {}
                }
            }
            let (profiles, statements): (Vec<&Profile>, Vec<Upsert>) = writes.into_iter().unzip();
            // A duplicate is a profile that another process changed after it was read here.
            let conflicts = self.database.upsert(doing, PROFILES, &statements)?;
            if conflicts.is_empty() {
                return Ok(());
            }
            unwritten = conflicts.into_iter().filter_map(|index| profiles.get(index).copied()).collect();
        }
        Err(unavailable(format!("{doing}: other processes keep writing the same profiles; which of them is to?")))
    }

    /// Reads the stored profiles of entities, by `_id`.
    fn read(
        &self,
        partition: &PartitionId,
        profiles: &[&Profile],
    ) -> Result<HashMap<String, StoredProfile>, StoreError> {
        let ids: Vec<String> = profiles.iter().map(|profile| document::id(partition, &profile.key)).collect();
        let collection = self.database.collection(PROFILES);
        let find = collection.find(doc! { "_id": { "$in": ids } });
        let found = self.database.find(format_args!("reading profiles of {partition}"), find)?;
        let stored = |document: Document| {
            let id = document.get_str("_id").unwrap_or_default().to_owned();
            Ok((id, document::read(&document)?))
        };
        found.into_iter().map(stored).collect()
    }
}

impl Profiles for MongoProfiles {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.database.position(SINK, partition)
    }

    fn write(&self, partition: &PartitionId, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError> {
        // At the stored position the parts of a block are added, so only an older one is outdated.
        if next < self.position(partition)? {
            return Ok(());
        }
        self.make_indexes(&newer);
        newer.chunks(PROFILES_PER_WRITE).try_for_each(|chunk| self.merge(partition, chunk))?;
        self.database.save_position(SINK, partition, next)
    }

    fn get(&self, partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError> {
        let collection = self.database.collection(PROFILES);
        let find = collection.find_one(doc! { "_id": document::id(partition, key) });
        let found = self.database.call(format_args!("reading a profile of {partition}"), find)?;
        found.map(|document| Ok(document::read(&document)?.profile)).transpose()
    }

    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        let after = query.cursor.as_deref().map(highest::read_cursor).transpose()?;
        if query.limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        highest::list_highest(&self.database, query, query.limit.min(MAX_PAGE_ITEMS), after.as_ref())
    }
}
