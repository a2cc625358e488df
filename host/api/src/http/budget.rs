//! How many bytes of bodies may be in memory at once, over all requests. What has come counts, never what was announced:
//! a silent client holds nothing. More wait, then are told to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiResult;
use super::{ApiError, Code};

/// One permit of the budget, in bytes. A semaphore counts at most 2^29 permits on 32-bit machines.
const UNIT: usize = 1024;

/// A budget of bytes that all requests share, so that memory has a bound that does not depend on the clients.
///
/// Bodies grow side by side, so all of them could come to a stand with the budget used up and none complete. Therefore
/// the bytes of one largest body are kept back: one request at a time, of those that wait, completes with them.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    /// All that `units` ever has.
    total: usize,
    last: Arc<Semaphore>,
    patience: Duration,
}

impl Budget {
    /// A budget of `bytes`, for bodies of at most `largest` bytes; those who wait longer than `patience` are refused.
    pub(crate) fn new(bytes: usize, largest: usize, patience: Duration) -> Self {
        let total = (bytes.saturating_sub(largest) / UNIT).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { units: Arc::new(Semaphore::new(total)), total, last: Arc::new(Semaphore::new(1)), patience }
    }

    /// A hold on nothing yet.
    pub(crate) fn hold(&self) -> Hold {
        Hold { budget: self.clone(), units: None, last: None, bytes: 0 }
    }

    /// How many bytes are held, but for those of the request that completes with what is kept back.
    #[cfg(test)]
    fn held(&self) -> usize {
        (self.total - self.units.available_permits()) * UNIT
    }
}

/// A part of the budget. It is given back when this is dropped.
pub(crate) struct Hold {
    budget: Budget,
    units: Option<OwnedSemaphorePermit>,
    /// The right to what is kept back.
    last: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Hold {
    /// Holds more bytes; waits for them if need be.
    pub(crate) async fn grow(&mut self, by: usize) -> ApiResult<()> {
        self.bytes = self.bytes.saturating_add(by);
        let have = self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = self.bytes.div_ceil(UNIT).saturating_sub(have);
        if more == 0 || self.last.is_some() {
            return Ok(());
        }
        let units = self.budget.units.clone();
        // `total` fits a u32; what is more can only come out of what is kept back.
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
        let from_last = self.budget.last.clone().acquire_owned();
        let either = async {
            tokio::select! {
                permit = from_units => permit.map(|permit| (permit, false)),
                permit = from_last => permit.map(|permit| (permit, true)),
            }
        };
        match tokio::time::timeout(self.budget.patience, either).await {
            Ok(Ok((permit, false))) => self.add(permit),
            Ok(Ok((permit, true))) => self.last = Some(permit),
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

    /// Gives back what is not needed any more.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        let needed = self.bytes.div_ceil(UNIT);
        if let Some(units) = &mut self.units {
            // What is split off is given back when it is dropped.
            drop(units.split(units.num_permits().saturating_sub(needed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_comes_back_and_too_much_is_refused() {
        let budget = Budget::new(30 * UNIT, 10 * UNIT, Duration::from_millis(20));
        let mut first = budget.hold();
        first.grow(19 * UNIT + 1).await.unwrap();
        assert_eq!(budget.held(), 20 * UNIT);
        let mut second = budget.hold();
        second.grow(10 * UNIT).await.unwrap();
        let mut third = budget.hold();
        let refused = third.grow(1).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        first.shrink_to(5 * UNIT);
        third.grow(1).await.unwrap();
        drop((first, second, third));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn bodies_that_grow_side_by_side_all_complete() {
        let budget = Budget::new(20 * UNIT, 10 * UNIT, Duration::from_secs(30));
        let sends = (0..12).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                let mut hold = budget.hold();
                for _ in 0..10 {
                    hold.grow(UNIT).await?;
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
        let budget = Budget::new(10 * UNIT, 10 * UNIT, Duration::from_millis(20));
        let mut first = budget.hold();
        first.grow(10 * UNIT).await.unwrap();
        assert!(budget.hold().grow(1).await.is_err());
        drop(first);
        budget.hold().grow(1).await.unwrap();
    }
}
