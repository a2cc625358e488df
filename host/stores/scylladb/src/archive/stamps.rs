//! Stamps: the rule and the revision that gave a verdict, and the names that its verdicts may use.
//!
//! Millions of verdicts share few stamps. So a verdict's row names its stamp by digest, and a stamp is written once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_core::verdict::RuleStamp;
use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;

use crate::connection::Connection;
use crate::error::{broken, damaged};

/// The most stamps in the cache. A cache with more is cleared.
const MAX_CACHED_STAMPS: usize = 4096;

/// The first 16 bytes of the SHA-256 of a stamp's JSON.
pub(super) type StampId = [u8; 16];

/// The prepared statements of stamps, and a cache of stored stamps.
pub(super) struct Stamps {
    connection: Arc<Connection>,
    read: PreparedStatement,
    write: PreparedStatement,
    known: Mutex<HashMap<StampId, Arc<RuleStamp>>>,
}

impl Stamps {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        Ok(Self {
            read: connection.prepare("SELECT json FROM {}.stamps WHERE stamp = ?").await?,
            write: connection.prepare("INSERT INTO {}.stamps (stamp, json) VALUES (?, ?)").await?,
            connection,
            known: Mutex::default(),
        })
    }

    /// Writes the stamps that are not in the cache. Returns their ids, in order. Stamps have no TTL, because verdicts
    /// that are written later may name them.
    pub(super) async fn write(&self, stamps: &[Arc<RuleStamp>]) -> Result<Vec<StampId>, ExecutionError> {
        let mut ids = Vec::with_capacity(stamps.len());
        for stamp in stamps {
            // Serialization cannot fail: a stamp has only texts and numbers.
            let json = serde_json::to_string(&**stamp).unwrap_or_default();
            let id = stamp_id(&json);
            if !self.lock_known().contains_key(&id) {
                self.connection.write(&self.write, (id, json)).await?;
                self.lock_known().insert(id, stamp.clone());
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Reads a stamp from the cache or the table.
    pub(super) async fn read(&self, id: StampId) -> Result<Arc<RuleStamp>, StoreError> {
        if let Some(stamp) = self.lock_known().get(&id) {
            return Ok(stamp.clone());
        }
        let doing = "reading which rule gave a verdict";
        let Some((json,)) = self.connection.read_one::<(String,)>(doing, &self.read, (id,)).await? else {
            return Err(broken(format!("{doing}: the table of stamps has no {}", hex(&id))));
        };
        let stamp: RuleStamp = serde_json::from_str(&json).map_err(|error| damaged(doing, error))?;
        let stamp = Arc::new(stamp);
        self.lock_known().insert(id, stamp.clone());
        Ok(stamp)
    }

    /// Locks the cache, and clears it if it is full.
    fn lock_known(&self) -> MutexGuard<'_, HashMap<StampId, Arc<RuleStamp>>> {
        // A panic cannot leave the map inconsistent: each insertion adds a stamp that is already written.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MAX_CACHED_STAMPS {
            known.clear();
        }
        known
    }
}

fn stamp_id(json: &str) -> StampId {
    let mut id = StampId::default();
    id.copy_from_slice(&Digest::of(json.as_bytes()).0[..16]);
    id
}

fn hex(id: &StampId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
