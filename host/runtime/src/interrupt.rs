//! A flag by which another thread stops the current call of an instance, so that a pause, a change or a shutdown need
//! not wait for a guest that does not end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops calls while it is raised. Clones share the flag. A guest checks it every few milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    is_raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Stops current and later calls of all instances with this flag, until it is cleared.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::SeqCst);
    }

    /// Allows calls again.
    pub fn clear(&self) {
        self.is_raised.store(false, Ordering::SeqCst);
    }

    /// True if calls are to stop.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::SeqCst)
    }
}
