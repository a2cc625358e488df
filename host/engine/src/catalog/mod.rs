//! The catalog in use: changes checked, committed and put into effect, and changes of others taken up.
//!
//! A change's way: `apply` (completed by `derived_streams`, `stream_change` and `plugin_versions`, compiled, committed)
//! -> `watch` (in effect on all workers). `breaker` makes changes of its own. Apart from it: reading and ingest
//! (`queries`, `ingest`), the store (`ports/catalog.rs`), the meaning of definitions (`plan`).

mod apply;
mod breaker;
mod derived_streams;
mod plugin_versions;
mod stream_change;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assay_core::rule::PluginRef;

use crate::plan::{Plan, StoredPlugin, readable_plugins, resolve_plugin};
use crate::ports::StoreError;
use crate::ports::catalog::{Kind, Revision, Snapshot};
use crate::registry::Registry;
use crate::shared::Shared;
use crate::worker::Ownership;
use watch::Watcher;

pub use apply::Applied;
pub use breaker::breaker_reason;
pub(crate) use derived_streams::complete_derived_streams;
pub use plugin_versions::UploadedPlugin;

/// The catalog in use by this process.
pub struct CatalogService {
    shared: Arc<Shared>,
    ownership: Arc<Ownership>,
    /// The version of the catalog that all workers have taken up.
    in_effect: AtomicU64,
    /// Held while the catalog changes, so that changes come one after the other.
    changing: Mutex<()>,
    watcher: Mutex<Option<Watcher>>,
}

impl CatalogService {
    /// The catalog of the plan that is in effect. It does not follow changes yet.
    pub(crate) fn new(shared: Arc<Shared>, ownership: Arc<Ownership>) -> Arc<Self> {
        let in_effect = AtomicU64::new(shared.plan().snapshot.version);
        Arc::new(Self { shared, ownership, in_effect, changing: Mutex::default(), watcher: Mutex::default() })
    }

    /// Starts the thread that follows changes of others.
    pub(crate) fn start_watcher(self: &Arc<Self>) -> std::io::Result<()> {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Watcher::start(self)?);
        Ok(())
    }

    /// The version of the catalog that all workers have taken up.
    pub(crate) fn version_in_effect(&self) -> u64 {
        self.in_effect.load(Ordering::SeqCst)
    }

    /// Waits until nothing follows the catalog any more. The engine must be stopping.
    pub(crate) fn join(&self) {
        if let Some(watcher) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watcher.join();
        }
    }

    /// The definitions in effect. Does not block.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.plan().snapshot.clone()
    }

    /// The schema registry that the catalog holds.
    pub fn schema_registry(&self) -> Registry<'_> {
        Registry::new(&*self.shared.ports.catalog)
    }

    /// Every revision of a definition, newest first, deletions included. Blocks.
    ///
    /// # Errors
    /// The store fails.
    pub fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError> {
        self.shared.ports.catalog.revisions(kind, name)
    }

    /// The version that a reference means now; none: no uploaded plugin fits it.
    pub fn resolve_plugin(&self, reference: &PluginRef) -> Option<PluginRef> {
        let stored = readable_plugins(&self.shared.plan().snapshot);
        resolve_plugin(reference, &stored).map(StoredPlugin::exact_reference)
    }

    /// The plan in effect, for tests of what is compiled.
    #[doc(hidden)]
    pub fn plan(&self) -> Arc<Plan> {
        self.shared.plan()
    }
}
