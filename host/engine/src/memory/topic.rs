//! One partition of a topic: blocks of records as they were appended.

use std::collections::VecDeque;
use std::sync::Arc;

use assay_core::names::Offset;

use crate::ports::log::{Records, Trim, TrimResult};

/// What a block costs beside its records, about, where retention counts bytes.
const BLOCK_BYTES: usize = 4;

/// The records of one partition of a topic.
#[derive(Clone, Default)]
pub(super) struct TopicPartition {
    blocks: VecDeque<Block>,
    /// What retention deleted, for observers.
    trimmed: Vec<Block>,
    end: u64,
}

/// Records that were appended together.
#[derive(Clone)]
struct Block {
    first: u64,
    records: Arc<Records>,
}

impl Block {
    fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn bytes(&self) -> usize {
        BLOCK_BYTES + self.records.data.len() + 4 * self.records.len()
    }

    /// Some of its records, with the offsets and times that they have.
    fn records(&self, from: usize, count: usize) -> Records {
        let Records { appended_later, schema, refused, .. } = &*self.records;
        let mut part = Records {
            first: Offset(self.first + from as u64),
            appended_at: self.records.stored_at(from),
            schema: *schema,
            ..Records::default()
        };
        for index in from..from + count {
            part.push(self.records.get(index).unwrap_or_default());
        }
        // Blocks have far fewer records than a u32 counts.
        let within =
            |index: u32| (index as usize > from && (index as usize) < from + count).then(|| index - from as u32);
        part.appended_later = appended_later.iter().filter_map(|(index, at)| Some((within(*index)?, *at))).collect();
        let is_in_part = |index: u32| (from..from + count).contains(&(index as usize));
        let refused = refused.iter().filter(|(index, _)| is_in_part(*index));
        part.refused = refused.map(|(index, why)| (index - from as u32, why.clone())).collect();
        part
    }
}

impl TopicPartition {
    /// The first record that is still there; the end if none is.
    pub(super) fn first(&self) -> u64 {
        self.blocks.front().map_or(self.end, |block| block.first)
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends records. Returns the offset of the first.
    pub(super) fn append(&mut self, records: Arc<Records>) -> u64 {
        let first = self.end;
        if !records.is_empty() {
            self.end += records.len() as u64;
            self.blocks.push_back(Block { first, records });
        }
        first
    }

    /// The records from an offset on, at least one if there is one, and none after a limit is reached.
    pub(super) fn read(&self, from: u64, max_records: usize, max_bytes: usize) -> Vec<Records> {
        let start = self.blocks.partition_point(|block| block.end() <= from);
        let (mut found, mut records, mut bytes) = (Vec::new(), 0, 0_usize);
        for block in self.blocks.range(start..) {
            let skipped = from.saturating_sub(block.first) as usize;
            let mut count = 0;
            while skipped + count < block.records.len() && (records == 0 || records < max_records && bytes < max_bytes)
            {
                bytes += block.records.get(skipped + count).map_or(0, <[u8]>::len);
                count += 1;
                records += 1;
            }
            if count == 0 {
                break;
            }
            found.push(block.records(skipped, count));
        }
        found
    }

    /// All records that there ever were.
    pub(super) fn all(&self) -> Vec<Records> {
        let blocks = self.trimmed.iter().chain(&self.blocks);
        blocks.map(|block| block.records(0, block.records.len())).collect()
    }

    /// One record by itself.
    pub(super) fn record(&self, offset: u64) -> Option<Records> {
        let block = self.blocks.get(self.block_of(offset)?)?;
        Some(block.records((offset - block.first) as usize, 1))
    }

    fn block_of(&self, offset: u64) -> Option<usize> {
        let index = self.blocks.partition_point(|block| block.end() <= offset);
        self.blocks.get(index).is_some_and(|block| block.first <= offset).then_some(index)
    }

    /// Puts other bytes in the place of a record.
    pub(super) fn replace(&mut self, offset: u64, bytes: &[u8]) {
        let Some(block) = self.block_of(offset).and_then(|index| self.blocks.get_mut(index)) else { return };
        let replaced = (offset - block.first) as usize;
        let mut records = Records { data: Vec::new(), ends: Vec::new(), ..(*block.records).clone() };
        for index in 0..block.records.len() {
            let kept = block.records.get(index).unwrap_or_default();
            records.push(if index == replaced { bytes } else { kept });
        }
        block.records = Arc::new(records);
    }

    /// Deletes whole blocks at the head, but never the last one.
    pub(super) fn trim(&mut self, wish: &Trim) -> TrimResult {
        let mut bytes: u64 = self.blocks.iter().map(|block| block.bytes() as u64).sum();
        let mut trimmed = TrimResult::default();
        while self.blocks.len() > 1 {
            let head = &self.blocks[0];
            let is_too_old = wish.older_than.is_some_and(|time| head.records.appended_at < time);
            if !is_too_old && wish.max_bytes.is_none_or(|most| bytes <= most) {
                break;
            }
            if head.end() > wish.below.0 {
                trimmed.is_held = true;
                break;
            }
            trimmed.records += head.records.len() as u64;
            trimmed.bytes += head.bytes() as u64;
            bytes -= head.bytes() as u64;
            self.trimmed.extend(self.blocks.pop_front());
        }
        trimmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::log::Refused;

    #[test]
    fn a_part_of_a_block_keeps_the_times_and_refusals_of_its_records() {
        let mut records = Records::default();
        for at in [5, 5, 7, 9, 9] {
            records.note_appended(at);
            records.push(&[at as u8]);
        }
        records.refused =
            vec![(1, Refused { code: assay_core::failure_code::FailureCode::EventMalformed, message: String::new() })];
        let mut topic = TopicPartition::default();
        topic.append(Arc::new(records.clone()));
        topic.append(Arc::new(records));
        for from in 0..10 {
            let read = topic.read(from, 100, 100);
            let times: Vec<i64> = read.iter().flat_map(|part| (0..part.len()).map(|at| part.stored_at(at))).collect();
            let expected: Vec<i64> = [5, 5, 7, 9, 9].repeat(2)[from as usize..].to_vec();
            assert_eq!(times, expected);
            let refused: Vec<u64> =
                read.iter().flat_map(|part| part.refused.iter().map(|(at, _)| part.first.0 + u64::from(*at))).collect();
            assert_eq!(refused, [1, 6].into_iter().filter(|at| *at >= from).collect::<Vec<u64>>());
        }
    }
}
