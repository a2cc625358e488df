//! The position of a partition of a derived stream in the partitions of its source, and its place in the state port.
//!
//! One checkpoint per partition of the derived stream holds the whole position, so that it is saved in one piece. Its
//! `events` are the sum of all offsets, which only grows: a replaced owner that saves late changes nothing. Its `verdicts`
//! are an offset in the log of the derived partition itself: events from there on may be farther than the position.

use assay_core::event_time::MAX_EVENT_TIME_MS;
use assay_core::names::{Offset, PartitionIndex};

use crate::ports::state::{Checkpoint, StateStore};
use crate::ports::{PartitionId, StoreError};

/// The position of a derived stream in one partition of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourcePosition {
    /// All events before it that belong to the partition of the derived stream are appended there.
    pub(crate) next: Offset,
    /// The latest event time before it, ms since 1970; none: there is none, or it is not known.
    pub(crate) progress: Option<i64>,
}

/// The position of a partition of a derived stream, by partition of its source.
pub(crate) type MergePosition = Vec<SourcePosition>;

/// A position as it is saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedPosition {
    pub(crate) position: MergePosition,
    /// Events of the derived partition from this offset of its log on may be behind the position.
    pub(crate) log_from: Offset,
}

/// The id under which the state port keeps the position of a partition of a derived stream.
fn position_id(derived: &str, partition: PartitionIndex) -> PartitionId {
    // No stream has a dot in its name.
    PartitionId { stream: format!("{derived}.merge").into(), partition }
}

/// The id under which earlier versions kept the position in a partition of the source, for all partitions of a derived
/// stream.
fn earlier_position_id(derived: &str, source_partition: PartitionIndex) -> PartitionId {
    PartitionId { stream: format!("{derived}.from").into(), partition: source_partition }
}

/// The ids of all checkpoints that say how far a derived stream is in its source.
pub fn derive_position_ids(derived: &str, partitions: u32, source_partitions: u32) -> Vec<PartitionId> {
    let now = (0..partitions).map(|partition| position_id(derived, PartitionIndex(partition)));
    now.chain((0..source_partitions).map(|partition| earlier_position_id(derived, PartitionIndex(partition)))).collect()
}

/// The offset in a partition of the source before which every event is in the derived stream.
///
/// # Errors
/// The store fails.
pub fn derived_up_to(
    state: &dyn StateStore,
    derived: &str,
    partitions: u32,
    source_partition: PartitionIndex,
) -> Result<Offset, StoreError> {
    let mut least: Option<Offset> = None;
    for partition in (0..partitions).map(PartitionIndex) {
        let next = match state.checkpoint(&position_id(derived, partition))? {
            Some(saved) => decode(&saved).get(source_partition.0 as usize).map_or(Offset(0), |position| position.next),
            None => earlier_position(state, derived, source_partition)?,
        };
        least = Some(least.map_or(next, |least| least.min(next)));
    }
    Ok(least.unwrap_or_default())
}

/// The saved position of a partition of a derived stream. One without a position begins where an earlier version was.
pub(crate) fn load_position(
    state: &dyn StateStore,
    derived: &str,
    partition: PartitionIndex,
    source_partitions: u32,
) -> Result<SavedPosition, StoreError> {
    if let Some(saved) = state.checkpoint(&position_id(derived, partition))? {
        let mut position = decode(&saved);
        position.resize(source_partitions as usize, SourcePosition::default());
        return Ok(SavedPosition { position, log_from: saved.verdicts });
    }
    let earlier = |partition| {
        let next = earlier_position(state, derived, PartitionIndex(partition))?;
        Ok(SourcePosition { next, progress: None })
    };
    let position = (0..source_partitions).map(earlier).collect::<Result<_, StoreError>>()?;
    Ok(SavedPosition { position, log_from: Offset(0) })
}

/// Saves the position of a partition of a derived stream.
pub(crate) fn save_position(
    state: &dyn StateStore,
    derived: &str,
    partition: PartitionIndex,
    saved: &SavedPosition,
) -> Result<(), StoreError> {
    state.save(&position_id(derived, partition), &encode(saved), &[])
}

fn earlier_position(state: &dyn StateStore, derived: &str, partition: PartitionIndex) -> Result<Offset, StoreError> {
    Ok(state.checkpoint(&earlier_position_id(derived, partition))?.unwrap_or_default().events)
}

/// Two numbers per partition of the source: the next offset, and the progress as a number above 0; 0: none.
fn encode(SavedPosition { position, log_from }: &SavedPosition) -> Checkpoint {
    let progress = |time: i64| (time.clamp(-MAX_EVENT_TIME_MS, MAX_EVENT_TIME_MS) + MAX_EVENT_TIME_MS + 1) as u64;
    let origins = position.iter().flat_map(|one| [one.next, Offset(one.progress.map_or(0, progress))]).collect();
    let events = Offset(position.iter().map(|one| one.next.0).sum());
    Checkpoint { events, verdicts: *log_from, origins, ..Checkpoint::default() }
}

fn decode(saved: &Checkpoint) -> MergePosition {
    let one = |pair: &[Offset]| SourcePosition {
        next: pair[0],
        progress: (pair[1].0 > 0).then(|| pair[1].0 as i64 - MAX_EVENT_TIME_MS - 1),
    };
    saved.origins.chunks_exact(2).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_were_saved() {
        let times =
            [None, Some(-MAX_EVENT_TIME_MS), Some(-1), Some(0), Some(1_700_000_000_000), Some(MAX_EVENT_TIME_MS)];
        let position: MergePosition = times
            .iter()
            .enumerate()
            .map(|(at, progress)| SourcePosition { next: Offset(at as u64 * 10), progress: *progress })
            .collect();
        let saved = encode(&SavedPosition { position: position.clone(), log_from: Offset(7) });
        assert_eq!((saved.events, saved.verdicts), (Offset(150), Offset(7)));
        assert!(
            saved.origins.iter().all(|number| i64::try_from(number.0).is_ok()),
            "stores keep them as signed numbers"
        );
        assert_eq!(decode(&saved), position);
    }
}
