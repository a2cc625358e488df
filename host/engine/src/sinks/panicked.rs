//! Records that panic in a sink. They are found by carrying the records of a batch that panicked one at a time. A
//! record of verdicts has the outcomes of many events: those that panic are found by examining halves of it. What panics
//! alone is left out and set aside, and all others are carried.

use std::collections::{BTreeMap, HashMap};

use assay_core::names::Offset;
use assay_core::verdict::{erase_outcomes, read_block};
use assay_core::wire::Corrupt;

use super::Refusal;
use crate::panics::{EVENT_PANICKED, Panicked};
use crate::ports::PartitionId;
use crate::ports::log::{Records, Refused};

/// What is known of panics in one sink.
#[derive(Default)]
pub(super) struct PanickedRecords {
    /// Where records are carried one at a time, because some of them panicked together: before this offset.
    one_by_one: HashMap<PartitionId, Offset>,
    /// Events that panicked alone, by their offsets.
    events: BTreeMap<(PartitionId, Offset), Refused>,
    /// Outcomes that panicked alone: by the offset of their block in the verdicts log, then by the offset of the event.
    outcomes: BTreeMap<(PartitionId, Offset), BTreeMap<Offset, Refused>>,
}

impl PanickedRecords {
    /// Records before an offset panicked together: they are carried one at a time from now on.
    pub(super) fn note_batch(&mut self, partition: &PartitionId, next: Offset) {
        let before = self.one_by_one.entry(partition.clone()).or_default();
        *before = next.max(*before);
    }

    /// An event panicked alone.
    pub(super) fn note_event(&mut self, partition: &PartitionId, event: Offset, panicked: &Panicked) {
        self.note_batch(partition, event.next());
        self.events.insert((partition.clone(), event), refused(panicked));
    }

    /// Outcomes of a block of verdicts panicked, each alone.
    pub(super) fn note_outcomes(&mut self, partition: &PartitionId, block: Offset, found: Vec<(Offset, Panicked)>) {
        self.note_batch(partition, block.next());
        let known = self.outcomes.entry((partition.clone(), block)).or_default();
        known.extend(found.into_iter().map(|(event, panicked)| (event, refused(&panicked))));
    }

    /// Cuts what was read down to its first record where records are carried one at a time, and takes out what panics:
    /// of an event only its place is left.
    ///
    /// # Errors
    /// The record is a block of verdicts that is damaged.
    pub(super) fn narrow(
        &self,
        partition: &PartitionId,
        position: Offset,
        records: &mut Vec<Records>,
    ) -> Result<(), Corrupt> {
        if self.one_by_one.get(partition).is_none_or(|before| position >= *before) {
            return Ok(());
        }
        records.truncate(1);
        let Some(record) = records.first_mut() else { return Ok(()) };
        record.ends.truncate(1);
        record.data.truncate(record.ends.first().map_or(0, |end| *end as usize));
        record.refused.retain(|(at, _)| *at == 0);
        let place = (partition.clone(), record.first);
        if let Some(refused) = self.events.get(&place) {
            record.data.clear();
            record.refused = vec![(0, refused.clone())];
        }
        if let Some(outcomes) = self.outcomes.get(&place) {
            let events: Vec<u64> = outcomes.keys().map(|event| event.0).collect();
            record.data = without(&record.data, &events)?;
        }
        let end = record.data.len() as u32;
        record.ends.iter_mut().for_each(|one| *one = end);
        Ok(())
    }

    /// True for an event that panicked alone.
    pub(super) fn has_event(&self, partition: &PartitionId, event: Offset) -> bool {
        self.events.contains_key(&(partition.clone(), event))
    }

    /// The events that are left out of the records from `first` up to before `next`.
    pub(super) fn refusals(&self, partition: &PartitionId, first: Offset, next: Offset) -> Vec<Refusal> {
        let range = (partition.clone(), first)..(partition.clone(), next);
        let events = self.events.range(range.clone()).map(|((_, event), refused)| (event, refused));
        let outcomes = self.outcomes.range(range).flat_map(|(_, outcomes)| outcomes);
        let refusal = |(event, refused): (&Offset, &Refused)| Refusal {
            offset: *event,
            code: refused.code,
            message: refused.message.clone(),
        };
        events.chain(outcomes).map(refusal).collect()
    }

