//! Removes the outcomes of some events from a block of verdicts. The other outcomes keep their bytes.

use std::collections::BTreeSet;

use super::Outcome;
use super::format::PreviousEvent;
use super::read::{read_head, read_offset_and_time, read_outcome, skip_outcome};
use crate::wire::{Corrupt, Reader};

/// A block after the erasure, and the removed outcomes.
pub(super) type Erased = (Vec<u8>, Vec<Outcome>);

/// Removes the outcomes of the events at some offsets; none if the block has no outcome of them.
///
/// # Errors
/// The bytes are no block, or a damaged one.
pub fn erase_outcomes(block: &[u8], offsets: &BTreeSet<u64>) -> Result<Option<Erased>, Corrupt> {
    let mut reader = Reader::new(block);
    let (_, rules) = read_head(&mut reader)?;
    let mut out = block[..reader.position()].to_vec();
    let mut erased = Vec::new();
    let (mut before, mut kept) = (PreviousEvent::default(), PreviousEvent::default());
    while !reader.is_empty() {
        before = read_offset_and_time(&mut reader, &before)?;
        if offsets.contains(&before.offset) {
            erased.push(read_outcome(&mut reader, &rules, &before)?);
            continue;
        }
        let start = reader.position();
        skip_outcome(&mut reader, &rules)?;
        kept.put(&mut out, before.offset, before.time);
        out.extend_from_slice(&block[start..reader.position()]);
    }
    Ok((!erased.is_empty()).then_some((out, erased)))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;

    use super::*;
    use crate::names::Offset;
    use crate::verdict::{BlockHead, EdgeRow, EventColumns, RuleRows, read_block, write_block};

    fn block() -> Vec<u8> {
        let stamp = serde_json::json!([{ "rule": "r", "revision": 1, "mode": "active", "plugin": null, "tags": ["t"],
            "reasons": [], "edges": ["paid"], "attributes": [], "inputs": [] }]);
        let keys = StringArray::from(vec!["a", "b", "a", "c"]);
        let unreadable = vec![(12, "event-malformed", "too short".to_owned())];
        let events = EventColumns {
            offsets: &[10, 11, 13, 20],
            times: &[500, 400, 900, 100],
            keys: &keys,
            ids: None,
            unreadable: &unreadable,
        };
        let rows = RuleRows {
            scores: vec![0.5, 0.25, f64::NAN, 1.0],
            tags: vec![(0, 0), (3, 0)],
            edges: vec![EdgeRow { row: 2, source: "a".to_owned(), target: "m".to_owned(), ..EdgeRow::default() }],
            ..RuleRows::default()
        };
        let mut out = Vec::new();
        let rules = stamp.to_string();
        write_block(
            &mut out,
            &BlockHead { catalog: 7, from: Offset(9), next: Offset(21), rules: &rules },
            &events,
            &[rows],
        );
        out
    }

    #[test]
    fn outcomes_of_other_events_are_kept() {
        let block = block();
        let all = read_block(&block).unwrap();
        for offsets in [vec![10], vec![11, 13], vec![20], vec![10, 12, 20], vec![10, 11, 12, 13, 20]] {
            let offsets: BTreeSet<u64> = offsets.into_iter().collect();
            let (rest, erased) = erase_outcomes(&block, &offsets).unwrap().unwrap();
            let (gone, stays): (Vec<_>, Vec<_>) =
                all.outcomes.iter().cloned().partition(|outcome| offsets.contains(&outcome.offset.0));
            assert_eq!(erased, gone);
            let read = read_block(&rest).unwrap();
            assert_eq!((read.outcomes, read.from, read.next, read.catalog), (stays, all.from, all.next, all.catalog));
        }
        assert_eq!(erase_outcomes(&block, &BTreeSet::from([9, 14])).unwrap(), None);
        assert!(erase_outcomes(&block[..block.len() - 1], &BTreeSet::from([10])).is_err());
    }
}
