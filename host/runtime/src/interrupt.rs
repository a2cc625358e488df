//! A flag by which another thread stops the call that an instance is in: a pause, a change or a shutdown does not wait
//! for a guest that goes on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops calls while it is raised. Clones are the same flag. A guest looks at it every few milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    is_raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Stops the calls of all instances that have this flag, those to come included, until it is cleared.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::SeqCst);
    }

    /// Lets calls go on.
    pub fn clear(&self) {
        self.is_raised.store(false, Ordering::SeqCst);
    }

    /// True if calls are to stop.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::SeqCst)
    }
}
