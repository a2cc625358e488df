//! What was read from the log, cut into batches.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use crate::ports::log::{Records, Refused};

/// Readable records of a batch, and the refused ones that stand among them.
pub(super) type Batch<'b, 'a> = (&'b [(Offset, &'a [u8])], &'b [(Offset, &'a Refused)]);

/// The records of some blocks, cut into batches.
pub(super) struct Batches<'a> {
    records: Vec<(Offset, &'a [u8])>,
    refused: Vec<(Offset, &'a Refused)>,
}

impl<'a> Batches<'a> {
    /// The records before an offset. Those of `panicked` are refused with what is said there.
    pub(super) fn of(blocks: &'a [Records], before: Offset, panicked: &'a BTreeMap<Offset, Refused>) -> Self {
        let mut batches = Self { records: Vec::new(), refused: Vec::new() };
        for block in blocks {
            let mut refused = block.refused.iter().peekable();
            for (index, (offset, bytes)) in (0_u32..).zip(block.iter()).take_while(|(_, (offset, _))| *offset < before)
            {
                let refused = refused.next_if(|(at, _)| *at == index).map(|(_, why)| why);
                match refused.or_else(|| panicked.get(&offset)) {
                    Some(why) => batches.refused.push((offset, why)),
                    None => batches.records.push((offset, bytes)),
                }
            }
        }
        batches
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.refused.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Batches of at most so many readable records, each with the refused ones that stand among them.
    pub(super) fn iter(&self, rows: usize) -> impl Iterator<Item = Batch<'_, 'a>> {
        let (mut at, mut refused_at) = (0, 0);
        std::iter::from_fn(move || {
            let end = (at + rows).min(self.records.len());
            let records = &self.records[at..end];
            let rest = &self.refused[refused_at..];
            let many = match (end < self.records.len(), records.last()) {
                (true, Some((last, _))) => rest.partition_point(|(offset, _)| offset < last),
                _ => rest.len(),
            };
            let refused = &rest[..many];
            at = end;
            refused_at += many;
            (!records.is_empty() || !refused.is_empty()).then_some((records, refused))
        })
    }
}
