//! Deletions that are not done, as rows: an interrupted one is gone on with.

use assay_core::names::{Offset, Partition};
use assay_engine::ports::StoreError;
use assay_engine::ports::StreamPartition;
use assay_engine::ports::erasure::{EraseStep, Erasing};
use serde::{Deserialize, Serialize};

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::{broken, failed};

const PREFIX: &[u8] = b"erase/";

/// A row. Without a key the deletion is at its last step; without an offset at its first.
#[derive(Serialize, Deserialize)]
struct Marker {
    stream: String,
    partition: u32,
    digest: String,
    author: String,
    key: Option<String>,
    before: Option<u64>,
    /// How far the last step is.
    #[serde(default)]
    purged: Purged,
}

/// How far the last step of a deletion is: each part is done once, however often the process is killed meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Purged {
    /// How many keyspaces are written anew.
    pub(super) keyspaces: usize,
    /// The newest journal that may hold something of the entity; none: not known yet.
    pub(super) journal: Option<u64>,
}

fn row_key(id: u64) -> Vec<u8> {
    [PREFIX, &id.to_be_bytes()].concat()
}

/// A number behind those of all deletions that are not done.
pub(super) fn next_id(database: &Database) -> Result<u64, StoreError> {
    Ok(all(database)?.last().map_or(1, |last| last.id + 1))
}

/// Adds a deletion as it is now to a batch.
pub(super) fn put(database: &Database, batch: &mut Batch, erasing: &Erasing) -> Result<(), StoreError> {
    let (key, before) = match &erasing.step {
        EraseStep::Cut { key } => (Some(key.clone()), None),
        EraseStep::Erase { key, before } => (Some(key.clone()), Some(before.0)),
        EraseStep::Purge => (None, None),
    };
    let marker = Marker {
        stream: erasing.of.stream.to_string(),
        partition: erasing.of.partition.0,
        digest: erasing.digest.clone(),
        author: erasing.author.clone(),
        key,
        before,
        purged: Purged::default(),
    };
    insert(database, batch, erasing.id, &marker)
}

fn insert(database: &Database, batch: &mut Batch, id: u64, marker: &Marker) -> Result<(), StoreError> {
    let json = serde_json::to_vec(marker).map_err(|error| broken(format!("a deletion has no JSON form: {error}")))?;
    batch.insert(&database.meta, row_key(id), json);
    Ok(())
}

/// How far the last step of a deletion is.
pub(super) fn purged(database: &Database, id: u64) -> Result<Purged, StoreError> {
    Ok(read(database, id)?.map(|marker| marker.purged).unwrap_or_default())
}

/// Adds how far the last step of a deletion is to a batch.
pub(super) fn put_purged(database: &Database, batch: &mut Batch, id: u64, purged: Purged) -> Result<(), StoreError> {
    match read(database, id)? {
        Some(marker) => insert(database, batch, id, &Marker { purged, ..marker }),
        None => Ok(()),
    }
}

fn read(database: &Database, id: u64) -> Result<Option<Marker>, StoreError> {
    let row = database.get(&database.meta, &row_key(id), "reading a deletion")?;
    let unreadable = |_| broken("a deletion that is not done cannot be read".to_owned());
    row.map(|row| serde_json::from_slice(&row).map_err(unreadable)).transpose()
}

/// Adds that a deletion is done to a batch.
pub(super) fn remove(database: &Database, batch: &mut Batch, id: u64) {
    batch.remove(&database.meta, row_key(id));
}

/// All deletions that are not done, by number.
pub(super) fn all(database: &Database) -> Result<Vec<Erasing>, StoreError> {
    let mut found = Vec::new();
    for row in database.meta.prefix(PREFIX) {
        let (key, value) = row.into_inner().map_err(|error| failed("reading the deletions", &error))?;
        let unreadable = || broken("a deletion that is not done cannot be read".to_owned());
        let id = key.last_chunk().map(|id| u64::from_be_bytes(*id)).ok_or_else(unreadable)?;
        let marker: Marker = serde_json::from_slice(&value).map_err(|_| unreadable())?;
        let step = match (marker.key, marker.before) {
            (Some(key), None) => EraseStep::Cut { key },
            (Some(key), Some(before)) => EraseStep::Erase { key, before: Offset(before) },
            (None, _) => EraseStep::Purge,
        };
        let of = StreamPartition { stream: marker.stream.into(), partition: Partition(marker.partition) };
        found.push(Erasing { id, of, digest: marker.digest, author: marker.author, step });
    }
    Ok(found)
}
