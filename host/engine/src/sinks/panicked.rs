//! Records that panic in a sink. They are found by carrying half of a batch that panicked, then half of that, and so on.
//! A record of verdicts has the outcomes of many events: those that panic are found by halves of the record. What panics
//! alone becomes a dead letter, and all others are carried.

use std::collections::{BTreeSet, HashMap};

use assay_core::names::Offset;
use assay_core::verdict::{erase_outcomes, read_block};
use assay_core::wire::Corrupt;

use super::{READ_RECORDS, Refusal};
use crate::panics::EVENT_PANICKED;
use crate::ports::log::Records;
use crate::ports::{PartitionId, StoreError};

/// The number of panics of one record alone in an adapter after which it is set aside: fewer may have to do with the
/// moment, for example with a connection.
pub(super) const MAX_PANICS_ALONE: u32 = 3;
/// When so many events in a row, each by itself, panic in an adapter, the adapter is at fault and not the events.
const MAX_PANICS_IN_A_ROW: usize = 20;

/// A panic while records were carried.
#[derive(Clone, Debug)]
pub(super) struct SinkPanic {
    /// The store in whose adapter it was; none if it was in the sink itself.
    pub(super) store: Option<&'static str>,
    pub(super) message: String,
}

impl SinkPanic {
    pub(super) fn into_error(self, sink: &str, partition: &PartitionId) -> StoreError {
        match self.store {
            Some(store) => StoreError::Panicked { store, message: self.message },
            None => StoreError::Broken {
                store: "engine",
                message: format!("the sink {sink} at {partition}: {}", self.message),
            },
        }
    }
}

/// The panics of one sink.
#[derive(Default)]
pub(super) struct PanickedRecords {
    /// Where fewer records are carried at once.
    suspects: HashMap<PartitionId, Suspects>,
    /// The record that panicked alone in an adapter, and the number of times.
    alone: HashMap<PartitionId, (Offset, u32)>,
    /// The events that panicked alone in an adapter since records were last written.
    in_a_row: BTreeSet<(PartitionId, Offset)>,
}

/// Records that panicked together.
struct Suspects {
    /// They end before this offset.
    before: Offset,
    /// At most this many records are carried at once.
    limit: usize,
}

impl PanickedRecords {
    /// Records before `next` panicked together: half of them are carried from now on.
    pub(super) fn note_batch(&mut self, partition: &PartitionId, next: Offset, records: usize) {
        self.suspects.insert(partition.clone(), Suspects { before: next, limit: (records / 2).max(1) });
    }

    /// A record panicked alone in an adapter. Returns how often it has.
    pub(super) fn note_alone(&mut self, partition: &PartitionId, record: Offset) -> u32 {
        let (known, panics) = self.alone.entry(partition.clone()).or_insert((record, 0));
        if *known != record {
            (*known, *panics) = (record, 0);
        }
        *panics += 1;
        *panics
    }

    /// Records were written.
    pub(super) fn note_success(&mut self) {
        self.in_a_row.clear();
    }

    /// Makes an event that panicked alone a refusal.
    ///
    /// # Errors
    /// Too many in a row did in an adapter: none of them is to blame.
    pub(super) fn set_aside(
        &mut self,
        partition: &PartitionId,
        event: Offset,
        panic: SinkPanic,
    ) -> Result<Refusal, StoreError> {
        if let Some(store) = panic.store {
            // An event counts once, however often it is set aside until its dead letter is written.
            if self.in_a_row.len() < MAX_PANICS_IN_A_ROW {
                self.in_a_row.insert((partition.clone(), event));
            }
            if self.in_a_row.len() == MAX_PANICS_IN_A_ROW {
                let message = format!("{MAX_PANICS_IN_A_ROW} events in a row make it panic, so none is set aside: ");
                return Err(StoreError::Panicked { store, message: message + &panic.message });
            }
        }
        Ok(Refusal { offset: event, code: EVENT_PANICKED, message: panic.message })
    }

    /// The number of records that may be carried at once; none if there is no limit.
    pub(super) fn limit(&self, partition: &PartitionId) -> Option<usize> {
        self.suspects.get(partition).map(|suspects| suspects.limit)
    }

