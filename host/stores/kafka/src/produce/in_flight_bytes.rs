//! A bound on the bytes in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;

use super::super::error::closed;
use super::lock;

/// The interval at which a wait checks whether the producer is closed.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A semaphore over the bytes in flight.
pub(super) struct InFlightBytes {
    max: usize,
    used: Mutex<usize>,
    freed: Condvar,
    is_closed: AtomicBool,
    /// Set when the process ends: waits end then, because the brokers may be unreachable.
    is_ending: Arc<AtomicBool>,
}

impl InFlightBytes {
    pub(super) fn new(max: usize, is_ending: Arc<AtomicBool>) -> Self {
        Self { max, used: Mutex::new(0), freed: Condvar::new(), is_closed: AtomicBool::new(false), is_ending }
    }

    pub(super) fn acquire(&self, bytes: usize) -> Result<(), StoreError> {
        let mut used = lock(&self.used);
        // A request larger than the bound is admitted when nothing else is in flight.
        while *used > 0 && *used + bytes > self.max {
            if self.is_closed.load(Ordering::Acquire) || self.is_ending.load(Ordering::Acquire) {
                return Err(closed());
            }
            used = self.freed.wait_timeout(used, CLOSE_CHECK_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        if self.is_closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        *used += bytes;
        Ok(())
    }

    pub(super) fn release(&self, bytes: usize) {
        *lock(&self.used) -= bytes;
        self.freed.notify_all();
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.freed.notify_all();
    }

    /// Waits until nothing is in flight. Returns the bytes that still are at the deadline.
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
