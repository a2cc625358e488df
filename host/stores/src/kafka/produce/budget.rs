//! How many bytes may be under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;

use super::super::error::closed;
use super::lock;

/// How often who waits looks whether everything is closed.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes under way.
pub(super) struct Budget {
    most: usize,
    used: Mutex<usize>,
    freed: Condvar,
    is_closed: AtomicBool,
    /// Nobody waits any more: the process ends, and the brokers may not be there.
    is_ending: Arc<AtomicBool>,
}

impl Budget {
    pub(super) fn new(most: usize, is_ending: Arc<AtomicBool>) -> Self {
        Self { most, used: Mutex::new(0), freed: Condvar::new(), is_closed: AtomicBool::new(false), is_ending }
    }

    pub(super) fn take(&self, bytes: usize) -> Result<(), StoreError> {
        let mut used = lock(&self.used);
        // Who alone is larger than the budget may go when nothing else is under way.
        while *used > 0 && *used + bytes > self.most {
            if self.is_closed.load(Ordering::Acquire) || self.is_ending.load(Ordering::Acquire) {
                return Err(closed());
            }
            used = self.freed.wait_timeout(used, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if self.is_closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        *used += bytes;
        Ok(())
    }

    pub(super) fn give_back(&self, bytes: usize) {
        *lock(&self.used) -= bytes;
        self.freed.notify_all();
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.freed.notify_all();
    }

    /// Waits until nothing is under way. Returns how many bytes still are.
    pub(super) fn wait_until_free(&self, deadline: Instant) -> usize {
        let mut used = lock(&self.used);
        while *used > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            used = self.freed.wait_timeout(used, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *used
    }
}