    /// Forgets what was carried.
    pub(super) fn forget_before(&mut self, partition: &PartitionId, next: Offset) {
        self.one_by_one.retain(|one, before| one != partition || *before > next);
        self.events.retain(|(one, offset), _| one != partition || *offset >= next);
        self.outcomes.retain(|(one, offset), _| one != partition || *offset >= next);
    }
}

fn refused(panicked: &Panicked) -> Refused {
    Refused { code: EVENT_PANICKED, message: panicked.to_string() }
}

/// The outcomes of a block that panic alone: their events and panics. `examine` tells if a block panics. It is asked
/// about halves of the block, halves of those that panic, and so on: for one of n outcomes about 2 log n times.
///
/// # Errors
/// The block is damaged.
pub(super) fn find_panicking_outcomes(
    block: &[u8],
    mut examine: impl FnMut(&[u8]) -> Option<Panicked>,
) -> Result<Vec<(Offset, Panicked)>, Corrupt> {
    let events: Vec<u64> = read_block(block)?.outcomes.iter().map(|outcome| outcome.offset.0).collect();
    let mut found = Vec::new();
    let mut parts = vec![(block.to_vec(), events)];
    while let Some((part, events)) = parts.pop() {
        if events.is_empty() {
            continue;
        }
        let Some(panicked) = examine(&part) else { continue };
        if let [event] = events[..] {
            found.push((Offset(event), panicked));
            continue;
        }
        let (left, right) = events.split_at(events.len() / 2);
        parts.push((without(&part, left)?, right.to_vec()));
        parts.push((without(&part, right)?, left.to_vec()));
    }
    Ok(found)
}

/// A block without its outcomes of some events.
fn without(block: &[u8], events: &[u64]) -> Result<Vec<u8>, Corrupt> {
    let erased = erase_outcomes(block, &events.iter().copied().collect())?;
    Ok(erased.map_or_else(|| block.to_vec(), |(rest, _)| rest))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use assay_core::verdict::{BlockHead, EventColumns, write_block};

    use super::*;
    use crate::panics::catch;

    /// A block that says of some events that they cannot be read.
    fn block(events: std::ops::Range<u64>) -> Vec<u8> {
        let unreadable: Vec<_> = events.clone().map(|event| (event, "event-malformed", "x".to_owned())).collect();
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
        let mut asked = 0;
        let found = find_panicking_outcomes(block, |part| {
            asked += 1;
            catch(|| assert!(!events_of(part).iter().any(|event| hostile.contains(event)))).err()
        });
        (found.unwrap().iter().map(|(event, _)| event.0).collect(), asked)
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

    #[test]
    fn what_panics_is_left_out_and_told() {
        let partition = PartitionId { stream: "s".into(), partition: assay_core::names::Partition(0) };
        let panicked = || catch(|| panic!("words")).unwrap_err();
        let read = || {
            let mut records = Records { first: Offset(7), ..Records::default() };
            records.push(&block(20..23));
            records.push(&block(23..25));
            vec![records]
        };
        let mut known = PanickedRecords::default();
        known.note_outcomes(&partition, Offset(7), vec![(Offset(21), panicked())]);
        let mut records = read();
        known.narrow(&partition, Offset(7), &mut records).unwrap();
        let blocks: Vec<_> =
            records.iter().flat_map(Records::iter).map(|(at, block)| (at.0, events_of(block))).collect();
        assert_eq!(blocks, [(7, vec![20, 22])]);
        let refusals = known.refusals(&partition, Offset(7), Offset(8));
        assert_eq!(refusals.iter().map(|one| (one.offset.0, one.code)).collect::<Vec<_>>(), [(21, EVENT_PANICKED)]);
        known.forget_before(&partition, Offset(8));
        assert!(known.refusals(&partition, Offset(0), Offset(100)).is_empty());
        let mut records = read();
        known.narrow(&partition, Offset(7), &mut records).unwrap();
        assert_eq!(records, read());
    }
}
