//! When the state store is asked for entities.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_core::names::PartitionIndex;
use assay_runtime::{Limits, Runtime, RuntimeConfig};
use serde_json::json;

use super::*;
use crate::offline::Offline;
use crate::ports::catalog::{Change, Kind};
use crate::ports::state::Checkpoint;

/// A store that has nothing, and counts for how many entities it was asked.
#[derive(Default)]
struct Asked(AtomicUsize);

impl StateStore for Asked {
    fn checkpoint(&self, _: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    fn load(&self, _: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.fetch_add(keys.len(), Ordering::SeqCst);
        Ok(vec![None; keys.len()])
    }

    fn save(&self, _: &PartitionId, _: &Checkpoint, _: &[StateRow]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Asked {
    fn resolve(&self, entities: &mut Entities, keys: &[&str]) -> usize {
        let mut slots = Vec::new();
        let missing = entities.find_slots(keys.iter().copied(), &mut slots);
        let wanted: Vec<&str> = missing.keys.iter().map(|key| &**key).collect();
        if !wanted.is_empty() {
            let states = self.load(&payments(), &wanted).unwrap();
            entities.insert_loaded(&missing.keys, states).unwrap();
        }
        missing.rows.into_iter().for_each(|row| slots[row] = entities.slot(keys[row]).unwrap());
        assert!(slots.len() == keys.len() && slots.iter().all(|slot| *slot != u32::MAX), "{slots:?}");
        self.0.swap(0, Ordering::SeqCst)
    }
}

fn payments() -> PartitionId {
    PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(0) }
}

fn entities() -> Entities {
    let fields = json!([
        { "name": "card", "type": "string" },
        { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]);
    let schema = json!({ "type": "record", "name": "Payment", "fields": fields });
    let body = json!({ "stream": "payments", "key": "card", "time": "time", "partitions": 1, "schema": schema });
    let stream = Change::from_json(Kind::Stream, "payments", body);
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let offline = Offline::new(&runtime, &[], vec![stream], &Limits::default()).unwrap();
    Entities::new(payments(), &offline.plan().streams["payments"])
}

#[test]
fn an_entity_that_is_not_in_memory_is_asked_for_once() {
    let (mut entities, store) = (entities(), Asked::default());
    assert_eq!(store.resolve(&mut entities, &["a", "b", "a"]), 2);
    assert_eq!(store.resolve(&mut entities, &["a", "c"]), 1);
}

#[test]
fn while_the_store_has_nothing_it_is_not_asked() {
    let (mut entities, store) = (entities(), Asked::default());
    entities.note_nothing_stored();
    assert_eq!(store.resolve(&mut entities, &["a", "b"]), 0);
    assert_eq!(store.resolve(&mut entities, &["c"]), 0);
    entities.evict(2, 0);
    assert_eq!(entities.len(), 2, "one had to go, and its state is in the store alone");
    assert_eq!(store.resolve(&mut entities, &["a", "b", "c"]), 1);
    assert_eq!(store.resolve(&mut entities, &["d"]), 1);
}
