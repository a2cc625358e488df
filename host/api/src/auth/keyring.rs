//! The keys in effect, read from the catalog and kept decoded until the catalog's version changes.

use std::sync::{Arc, PoisonError, RwLock};

use assay_engine::Engine;
use assay_engine::ports::catalog::{Kind, Revision, Snapshot};
use serde::{Deserialize, Serialize};

use super::Role;
use super::secret::{Secret, equal_in_constant_time, hash_from_hex};

/// A key as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyBody {
    /// SHA-256 of the secret, as 64 hex digits.
    pub(crate) hash: String,
    /// What its bearer may do.
    pub(crate) roles: Vec<Role>,
    /// When it was made, ms since 1970.
    pub(crate) created: i64,
}

impl KeyBody {
    /// The body of a key's revision; none if it is not one of ours.
    pub(crate) fn of(revision: &Revision) -> Option<Self> {
        serde_json::from_value(revision.body.clone()?).ok()
    }

    pub(crate) fn allows(&self, role: Role) -> bool {
        self.roles.iter().any(|have| have.implies(role))
    }
}

/// Who sends a request: a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's name: the author of changes.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) roles: Vec<Role>,
}

impl Caller {
    pub(crate) fn may(&self, role: Role) -> bool {
        self.roles.iter().any(|have| have.implies(role))
    }
}

/// The keys of one version of the catalog.
#[derive(Default)]
struct Table {
    version: Option<u64>,
    keys: Vec<([u8; 32], Arc<Caller>)>,
}

impl Table {
    fn read(snapshot: &Snapshot) -> Self {
        let keys = snapshot.of(Kind::Key).filter_map(|revision| {
            let decoded = KeyBody::of(revision).and_then(|body| Some((hash_from_hex(&body.hash)?, body.roles)));
            let Some((hash, roles)) = decoded else {
                tracing::warn!(key = revision.name, "a key in the catalog cannot be read; it opens nothing");
                return None;
            };
            Some((hash, Arc::new(Caller { name: revision.name.clone(), roles })))
        });
        Self { version: Some(snapshot.version), keys: keys.collect() }
    }

    /// The caller with this secret. Every key is compared, each in constant time: keys are few.
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<Caller>> {
        let mut found = None;
        for (have, caller) in &self.keys {
            if equal_in_constant_time(have, hash) {
                found = Some(caller.clone());
            }
        }
        found
    }
}

/// The keys in effect.
#[derive(Default)]
pub(crate) struct KeyRing {
    table: RwLock<Arc<Table>>,
    /// Held while keys change, so that two requests cannot each delete the other's last admin key.
    pub(crate) changes: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// Who bears a secret; none: no key has it.
    pub(crate) fn caller(&self, engine: &Engine, secret: &str) -> Option<Arc<Caller>> {
        let plan = engine.plan();
        self.table(&plan.snapshot).find(&Secret::given(secret).hash())
    }

    fn table(&self, snapshot: &Snapshot) -> Arc<Table> {
        // The table is replaced as a whole, so a panic elsewhere cannot leave it half-written.
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        if table.version == Some(snapshot.version) {
            return table;
        }
        let fresh = Arc::new(Table::read(snapshot));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::hex;

    fn snapshot(version: u64, keys: &[(&str, &str, &[Role])]) -> Snapshot {
        let revision = |(name, secret, roles): &(&str, &str, &[Role])| {
            let body = KeyBody { hash: hex(&Secret::given(secret).hash()), roles: roles.to_vec(), created: 0 };
            let body = serde_json::to_value(body).ok();
            Revision {
                kind: Kind::Key,
                name: (*name).to_owned(),
                revision: 1,
                version,
                born: version,
                author: "t".into(),
                at: 0,
                body,
            }
        };
        Snapshot { version, revisions: keys.iter().map(revision).collect() }
    }

    fn name_of(ring: &KeyRing, snapshot: &Snapshot, secret: &str) -> Option<String> {
        ring.table(snapshot).find(&Secret::given(secret).hash()).map(|caller| caller.name.clone())
    }

    #[test]
    fn a_key_opens_from_the_version_that_has_it_until_the_one_that_has_not() {
        let ring = KeyRing::default();
        let before = snapshot(1, &[("a", "secret-a", &[Role::Read])]);
        let after = snapshot(2, &[("b", "secret-b", &[Role::Admin])]);
        assert_eq!(name_of(&ring, &before, "secret-a").as_deref(), Some("a"));
        assert_eq!(name_of(&ring, &before, "secret-b"), None);
        assert_eq!(name_of(&ring, &after, "secret-a"), None);
        assert_eq!(name_of(&ring, &after, "secret-b").as_deref(), Some("b"));
        assert_eq!(name_of(&ring, &after, ""), None);
    }

    #[test]
    fn a_broken_key_opens_nothing_and_hides_no_other() {
        let mut keys = snapshot(1, &[("a", "secret-a", &[Role::Read]), ("b", "secret-b", &[Role::Read])]);
        keys.revisions[0].body = Some(serde_json::json!({"hash": "12", "roles": ["read"], "created": 0}));
        let ring = KeyRing::default();
        assert_eq!(name_of(&ring, &keys, "secret-a"), None);
        assert_eq!(name_of(&ring, &keys, "secret-b").as_deref(), Some("b"));
    }
}
