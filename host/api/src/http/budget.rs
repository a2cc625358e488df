//! The limit on the memory of the bodies of all requests. Received bytes count, not announced ones, so a silent client
//! holds nothing. A request beyond the limit waits, and is refused after a timeout.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiResult;
use super::{ApiError, Code};

/// One permit of the budget, in bytes. A semaphore counts at most 2^29 permits on 32-bit machines.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes that all requests share, so that the memory limit does not depend on the number of clients.
///
/// Bodies grow concurrently, so all of them could wait for bytes that the others hold, and none would complete.
/// Therefore the bytes of one largest body are reserved: one waiting request at a time may use them, and completes.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    /// The number of permits of `units`.
    total: usize,
    /// One permit: the right to use the reserved bytes.
    reserve: Arc<Semaphore>,
    timeout: Duration,
}

impl Budget {
    /// A budget of `bytes`, for bodies of at most `largest` bytes. A request that waits longer than `timeout` is
    /// refused.
    pub(crate) fn new(bytes: usize, largest: usize, timeout: Duration) -> Self {
        let total = (bytes.saturating_sub(largest) / UNIT_BYTES).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { units: Arc::new(Semaphore::new(total)), total, reserve: Arc::new(Semaphore::new(1)), timeout }
    }

    /// A hold on zero bytes.
    pub(crate) fn hold(&self) -> Hold {
        Hold { budget: self.clone(), units: None, reserve: None, bytes: 0 }
    }

    /// The held bytes, without the reserved ones.
    #[cfg(test)]
    fn held(&self) -> usize {
        (self.total - self.units.available_permits()) * UNIT_BYTES
    }
}

/// A part of the budget, which is returned on drop.
pub(crate) struct Hold {
    budget: Budget,
    units: Option<OwnedSemaphorePermit>,
    /// The right to use the reserved bytes.
    reserve: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Hold {
    /// Holds more bytes, and waits for them if necessary.
    pub(crate) async fn grow(&mut self, by: usize) -> ApiResult<()> {
        self.bytes = self.bytes.saturating_add(by);
        let have = self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = self.bytes.div_ceil(UNIT_BYTES).saturating_sub(have);
        if more == 0 || self.reserve.is_some() {
            return Ok(());
        }
        let units = self.budget.units.clone();
        // `total` fits in a u32. A larger number of units is only possible with the reserved bytes.
        let wanted = u32::try_from(more).ok().filter(|_| more <= self.budget.total);
        if let Some(Ok(permit)) = wanted.map(|wanted| units.clone().try_acquire_many_owned(wanted)) {
            self.add(permit);
            return Ok(());
        }
        let from_units = async {
            match wanted {
                Some(wanted) => units.acquire_many_owned(wanted).await,
                None => std::future::pending().await,
            }
        };
        let from_reserve = self.budget.reserve.clone().acquire_owned();
        let either = async {
            tokio::select! {
                permit = from_units => permit.map(|permit| (permit, false)),
                permit = from_reserve => permit.map(|permit| (permit, true)),
            }
        };
        match tokio::time::timeout(self.budget.timeout, either).await {
            Ok(Ok((permit, false))) => self.add(permit),
            Ok(Ok((permit, true))) => self.reserve = Some(permit),
            _ => {
                return Err(ApiError::new(
                    Code::Overloaded,
                    "too many bytes of bodies are on their way already (server.max_in_flight_mib); nothing of this request \
                     was stored, send it again in a moment",
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.units {
            Some(units) => units.merge(permit),
            None => self.units = Some(permit),
        }
    }

    /// Returns the bytes beyond a number.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        let needed = self.bytes.div_ceil(UNIT_BYTES);
        if let Some(units) = &mut self.units {
            // The permits that are split off are returned on drop.
            drop(units.split(units.num_permits().saturating_sub(needed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn held_bytes_are_returned_and_too_many_are_refused() {
        let budget = Budget::new(30 * UNIT_BYTES, 10 * UNIT_BYTES, Duration::from_millis(20));
        let mut first = budget.hold();
        first.grow(19 * UNIT_BYTES + 1).await.unwrap();
        assert_eq!(budget.held(), 20 * UNIT_BYTES);
        let mut second = budget.hold();
        second.grow(10 * UNIT_BYTES).await.unwrap();
        let mut third = budget.hold();
        let refused = third.grow(1).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        first.shrink_to(5 * UNIT_BYTES);
        third.grow(1).await.unwrap();
        drop((first, second, third));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn bodies_that_grow_concurrently_all_complete() {
        let budget = Budget::new(20 * UNIT_BYTES, 10 * UNIT_BYTES, Duration::from_secs(30));
        let sends = (0..12).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                let mut hold = budget.hold();
                for _ in 0..10 {
                    hold.grow(UNIT_BYTES).await?;
                    tokio::task::yield_now().await;
                }
                Ok::<_, ApiError>(())
            })
        });
        for send in sends.collect::<Vec<_>>() {
            send.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_budget_of_one_body_serves_one_after_the_other() {
        let budget = Budget::new(10 * UNIT_BYTES, 10 * UNIT_BYTES, Duration::from_millis(20));
        let mut first = budget.hold();
        first.grow(10 * UNIT_BYTES).await.unwrap();
        assert!(budget.hold().grow(1).await.is_err());
        drop(first);
        budget.hold().grow(1).await.unwrap();
    }
}
