//! The engine that all plugins share, with its settings, its epoch thread and its cache.

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

/// Compiles plugins. It is cheap to clone and can be used from all threads. Its epoch thread ends with the last clone,
/// plugin and instance.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    linker: Linker<Sandbox>,
    config: RuntimeConfig,
    cache: Option<Cache>,
    /// Held during a compilation: only one runs at a time, so that the limits of one hold for all together.
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
    /// [`PluginError::Setup`] if the machine does not support the engine, or if the cache folder cannot be created.
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
        // The linker stays empty, because a plugin imports nothing.
        let linker = Linker::new(&engine);
        Ok(Self {
            shared: Arc::new(Shared { engine, linker, config, cache, compiling: Mutex::default(), _ticker: ticker }),
        })
    }

    /// Loads a plugin from uploaded bytes, a plain core module or a component: checks and compiles them, and reads the
    /// manifest. It takes milliseconds to seconds on all cores, so a scoring thread must not call it.
    ///
    /// # Errors
    /// The upload is no plugin; the error says what was expected and what was found.
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
            Some(compiler) => cache::load_trusted(engine, &compiler.compile(upload.bytes)?),
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
        // A memory reserves 4 GiB of address space, so that no access needs a bounds check. It takes RAM only for the
        // pages that it touches. With memories of 16 MiB the guard after the reservation can be small.
        .memory_reservation(4 << 30)
        .memory_guard_size(64 << 10)
        .memory_init_cow(true)
        // The core dump has the memory with a panic's message. It costs a few microseconds per trap and nothing
        // otherwise.
        .coredump_on_trap(true);
    engine
}
