//! Blocks of verdicts that count for nobody.

use assay_core::names::Offset;
use assay_core::verdict::{empty_block, read_block_summary};

use super::Records;

/// Puts an empty block in the place of each displaced one. Bytes that are no block stay: whoever reads them says so.
pub(crate) fn empty_displaced_blocks(records: &mut Records) {
    let is_displaced =
        |(offset, block): (Offset, &[u8])| read_block_summary(block).is_ok_and(|summary| summary.is_displaced(offset));
    if !records.iter().any(is_displaced) {
        return;
    }
    let mut kept = Records { data: Vec::with_capacity(records.data.len()), ends: Vec::new(), ..records.clone() };
    for (offset, block) in records.iter() {
        if is_displaced((offset, block)) {
            kept.push(&empty_block(Offset(0)));
        } else {
            kept.push(block);
        }
    }
    *records = kept;
}

#[cfg(test)]
mod tests {
    use assay_core::verdict::{BlockSummary, set_block_offset};

    use super::*;
    use crate::partition::write_fence;

    #[test]
    fn only_blocks_at_another_offset_than_their_own_are_emptied() {
        let block = |next: u64, at: Option<u64>| {
            let mut block = Vec::new();
            write_fence(&mut block, 3, Offset(next));
            at.into_iter().for_each(|at| set_block_offset(&mut block, Offset(at)));
            block
        };
        let mut records = Records { first: Offset(7), appended_at: 5, ..Records::default() };
        for record in [block(10, Some(7)), block(11, Some(7)), block(12, Some(9)), block(13, None), b"none".to_vec()] {
            records.push(&record);
        }
        let before = records.clone();
        empty_displaced_blocks(&mut records);
        let nexts: Vec<Option<u64>> =
            records.iter().map(|(_, block)| read_block_summary(block).ok().map(|summary| summary.next.0)).collect();
        assert_eq!(nexts, [Some(10), Some(0), Some(12), Some(13), None]);
        let emptied = BlockSummary { at: None, flags: 0, catalog: 0, from: None, next: Offset(0) };
        assert_eq!(records.get(1).map(read_block_summary), Some(Ok(emptied)));
        assert_eq!((records.first, records.appended_at, records.get(2)), (Offset(7), 5, before.get(2)));
    }
}
