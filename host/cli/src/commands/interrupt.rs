//! Ctrl-C for work without an end: the first one ends it in order, the second one ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// The exit code after a second Ctrl-C, as shells report SIGINT.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// True after the first Ctrl-C. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Waits for Ctrl-C on a thread of its own, as long as the process runs.
    ///
    /// # Errors
    /// The signal cannot be watched.
    pub(super) fn watch() -> Result<Self> {
        let interrupt = Self::default();
        let is_asked = interrupt.0.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot watch for Ctrl-C")?;
        std::thread::spawn(move || {
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                is_asked.store(true, Ordering::Relaxed);
            }
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                std::process::exit(EXIT_CODE_INTERRUPTED);
            }
        });
        Ok(interrupt)
    }

    /// True if the work is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