    /// Cuts what was read down to what may be carried at once.
    pub(super) fn narrow(&self, partition: &PartitionId, records: &mut Vec<Records>) {
        let Some(mut left) = self.limit(partition) else { return };
        records.retain_mut(|block| {
            truncate(block, left);
            left -= block.len();
            !block.is_empty()
        });
    }

    /// Everything before `next` is carried. The limit is half of the rest of what panicked, and behind that it grows.
    pub(super) fn note_carried(&mut self, partition: &PartitionId, next: Offset) {
        self.alone.retain(|one, (record, _)| one != partition || *record >= next);
        let Some(suspects) = self.suspects.get_mut(partition) else { return };
        let rest = suspects.before.0.saturating_sub(next.0) as usize;
        suspects.limit = if rest > 0 { (rest / 2).max(1) } else { suspects.limit * 2 };
        if suspects.limit >= READ_RECORDS {
            self.suspects.remove(partition);
        }
    }
}

/// Keeps the first records.
fn truncate(block: &mut Records, records: usize) {
    if records >= block.len() {
        return;
    }
    block.ends.truncate(records);
    block.data.truncate(block.ends.last().map_or(0, |end| *end as usize));
    block.refused.retain(|(at, _)| (*at as usize) < records);
    block.appended_later.retain(|(at, _)| (*at as usize) < records);
}

/// Finds the outcomes of a block that panic alone. `carry` carries a part of the block, and says if that panicked; a part
/// with a single event comes with it. It is given the block, halves of it if that panics, the earlier half first, halves
/// of those that panic, and so on: for one of n outcomes about 2 log n times.
///
/// # Errors
/// The block is damaged, which `unreadable` turns into an error, or `carry` fails.
pub(super) fn carry_block_in_parts<E>(
    block: &[u8],
    unreadable: impl Fn(&Corrupt) -> E,
    mut carry: impl FnMut(&[u8], Option<Offset>) -> Result<bool, E>,
) -> Result<(), E> {
    let without = |part: &[u8], events: &[u64]| without(part, events).map_err(|error| unreadable(&error));
    let read = read_block(block).map_err(|error| unreadable(&error))?;
    let events: Vec<u64> = read.outcomes.iter().map(|outcome| outcome.offset.0).collect();
    let mut parts = vec![(block.to_vec(), events)];
    while let Some((part, events)) = parts.pop() {
        let alone = match events[..] {
            [] => continue,
            [event] => Some(Offset(event)),
            _ => None,
        };
        if !carry(&part, alone)? || alone.is_some() {
            continue;
        }
        let (left, right) = events.split_at(events.len() / 2);
        parts.push((without(&part, left)?, right.to_vec()));
        parts.push((without(&part, right)?, left.to_vec()));
    }
    Ok(())
}

