//! The plugin cache: plugins that were loaded once, by digest. Loading compiles, so it never happens on a worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Digest;
use assay_runtime::{Manifest, Plugin, PluginError, Runtime};

use crate::ports::StoreError;

/// Plugins that were loaded once, by digest.
pub struct PluginCache {
    runtime: Runtime,
    loaded: Mutex<HashMap<Digest, Plugin>>,
}

/// The source of the bytes of plugins: usually the catalog's artifacts.
pub type Artifacts<'a> = &'a dyn Fn(&Digest) -> Result<Option<Vec<u8>>, StoreError>;

/// The name under which the catalog keeps a plugin: `name@version`.
pub fn plugin_name(manifest: &Manifest) -> String {
    format!("{}@{}", manifest.name, manifest.version)
}

/// The reason why a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PluginCacheError {
    /// The catalog names it but does not hold its bytes.
    #[error("the catalog does not hold the bytes of {0}")]
    Missing(Digest),
    /// The runtime refuses it.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The catalog failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PluginCache {
    /// An empty cache.
    pub fn new(runtime: Runtime) -> Arc<Self> {
        Arc::new(Self { runtime, loaded: Mutex::default() })
    }

    /// Loads a plugin from its bytes, or takes it from the cache.
    ///
    /// # Errors
    /// The runtime refuses it.
    pub fn load(&self, wasm: &[u8]) -> Result<Plugin, PluginError> {
        let digest = Digest::of(wasm);
        if let Some(plugin) = self.get(&digest) {
            return Ok(plugin);
        }
        // Two that load the same at once do the work twice and keep one: rarer than it is worth a lock for.
        let plugin = self.runtime.load(wasm)?;
        self.lock().insert(digest, plugin.clone());
        Ok(plugin)
    }

    /// Takes a plugin from the cache, or loads it from where its bytes are.
    ///
    /// # Errors
    /// The catalog does not hold it, or the runtime refuses it.
    pub fn get_or_load(&self, digest: &Digest, artifacts: Artifacts<'_>) -> Result<Plugin, PluginCacheError> {
        if let Some(plugin) = self.get(digest) {
            return Ok(plugin);
        }
        let wasm = artifacts(digest)?.ok_or(PluginCacheError::Missing(*digest))?;
        Ok(self.load(&wasm)?)
    }

    /// A plugin that was loaded before.
    pub fn get(&self, digest: &Digest) -> Option<Plugin> {
        self.lock().get(digest).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Plugin>> {
        // Inserting into a map cannot leave it half-changed for the next reader.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
