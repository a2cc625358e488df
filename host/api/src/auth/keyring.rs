//! The current keys, decoded from the catalog and cached until the catalog's version changes.

use std::sync::{Arc, PoisonError, RwLock};

use assay_engine::Engine;
use assay_engine::definition::ApiKey;
use assay_engine::ports::catalog::{Kind, Snapshot};

use super::Role;
use super::secret::{Secret, equal_in_constant_time, hash_from_hex};

/// The key of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's name: the author of changes.
    pub(crate) name: String,
    /// The roles of the key.
    pub(crate) roles: Vec<Role>,
}

impl Caller {
    pub(crate) fn has_role(&self, role: Role) -> bool {
        self.roles.iter().any(|have| have.implies(role))
    }
}

/// The keys of one version of the catalog.
#[derive(Default)]
struct KeyTable {
    version: Option<u64>,
    keys: Vec<([u8; 32], Arc<Caller>)>,
}

impl KeyTable {
    fn read(snapshot: &Snapshot) -> Self {
        let keys = snapshot.of(Kind::Key).filter_map(|revision| {
            let key = revision.read::<ApiKey>().ok();
            let decoded = key.and_then(|key| Some((hash_from_hex(&key.hash)?, key.roles.clone())));
            let Some((hash, roles)) = decoded else {
                tracing::warn!(key = revision.name, "a key in the catalog cannot be read; it is ignored");
                return None;
            };
            Some((hash, Arc::new(Caller { name: revision.name.clone(), roles })))
        });
        Self { version: Some(snapshot.version), keys: keys.collect() }
    }

    /// The key with this hash. Each key is compared in constant time, so that the time of a request tells nothing about
    /// keys.
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

/// The current keys.
#[derive(Default)]
pub(crate) struct KeyRing {
    table: RwLock<Arc<KeyTable>>,
    /// Held while keys change, so that two requests cannot delete the last two admin keys at once.
    pub(crate) changes: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// The key with a secret; none if no key has it.
    pub(crate) fn find_caller(&self, engine: &Engine, secret: &str) -> Option<Arc<Caller>> {
        let plan = engine.plan();
        self.load_table(&plan.snapshot).find(&Secret::from_text(secret).hash())
    }

    fn load_table(&self, snapshot: &Snapshot) -> Arc<KeyTable> {
        // The table is replaced as a whole, so a panic elsewhere cannot leave it half-written.
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        if table.version == Some(snapshot.version) {
            return table;
        }
        let fresh = Arc::new(KeyTable::read(snapshot));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        fresh
    }
}

#[cfg(test)]
mod tests {
    use assay_engine::ports::catalog::{Change, Definition, Revision};

    use super::*;
    use crate::auth::secret::hex;

    fn snapshot(version: u64, keys: &[(&str, &str, &[Role])]) -> Snapshot {
        let revision = |(name, secret, roles): &(&str, &str, &[Role])| {
            let key = ApiKey { hash: hex(&Secret::from_text(secret).hash()), roles: roles.to_vec(), created: 0 };
            Revision::after(None, Change::set(*name, key), version, "t", 0)
        };
        Snapshot { version, revisions: keys.iter().map(revision).collect() }
    }

    fn name_of(ring: &KeyRing, snapshot: &Snapshot, secret: &str) -> Option<String> {
        ring.load_table(snapshot).find(&Secret::from_text(secret).hash()).map(|caller| caller.name.clone())
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
        for broken in [
            serde_json::json!({"hash": "12", "roles": ["read"], "created": 0}),
            serde_json::json!({"hash": hex(&Secret::from_text("secret-a").hash()), "roles": ["king"], "created": 0}),
        ] {
            let mut keys = snapshot(1, &[("a", "secret-a", &[Role::Read]), ("b", "secret-b", &[Role::Read])]);
            keys.revisions[0].definition = Some(Definition::from_json(Kind::Key, broken));
            let ring = KeyRing::default();
            assert_eq!(name_of(&ring, &keys, "secret-a"), None);
            assert_eq!(name_of(&ring, &keys, "secret-b").as_deref(), Some("b"));
        }
    }
}
