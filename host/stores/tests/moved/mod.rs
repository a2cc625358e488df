//! Engines whose partitions the test gives, takes away, and lets be lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::membership::{Membership, Owner};
use assay_engine::ports::{Ports, StreamPartition};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};

/// A membership that the test moves partitions with.
#[derive(Default)]
pub(crate) struct Moved(Mutex<Option<Arc<dyn Owner>>>);

impl Moved {
    pub(crate) fn owner(&self) -> Arc<dyn Owner> {
        self.0.lock().unwrap().clone().unwrap()
    }

    /// Lets go of an engine that has ended: it knows its membership, and neither would ever be dropped.
    #[allow(dead_code, reason = "only a test that opens its folder again needs it")]
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().take();
    }
}

impl Membership for Moved {
    fn join(&self, owner: Arc<dyn Owner>) {
        *self.0.lock().unwrap() = Some(owner);
    }
    fn share(&self, _: Vec<StreamPartition>) {}
    fn saved(&self, _: &StreamPartition, _: Offset) {}
    fn is_member(&self) -> bool {
        true
    }
    fn leave(&self) {}
}

/// An engine with two workers and small batches.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn start(ports: Ports, partitions: u32, checkpoint_every: Duration) -> Engine {
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let config = EngineConfig { workers: 2, partitions, batch_rows: 64, checkpoint_every, ..EngineConfig::default() };
    Engine::start(ports, runtime, config, Arc::new(Metrics::new())).unwrap()
}
