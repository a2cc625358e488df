//! Waiting for the verdicts on events that were just taken in.

use std::collections::BTreeMap;
use std::time::Duration;

use assay_core::names::Partition;
use assay_core::verdict::Outcome;

use super::Engine;
use crate::hub::silent;
use crate::ports::{Place, StoreError, StreamPartition};

/// Why verdicts did not come. The events are in the log in any case.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// They were not there in time.
    #[error("the verdicts were not there in time; the events are stored and will be scored")]
    Timeout,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often to look whether a partition still is this process's.
const STILL_MINE: Duration = Duration::from_millis(250);

impl Engine {
    /// Waits for what is said of events, at most so long. In the order of the places; of an event that no rule judged
    /// nothing is said.
    ///
    /// # Errors
    /// Not all of them came in time.
    pub async fn outcomes(&self, stream: &str, places: &[Place], at_most: Duration) -> Result<Vec<Outcome>, WaitError> {
        tokio::time::timeout(at_most, self.all_outcomes(stream, places)).await.unwrap_or(Err(WaitError::Timeout))
    }

    async fn all_outcomes(&self, stream: &str, places: &[Place]) -> Result<Vec<Outcome>, WaitError> {
        let mut by_partition: BTreeMap<Partition, Vec<(u64, usize)>> = BTreeMap::new();
        for (index, place) in places.iter().enumerate() {
            by_partition.entry(place.partition).or_default().push((place.offset.0, index));
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; places.len()];
        for (partition, mut wanted) in by_partition {
            wanted.sort_unstable();
            let of = StreamPartition { stream: stream.into(), partition };
            let Some(last) = wanted.last().map(|(offset, _)| *offset) else { continue };
            let mut progress = self.inner.shared.hub.progress(&of);
            // When another process scores them, from the beginning or from now on, the archive will tell.
            while self.inner.shared.is_mine(&of) {
                if tokio::time::timeout(STILL_MINE, progress.wait_for(|next| *next > last)).await.is_ok() {
                    break;
                }
            }
            let offsets: Vec<u64> = wanted.iter().map(|(offset, _)| *offset).collect();
            let found = self.inner.shared.hub.outcomes(&of, &offsets);
            for ((_, index), outcome) in wanted.into_iter().zip(found) {
                outcomes[index] = outcome;
            }
        }
        let mut complete = Vec::with_capacity(places.len());
        for (outcome, place) in outcomes.into_iter().zip(places) {
            complete.push(match outcome {
                Some(outcome) => outcome,
                None => self.archived(stream, *place).await?,
            });
        }
        Ok(complete)
    }

    /// From the archive, when the hub has let go of it already. The archive may be a moment behind.
    async fn archived(&self, stream: &str, place: Place) -> Result<Outcome, WaitError> {
        let of = StreamPartition { stream: stream.into(), partition: place.partition };
        loop {
            let (archive, of) = (self.ports().archive.clone(), of.clone());
            let look = move || -> Result<Option<Outcome>, StoreError> {
                if archive.judged(&of)? <= place.offset {
                    return Ok(None);
                }
                Ok(Some(archive.outcome(&of, place.offset)?.unwrap_or_else(|| silent(place.offset))))
            };
            let looked = tokio::task::spawn_blocking(look).await;
            let found = looked.unwrap_or_else(|error| {
                Err(StoreError::Broken { store: "archive", message: format!("reading it failed: {error}") })
            })?;
            if let Some(outcome) = found {
                return Ok(outcome);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
