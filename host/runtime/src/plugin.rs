//! A compiled plugin: immutable and shared by all threads.

use std::fmt;
use std::sync::Arc;

use assay_core::names::Digest;
use wasmtime::component::InstancePre;

use crate::error::PluginError;
use crate::guest::{Exports, Guest, Sandbox};
use crate::instance::Instance;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::runtime::Runtime;

/// A compiled plugin that can be instantiated. It is cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    digest: Digest,
    manifest: Manifest,
    pre: InstancePre<Sandbox>,
    exports: Exports,
    /// Keeps the epoch thread running as long as guests may run.
    _runtime: Runtime,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { name, version, .. } = self.manifest();
        write!(f, "Plugin({name}@{version} {})", self.digest())
    }
}

impl Plugin {
    /// Finds the component's exports and reads its manifest.
    pub(crate) fn new(
        runtime: Runtime,
        digest: Digest,
        pre: InstancePre<Sandbox>,
        scoring: &str,
    ) -> Result<Self, PluginError> {
        let exports = Exports::find(pre.component(), scoring)?;
        let mut guest = Guest::start(&pre, exports, &Limits::default(), &Interrupt::default())?;
        let manifest = guest.describe().map_err(PluginError::Describe)?.check()?;
        Ok(Self { inner: Arc::new(Inner { digest, manifest, pre, exports, _runtime: runtime }) })
    }

    /// SHA-256 of the bytes as they were uploaded.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// The plugin's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// True if it keeps a state per entity.
    pub fn has_state(&self) -> bool {
        self.inner.manifest.state_version.is_some()
    }

    /// Makes an instance for one thread, with limits and a config: a JSON object that fits the manifest's schema, which
    /// the caller checks.
    ///
    /// # Errors
    /// [`PluginError::ConfigRefused`] with the plugin's own text, or another error if it cannot start within the
    /// limits.
    pub fn instance(&self, config: &str, limits: Limits) -> Result<Instance, PluginError> {
        Instance::new(self.clone(), config.to_owned(), limits)
    }

    /// Starts and configures a guest.
    pub(crate) fn start(&self, config: &str, limits: &Limits, interrupt: &Interrupt) -> Result<Guest, PluginError> {
        let mut guest = Guest::start(&self.inner.pre, self.inner.exports, limits, interrupt)?;
        guest.configure(config)?;
        Ok(guest)
    }
}