/// A block without its outcomes of some events.
fn without(block: &[u8], events: &[u64]) -> Result<Vec<u8>, Corrupt> {
    let erased = erase_outcomes(block, &events.iter().copied().collect())?;
    Ok(erased.map_or_else(|| block.to_vec(), |(rest, _)| rest))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use assay_core::failure_code::FailureCode;
    use assay_core::verdict::{BlockHead, EventColumns, UnreadableEvent, write_block};

    use super::*;

    /// A block that says of some events that they cannot be read.
    fn block(events: std::ops::Range<u64>) -> Vec<u8> {
        let malformed = |offset| UnreadableEvent { offset, code: FailureCode::EventMalformed, message: "x".to_owned() };
        let unreadable: Vec<_> = events.clone().map(malformed).collect();
        let keys = StringArray::new_null(0);
        let columns = EventColumns { offsets: &[], times: &[], keys: &keys, ids: None, unreadable: &unreadable };
        let mut out = Vec::new();
        write_block(
            &mut out,
            &BlockHead { catalog: 1, from: Offset(events.start), next: Offset(events.end), rules: "[]" },
            &columns,
            &[],
        );
        out
    }

    fn events_of(block: &[u8]) -> Vec<u64> {
        read_block(block).unwrap().outcomes.iter().map(|outcome| outcome.offset.0).collect()
    }

    fn found_in(block: &[u8], hostile: &[u64]) -> (Vec<u64>, usize) {
        let (mut asked, mut found, mut carried) = (0, Vec::new(), Vec::new());
        let searched = carry_block_in_parts(block, Corrupt::clone, |part, alone| {
            asked += 1;
            let events = events_of(part);
            let panics = events.iter().any(|event| hostile.contains(event));
            if panics {
                found.extend(alone);
            } else {
                carried.extend(events);
            }
            Ok(panics)
        });
        searched.unwrap();
        let others: Vec<u64> = events_of(block).into_iter().filter(|event| !hostile.contains(event)).collect();
        assert_eq!(carried, others, "all others are carried once, in their order");
        (found.iter().map(|event| event.0).collect(), asked)
    }

    #[test]
    fn exactly_the_outcomes_that_panic_are_found_in_few_steps() {
        let block = block(100..1_124);
        for hostile in [vec![100], vec![1_123], vec![100, 101, 640], (100..1_124).collect()] {
            let (found, asked) = found_in(&block, &hostile);
            assert_eq!(found, hostile);
            assert!(asked <= 1 + 20 * hostile.len(), "{asked}");
        }
        assert_eq!(found_in(&block, &[]), (vec![], 1));
    }

    fn partition() -> PartitionId {
        PartitionId { stream: "s".into(), partition: assay_core::names::PartitionIndex(0) }
    }

    /// Carries the records of a log, of which some panic, in blocks of 100. Returns those that panicked alone, and the
    /// number of attempts.
    fn carry(end: u64, hostile: &[u64]) -> (Vec<u64>, usize) {
        let (mut known, mut position, mut found, mut attempts) = (PanickedRecords::default(), 0, Vec::new(), 0);
        while position < end {
            attempts += 1;
            let mut records = Vec::new();
            for first in (position..end.min(position + READ_RECORDS as u64)).step_by(100) {
                let mut block = Records { first: Offset(first), ..Records::default() };
                (first..end.min(first + 100)).for_each(|record| block.push(&record.to_be_bytes()));
                records.push(block);
            }
            known.narrow(&partition(), &mut records);
            let next = records.last().unwrap().next();
            let count = records.iter().map(Records::len).sum();
            let data: Vec<u64> = records.iter().flat_map(Records::iter).map(|(offset, _)| offset.0).collect();
            assert_eq!(data, (position..next.0).collect::<Vec<_>>());
            if data.iter().any(|record| hostile.contains(record)) {
                if count > 1 {
                    known.note_batch(&partition(), next, count);
                    continue;
                }
                found.push(position);
            }
            known.note_carried(&partition(), next);
            position = next.0;
        }
        (found, attempts)
    }

    #[test]
    fn exactly_the_records_that_panic_are_found_in_few_attempts() {
        assert_eq!(carry(10_000, &[]), (vec![], 1));
        for hostile in [vec![0], vec![9_999], vec![7, 8, 5_000], (100..400).collect()] {
            let (found, attempts) = carry(10_000, &hostile);
            assert_eq!(found, hostile);
            // Down to the first, and up again after the last; within a row only a few for each.
            assert!(attempts <= 80 + 4 * hostile.len(), "{attempts} for {}", hostile.len());
        }
    }

    #[test]
    fn a_row_of_panics_in_an_adapter_is_no_events_fault() {
        let mut known = PanickedRecords::default();
        let panic = |store| SinkPanic { store, message: "words".to_owned() };
        for event in 0..100 {
            let refusal = known.set_aside(&partition(), Offset(event), panic(None)).unwrap();
            assert_eq!((refusal.offset.0, refusal.code), (event, EVENT_PANICKED));
        }
        let set_aside = |known: &mut PanickedRecords, event: usize| {
            known.set_aside(&partition(), Offset(event as u64), panic(Some("graph"))).is_ok()
        };
        assert!((0..100).all(|_| set_aside(&mut known, 0)), "the same event again, while its letter is not written");
        assert!((1..MAX_PANICS_IN_A_ROW - 1).all(|event| set_aside(&mut known, event)));
        assert!((1..100).rev().all(|event| !set_aside(&mut known, event)));
        known.note_success();
        assert!(set_aside(&mut known, 1));
    }

    #[test]
    fn panics_of_the_same_record_are_counted() {
        let mut known = PanickedRecords::default();
        assert_eq!([5, 5, 6, 6].map(|record| known.note_alone(&partition(), Offset(record))), [1, 2, 1, 2]);
        known.note_carried(&partition(), Offset(7));
        assert_eq!(known.note_alone(&partition(), Offset(6)), 1);
    }
}
