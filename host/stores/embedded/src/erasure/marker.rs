//! Pending deletions as rows of the keyspace `meta`. A start continues an interrupted deletion from its row.

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::PartitionId;
use assay_engine::ports::StoreError;
use assay_engine::ports::erasure::{EraseStep, PendingErasure};
use serde::{Deserialize, Serialize};

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::{broken, failed};

const PREFIX: &[u8] = b"erase/";

/// The row of a deletion. The step follows from its fields: without `key` it is `Purge`, without `before` `EndLifetime`,
/// else `Erase`.
#[derive(Serialize, Deserialize)]
struct Marker {
    stream: String,
    partition: u32,
    digest: String,
    author: String,
    key: Option<String>,
    before: Option<u64>,
    /// The progress of the step `Purge`. Rows of earlier versions have none.
    #[serde(default)]
    purged: PurgeProgress,
}

/// The progress of the step `Purge`: each part is done once, however often the process is killed meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PurgeProgress {
    /// The number of keyspaces whose files were rewritten.
    pub(super) keyspaces: usize,
    /// The newest journal that may hold data of the entity; none until the keyspaces are done.
    pub(super) journal: Option<u64>,
}

fn row_key(id: u64) -> Vec<u8> {
    [PREFIX, &id.to_be_bytes()].concat()
}

/// A number that is higher than those of all pending deletions.
pub(super) fn next_id(database: &Database) -> Result<u64, StoreError> {
    Ok(list(database)?.last().map_or(1, |last| last.id + 1))
}

/// Adds the row of a deletion to a batch.
pub(super) fn put(database: &Database, batch: &mut Batch, erasing: &PendingErasure) -> Result<(), StoreError> {
    let (key, before) = match &erasing.step {
        EraseStep::EndLifetime { key } => (Some(key.clone()), None),
        EraseStep::Erase { key, before } => (Some(key.clone()), Some(before.0)),
        EraseStep::Purge => (None, None),
    };
    let marker = Marker {
        stream: erasing.partition.stream.to_string(),
        partition: erasing.partition.partition.0,
        digest: erasing.digest.clone(),
        author: erasing.author.clone(),
        key,
        before,
        purged: PurgeProgress::default(),
    };
    insert(database, batch, erasing.id, &marker)
}

fn insert(database: &Database, batch: &mut Batch, id: u64, marker: &Marker) -> Result<(), StoreError> {
    let json = serde_json::to_vec(marker).map_err(|error| broken(format!("a deletion has no JSON form: {error}")))?;
    batch.insert(&database.meta, row_key(id), json);
    Ok(())
}

/// Reads the progress of a deletion's step `Purge`.
pub(super) fn read_progress(database: &Database, id: u64) -> Result<PurgeProgress, StoreError> {
    Ok(read(database, id)?.map(|marker| marker.purged).unwrap_or_default())
}

/// Adds the progress of a deletion's step `Purge` to a batch.
pub(super) fn put_progress(
    database: &Database,
    batch: &mut Batch,
    id: u64,
    purged: PurgeProgress,
) -> Result<(), StoreError> {
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

/// Adds the removal of a deletion's row to a batch: the deletion is done.
pub(super) fn remove(database: &Database, batch: &mut Batch, id: u64) {
    batch.remove(&database.meta, row_key(id));
}

/// All pending deletions, ordered by number.
pub(super) fn list(database: &Database) -> Result<Vec<PendingErasure>, StoreError> {
    let mut found = Vec::new();
    for row in database.meta.prefix(PREFIX) {
        let (key, value) = row.into_inner().map_err(|error| failed("reading the deletions", &error))?;
        let unreadable = || broken("a deletion that is not done cannot be read".to_owned());
        let id = key.last_chunk().map(|id| u64::from_be_bytes(*id)).ok_or_else(unreadable)?;
        let marker: Marker = serde_json::from_slice(&value).map_err(|_| unreadable())?;
        let step = match (marker.key, marker.before) {
            (Some(key), None) => EraseStep::EndLifetime { key },
            (Some(key), Some(before)) => EraseStep::Erase { key, before: Offset(before) },
            (None, _) => EraseStep::Purge,
        };
        let partition = PartitionId { stream: marker.stream.into(), partition: PartitionIndex(marker.partition) };
        found.push(PendingErasure { id, partition, digest: marker.digest, author: marker.author, step });
    }
    Ok(found)
}
