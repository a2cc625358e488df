//! Finds out whether anything of an entity may be stored, so that nothing is deleted for one that was never seen. In doubt
//! the answer is yes.

use std::time::{Duration, Instant};

use assay_core::names::{Digest, Offset};
use assay_core::time_range::TimeRange;

use super::ErasureService;
use crate::ports::archive::HistoryQuery;
use crate::ports::erasure::Erasure;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, StoreError};

/// How long to wait until the archive has the events that are in the log.
const MAX_ARCHIVE_WAIT: Duration = Duration::from_secs(1);
/// How often to look whether it has them.
const ARCHIVE_POLL_INTERVAL: Duration = Duration::from_millis(5);

impl ErasureService {
    /// True unless it is certain that nothing of an entity is stored.
    ///
    /// The archive lists each event of the log by its entity. So an entity without an event there was never seen, or its
    /// data was deleted and written out of the files. Retention writes nothing out of the files: a partition from which
    /// it has deleted events may have been that of any entity.
    ///
    /// # Errors
    /// A store fails.
    pub(super) fn may_hold_entity(
        &self,
        erasure: &dyn Erasure,
        partition: &PartitionId,
        key: &str,
    ) -> Result<bool, StoreError> {
        let ports = &self.shared.ports;
        let has_trimmed = || {
            let kept = ports.log.kept(&partition.stream, Topic::Events, partition.partition)?;
            Ok::<bool, StoreError>(kept.first > Offset(0))
        };
        let digest = Digest::of(key.as_bytes()).hex();
        let is_pending = erasure.pending()?.iter().any(|one| one.partition == *partition && one.digest == digest);
        if is_pending || has_trimmed()? {
            return Ok(true);
        }
        let has_state = ports.state.load(partition, &[key])?.iter().any(Option::is_some);
        if has_state
            || ports.profiles.get(partition, key)?.is_some()
            || !ports.graph.neighbours(key, 1, None)?.items.is_empty()
            || !self.wait_for_archive(partition)?
        {
            return Ok(true);
        }
        let query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: 1, cursor: None };
        // Once more at the end: retention may have deleted the events before they were looked for.
        Ok(!ports.archive.history(partition, &query)?.items.is_empty() || has_trimmed()?)
    }

    /// Waits until the archive has the events that are in the log now. Returns whether it has them.
    fn wait_for_archive(&self, partition: &PartitionId) -> Result<bool, StoreError> {
        let ports = &self.shared.ports;
        let end = ports.log.end(&partition.stream, Topic::Events, partition.partition)?;
        let deadline = Instant::now() + MAX_ARCHIVE_WAIT;
        while ports.archive.events_position(partition)? < end {
            if self.shared.is_stopping() || Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(ARCHIVE_POLL_INTERVAL);
        }
        Ok(true)
    }
}
