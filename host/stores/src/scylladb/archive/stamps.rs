//! Stamps: which rule of which revision spoke, and the names its verdicts may use. Few, and the same in millions of
//! verdicts: a verdict's row names its stamp by digest, and the stamp is written once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_core::verdict::RuleStamp;
use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;

use super::super::connection::Connection;
use super::super::error::{broken, damaged};

/// So many are remembered; then remembering begins again.
const MOST_REMEMBERED: usize = 4096;

/// The first half of the SHA-256 of a stamp's JSON.
pub(super) type StampId = [u8; 16];

/// Writes stamps, and finds them again.
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

    /// Writes the stamps that are not known to be there. They have no end of life: others may need them longer.
    pub(super) async fn write(&self, stamps: &[Arc<RuleStamp>]) -> Result<Vec<StampId>, ExecutionError> {
        let mut ids = Vec::with_capacity(stamps.len());
        for stamp in stamps {
            // A struct of texts and numbers always has a JSON form.
            let json = serde_json::to_string(&**stamp).unwrap_or_default();
            let id = id(&json);
            if !self.known().contains_key(&id) {
                self.connection.write(&self.write, (id, json)).await?;
                self.known().insert(id, stamp.clone());
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// The stamp that a verdict's row names.
    pub(super) async fn read(&self, id: StampId) -> Result<Arc<RuleStamp>, StoreError> {
        if let Some(stamp) = self.known().get(&id) {
            return Ok(stamp.clone());
        }
        let doing = "reading which rule gave a verdict";
        let Some((json,)) = self.connection.read_one::<(String,)>(doing, &self.read, (id,)).await? else {
            return Err(broken(format!("{doing}: the table of stamps has no {}", hex(&id))));
        };
        let stamp: RuleStamp = serde_json::from_str(&json).map_err(|error| damaged(doing, error))?;
        let stamp = Arc::new(stamp);
        self.known().insert(id, stamp.clone());
        Ok(stamp)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<StampId, Arc<RuleStamp>>> {
        // A map of what is written is right at any moment.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST_REMEMBERED {
            known.clear();
        }
        known
    }
}

fn id(json: &str) -> StampId {
    let mut id = StampId::default();
    id.copy_from_slice(&Digest::of(json.as_bytes()).0[..16]);
    id
}

fn hex(id: &StampId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
