//! The profiles: one document per entity, changed only by who has seen its last change.

mod document;
mod highest;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ::mongodb::bson::{Document, doc};
use ::mongodb::options::IndexOptions;
use assay_core::names::Offset;
use assay_engine::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use assay_engine::ports::{Page, StoreError, StreamPartition};

use super::database::Database;
use super::error::unavailable;
use super::statements::Upsert;
use document::Stored;

const PROFILES: &str = "profiles";
/// The follower's name in the positions.
const FOLLOWER: &str = "profiles";
/// How many profiles are read and written at once.
const CHUNK: usize = 250;
/// A change of a profile that is larger is left out, for nothing would get past it. MongoDB takes documents of 16 MiB.
const LARGEST: usize = 8 << 20;
/// How often a write is tried when others change the same profiles meanwhile.
const TRIES: usize = 8;
/// The most entities of one page of the highest scores.
const LONGEST_PAGE: usize = 10_000;

/// Profiles on MongoDB.
pub struct MongoProfiles {
    database: Arc<Database>,
    /// Rules whose scores have an index, as far as this process knows.
    indexed: Mutex<BTreeSet<String>>,
}

impl MongoProfiles {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        // For people: they know the key, not the partition, which is in the `_id`.
        database.make_index(PROFILES, doc! { "key": 1, "stream": 1 }, IndexOptions::default())?;
        Ok(Self { database, indexed: Mutex::default() })
    }

    /// Makes the indexes of rules that have none yet. MongoDB allows 64 in a collection: rules beyond that have none,
    /// and listing their highest scores is a scan.
    fn index(&self, profiles: &[Profile]) {
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

    /// Merges newer verdicts into some profiles.
    fn merge(&self, of: &StreamPartition, newer: &[Profile]) -> Result<(), StoreError> {
        let doing = format_args!("writing profiles of {of}");
        let mut open: Vec<&Profile> = newer.iter().collect();
        for _ in 0..TRIES {
            let mut stored = self.read(of, &open)?;
            let mut writes = Vec::with_capacity(open.len());
            for profile in open {
                let id = document::id(of, &profile.key);
                match document::merge(of, &id, stored.remove(&id).as_ref(), profile)? {
                    Some(write) if write.size() > LARGEST => {
                        tracing::error!(%id, bytes = write.size(), "a profile is too large for MongoDB and is left out");
                    }
                    Some(write) => writes.push((profile, write)),
                    None => {}
                }
            }
            let (profiles, statements): (Vec<&Profile>, Vec<Upsert>) = writes.into_iter().unzip();
            // A duplicate is a profile that somebody else changed after it was read.
            let lost = self.database.upsert(doing, PROFILES, &statements)?;
            if lost.is_empty() {
                return Ok(());
            }
            open = lost.into_iter().filter_map(|place| profiles.get(place).copied()).collect();
        }
        Err(unavailable(format!("{doing}: other processes keep writing the same profiles; which of them is to?")))
    }

    /// The stored profiles of some entities, by `_id`.
    fn read(&self, of: &StreamPartition, profiles: &[&Profile]) -> Result<HashMap<String, Stored>, StoreError> {
        let ids: Vec<String> = profiles.iter().map(|profile| document::id(of, &profile.key)).collect();
        let collection = self.database.collection(PROFILES);
        let find = collection.find(doc! { "_id": { "$in": ids } });
        let found = self.database.find(format_args!("reading profiles of {of}"), find)?;
        let stored = |document: Document| {
            let id = document.get_str("_id").unwrap_or_default().to_owned();
            Ok((id, document::read(&document)?))
        };
        found.into_iter().map(stored).collect()
    }
}

impl Profiles for MongoProfiles {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.database.position(FOLLOWER, of)
    }

    fn write(&self, of: &StreamPartition, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError> {
        if next <= self.position(of)? {
            return Ok(());
        }
        self.index(&newer);
        newer.chunks(CHUNK).try_for_each(|chunk| self.merge(of, chunk))?;
        self.database.save_position(FOLLOWER, of, next)
    }

    fn get(&self, of: &StreamPartition, key: &str) -> Result<Option<Profile>, StoreError> {
        let collection = self.database.collection(PROFILES);
        let find = collection.find_one(doc! { "_id": document::id(of, key) });
        let found = self.database.call(format_args!("reading a profile of {of}"), find)?;
        found.map(|document| Ok(document::read(&document)?.profile)).transpose()
    }

    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        let behind = query.cursor.as_deref().map(highest::read_cursor).transpose()?;
        if query.limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        highest::highest(&self.database, query, query.limit.min(LONGEST_PAGE), behind.as_ref())
    }
}
