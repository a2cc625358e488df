//! Waiting until events are scored, by this process or by another one.

use std::collections::BTreeMap;
use std::time::Duration;

use assay_core::names::{Offset, PartitionIndex};

use super::IngestService;
use crate::ports::{PartitionId, Place, StoreError};

/// The reason why verdicts did not come. The events are in the log in any case.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// They were not there in time.
    #[error("the verdicts were not there in time; the events are stored and will be scored")]
    Timeout,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The interval at which a waiting request checks that a partition still is this process's.
const OWNERSHIP_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The interval at which the archive is asked how far another process has scored a partition.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_millis(10);

impl IngestService {
    /// Waits until events are scored, at most so long.
    ///
    /// # Errors
    /// Not all of them were in time, or the archive fails.
    pub async fn wait_scored(&self, stream: &str, places: &[Place], at_most: Duration) -> Result<(), WaitError> {
        let mut last: BTreeMap<PartitionIndex, Offset> = BTreeMap::new();
        for place in places {
            let offset = last.entry(place.partition).or_insert(place.offset);
            *offset = place.offset.max(*offset);
        }
        let all = async {
            for (partition, offset) in last {
                self.wait_partition(&PartitionId { stream: stream.into(), partition }, offset).await?;
            }
            Ok(())
        };
        tokio::time::timeout(at_most, all).await.unwrap_or(Err(WaitError::Timeout))
    }

    async fn wait_partition(&self, partition: &PartitionId, last: Offset) -> Result<(), WaitError> {
        let mut progress = self.shared.scored_offsets.subscribe(partition);
        loop {
            if self.shared.is_owned(partition) {
                if tokio::time::timeout(OWNERSHIP_CHECK_INTERVAL, progress.wait_for(|next| *next > last.0))
                    .await
                    .is_ok()
                {
                    return Ok(());
                }
                continue;
            }
            // Another process scores it, from the beginning or from now on: the archive tells how far it is.
            let (archive, asked) = (self.shared.ports.archive.clone(), partition.clone());
            let judged = tokio::task::spawn_blocking(move || archive.judged(&asked)).await;
            let judged = judged.unwrap_or_else(|error| {
                Err(StoreError::Broken { store: "archive", message: format!("reading it failed: {error}") })
            })?;
            if judged > last {
                return Ok(());
            }
            tokio::time::sleep(REMOTE_POLL_INTERVAL).await;
        }
    }
}
