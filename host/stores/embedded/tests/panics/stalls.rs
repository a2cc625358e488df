//! A store that fails for one partition stalls that one alone, also while the catalog changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assay_engine::Probe;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::Topic;
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{PartitionId, Ports, StoreError};
use serde_json::json;

use crate::OFTEN;
use crate::payments::{partitions, wait_until};
use crate::results::{define, ingest, start};

/// A state store that saves nothing of the payments' partitions for a while.
struct Stalling(Arc<dyn StateStore>, Arc<AtomicBool>);

impl StateStore for Stalling {
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        self.0.checkpoint(partition)
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.load(partition, keys)
    }

    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        if &*partition.stream == "payments" && self.1.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { store: "state", message: "it saves nothing".to_owned() });
        }
        self.0.save(partition, checkpoint, rows)
    }
}

#[test]
fn a_partition_that_cannot_be_saved_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let is_stalled = Arc::new(AtomicBool::new(false));
    let stalled = is_stalled.clone();
    let stall = |ports: Ports| Ports { state: Arc::new(Stalling(ports.state.clone(), stalled)), ..ports };
    let running = start(dir.path(), Probe::default(), OFTEN, stall);
    define(&running);
    ingest(&running, 0..100);
    running.wait_until_written();
    is_stalled.store(true, Ordering::SeqCst);
    let engine = &running.engine;
    let unscored = |partitions: &[PartitionId]| -> u64 {
        partitions.iter().map(|partition| engine.unscored(partition).map_or(u64::MAX, |one| one.events)).sum()
    };
    let log = running.ports().log;
    let appended = |partitions: &[PartitionId]| -> u64 {
        let end = |partition: &PartitionId| log.end(&partition.stream, Topic::Events, partition.partition).unwrap();
        partitions.iter().map(|partition| end(partition).0).sum()
    };
    let all = partitions();
    let (payments, by_device) = all.split_at(2);
    let new = json!({ "rule": "new", "stream": "payments", "score": "amount" });
    let change = Change::from_json(Kind::Rule, "new", new);
    std::thread::scope(|scope| {
        ingest(&running, 100..200);
        wait_until("something is there to be saved", || unscored(payments) == 0);
        let changing = scope.spawn(|| engine.catalog().change(vec![change], "test", None, false).unwrap());
        wait_until("the change is committed", || engine.plan().streams["payments"].rules.len() == 3);
        ingest(&running, 200..400);
        // The payments wait until what came before the change is saved.
        let copies = (0..400).filter(|number| number % 7 != 0).count() as u64;
        wait_until("the other stream is scored", || appended(by_device) == copies && unscored(by_device) == 0);
        assert!(unscored(payments) > 0 && !changing.is_finished());
        is_stalled.store(false, Ordering::SeqCst);
        changing.join().unwrap();
    });
    running.wait_until_written();
}
