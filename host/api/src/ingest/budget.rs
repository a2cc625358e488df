//! How many bytes of events may be on their way into the log at once. More wait, then are told to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::{ApiError, Code};

/// One permit of the budget, in bytes. A semaphore counts at most 2^29 permits on 32-bit machines.
const UNIT: usize = 1024;

/// A budget of bytes that all requests share, so that memory has a bound that does not depend on the clients.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: usize,
    patience: Duration,
}

impl Budget {
    pub(crate) fn new(bytes: usize, patience: Duration) -> Self {
        let total = (bytes / UNIT).clamp(1, u32::MAX as usize);
        Self { units: Arc::new(Semaphore::new(total)), total, patience }
    }

    /// Takes a part of the budget; it is given back when the result is dropped. A body larger than the whole budget
    /// takes all of it.
    pub(crate) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.total);
        // `units` is at most `total`, which fits.
        let wanted = self.units.clone().acquire_many_owned(units as u32);
        match tokio::time::timeout(self.patience, wanted).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(
                Code::Overloaded,
                "too many events are on their way already; none of these was stored, send them again in a moment",
            )),
        }
    }
}

/// Gives back what turned out to be too much: the body has only so many bytes.
pub(crate) fn shrink(taken: &mut OwnedSemaphorePermit, bytes: usize) {
    let needed = bytes.div_ceil(UNIT).max(1);
    // What is split off is given back when it is dropped.
    drop(taken.split(taken.num_permits().saturating_sub(needed)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_then_is_refused() {
        let budget = Budget::new(10 * UNIT, Duration::from_millis(5));
        let held = budget.take(9 * UNIT).await.unwrap();
        let also = budget.take(1).await.unwrap();
        assert_eq!(budget.take(1).await.unwrap_err().code, Code::Overloaded);
        drop(held);
        assert!(budget.take(UNIT).await.is_ok());
        drop(also);
        let mut whole = budget.take(usize::MAX).await.unwrap();
        shrink(&mut whole, 3 * UNIT - 1);
        assert_eq!(whole.num_permits(), 3);
        let rest = budget.take(7 * UNIT).await.unwrap();
        drop((whole, rest));
        assert!(budget.take(usize::MAX).await.is_ok());
    }
}
