//! The engine that all plugins share: its settings, its epochs, its cache.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Digest;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

use crate::cache::{self, Cache};
use crate::deadline::Ticker;
use crate::error::PluginError;
use crate::guest::Sandbox;
use crate::limits::RuntimeConfig;
use crate::plugin::Plugin;
use crate::upload::Upload;

/// Compiles plugins. Cheap to clone; usable from all threads. Its epoch thread ends with the last clone, plugin and
/// instance.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    linker: Linker<Sandbox>,
    config: RuntimeConfig,
    cache: Option<Cache>,
    /// One at a time, so that the bounds of one compilation hold for all together.
    compiling: Mutex<()>,
    _ticker: Ticker,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Sets up the engine, its epoch thread and its cache folder.
    ///
    /// # Errors
    /// [`PluginError::Setup`] when the machine does not support the engine, or the cache folder cannot be made.
    pub fn new(config: RuntimeConfig) -> Result<Self, PluginError> {
        let setup = |error: &dyn fmt::Display| PluginError::Setup(error.to_string());
        let engine = Engine::new(&engine_config(&config)).map_err(|error| setup(&format!("{error:#}")))?;
        let cache = match &config.cache_dir {
            Some(folder) => Some(
                Cache::open(folder, &engine)
                    .map_err(|error| setup(&format!("the cache folder {}: {error}", folder.display())))?,
            ),
            None => None,
        };
        let ticker = Ticker::start(engine.clone()).map_err(|error| setup(&error))?;
        // Nothing is ever added to it: a plugin imports nothing.
        let linker = Linker::new(&engine);
        Ok(Self {
            shared: Arc::new(Shared { engine, linker, config, cache, compiling: Mutex::default(), _ticker: ticker }),
        })
    }

    /// Takes uploaded bytes, a plain core module or a component, as a plugin: checks them, compiles them, and reads the
    /// manifest. Takes from milliseconds to seconds, on all cores: not for a thread that scores.
    ///
    /// # Errors
    /// Says what was expected and what was found.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, PluginError> {
        let upload = Upload::read(bytes, &self.shared.config)?;
        let digest = Digest::of(bytes);
        let component = self.compile(digest, &upload)?;
        let pre = self.shared.linker.instantiate_pre(&component);
        let pre = pre.map_err(|error| PluginError::Misfit(format!("{error:#}")))?;
        Plugin::new(self.clone(), digest, pre, &upload.scoring)
    }

    fn compile(&self, digest: Digest, upload: &Upload<'_>) -> Result<Component, PluginError> {
        let Shared { engine, cache, config, compiling, .. } = &*self.shared;
        if let Some(component) = cache.as_ref().and_then(|cache| cache.load(engine, digest)) {
            return Ok(component);
        }
        let one_at_a_time = compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let component = match &config.compiler {
            Some(compiler) => cache::trusted(engine, &compiler.compile(upload.bytes)?),
            None => Component::from_binary(engine, &upload.component()?),
        };
        drop(one_at_a_time);
        let component = component.map_err(|error| PluginError::Compile(format!("{error:#}")))?;
        if let Some(cache) = cache {
            cache.store(digest, &component);
        }
        Ok(component)
    }
}

pub(crate) fn engine_config(config: &RuntimeConfig) -> Config {
    let mut engine = Config::new();
    engine
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(config.canonical_nans)
        .relaxed_simd_deterministic(true)
        // Addresses only: a memory is reserved as 4 GiB of address space, so that no access needs a bounds check, and
        // costs RAM for what it touches. With memories of 16 MiB the guard behind them need not be large.
        .memory_reservation(4 << 30)
        .memory_guard_size(64 << 10)
        .memory_init_cow(true);
    engine
}
