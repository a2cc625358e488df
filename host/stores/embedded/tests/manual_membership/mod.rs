//! A membership under the control of the test: it assigns, revokes and loses partitions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::membership::{Membership, PartitionOwner};
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};

/// A membership whose owner the test calls itself.
#[derive(Default)]
pub(crate) struct ManualMembership(Mutex<Option<Arc<dyn PartitionOwner>>>);

impl ManualMembership {
    pub(crate) fn owner(&self) -> Arc<dyn PartitionOwner> {
        self.0.lock().unwrap().clone().unwrap()
    }

    /// Drops the owner of an engine that has ended. The engine holds its membership, so neither would be dropped else.
    #[allow(dead_code, reason = "only a test that opens its folder again needs it")]
    pub(crate) fn drop_owner(&self) {
        self.0.lock().unwrap().take();
    }
}

impl Membership for ManualMembership {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        *self.0.lock().unwrap() = Some(owner);
    }
    fn set_partitions(&self, _: Vec<PartitionId>) {}
    fn commit(&self, _: &PartitionId, _: Offset) {}
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
