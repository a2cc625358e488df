//! Builds blocks without gaps from the messages of one partition, and cuts blocks to the limits of a read.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Records;
use rdkafka::message::{BorrowedMessage, Message as _};

use super::format::{Codec, MessageDecoder};

/// A block with this many records is closed.
const MAX_BLOCK_RECORDS: usize = 4096;
/// A block with this many bytes is closed.
const MAX_BLOCK_BYTES: usize = 1 << 20;

/// Builds blocks from the messages of one partition.
pub(super) struct BlockBuilder {
    /// None for verdict blocks, whose bytes are taken as they are.
    decoder: Option<MessageDecoder>,
    open: Records,
    done: Vec<Records>,
    records: usize,
    bytes: usize,
}

impl BlockBuilder {
    pub(super) fn new(decoder: Option<MessageDecoder>) -> Self {
        Self { decoder, open: Records::default(), done: Vec::new(), records: 0, bytes: 0 }
    }

    /// Adds the next message. A message that can never be decoded becomes a refused record.
    ///
    /// # Errors
    /// The message cannot be decoded yet: the schema registry does not answer, or the message has a later schema. Nothing
    /// was added.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) -> Result<(), StoreError> {
        // Offsets of fetched messages are not negative.
        let offset = Offset(message.offset() as u64);
        let is_contiguous = !self.open.is_empty() && self.open.next() == offset;
        if !is_contiguous || self.open.len() >= MAX_BLOCK_RECORDS || self.open.data.len() >= MAX_BLOCK_BYTES {
            self.close_block();
            self.open.first = offset;
            self.open.schema = self.schema();
        }
        self.open.note_appended(message.timestamp().to_millis().unwrap_or(0));
        let before = self.open.data.len();
        match &mut self.decoder {
            Some(decoder) => decoder.push(message.payload(), message.headers(), &mut self.open)?,
            None => self.open.push(message.payload().unwrap_or_default()),
        }
        self.records += 1;
        self.bytes += self.open.data.len() - before;
        Ok(())
    }

    /// The codec of events; none for verdict blocks.
    pub(super) fn codec(&self) -> Option<&Arc<Codec>> {
        self.decoder.as_ref().map(MessageDecoder::codec)
    }

    /// The number of the schema of the decoded events.
    pub(super) fn schema(&self) -> u32 {
        self.codec().map_or(0, |codec| codec.number)
    }

    /// The number of records since the last [`Self::take`].
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The bytes of records since the last [`Self::take`].
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all blocks out.
    pub(super) fn take(&mut self) -> Vec<Records> {
        self.close_block();
        (self.records, self.bytes) = (0, 0);
        std::mem::take(&mut self.done)
    }

    fn close_block(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }
}

/// The records of a block from an offset on, up to the limits, but at least one.
pub(super) fn slice_block(block: &Records, from: Offset, max_records: usize, max_bytes: usize) -> Records {
    let skip = from.0.saturating_sub(block.first.0).min(block.len() as u64) as usize;
    let start = skip.checked_sub(1).map_or(0, |before| block.ends[before]);
    let rest = &block.ends[skip..];
    let full = start as usize + max_bytes;
    let until_full = rest.partition_point(|end| (*end as usize) < full) + 1;
    let ends = &rest[..until_full.min(max_records.max(1)).min(rest.len())];
    let end = ends.last().copied().unwrap_or(start);
    let (low, high) = (skip as u32, (skip + ends.len()) as u32);
    let refused = block.refused.iter().filter(|(at, _)| (low..high).contains(at));
    let later = block.appended_later.iter().filter(|(at, _)| (low + 1..high).contains(at));
    Records {
        first: Offset(block.first.0 + skip as u64),
        appended_at: block.stored_at(skip),
        appended_later: later.map(|(at, time)| (at - low, *time)).collect(),
        schema: block.schema,
        data: block.data[start as usize..end as usize].to_vec(),
        ends: ends.iter().map(|end| end - start).collect(),
        refused: refused.map(|(at, why)| (at - low, why.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use assay_core::failure_code::FailureCode;
    use assay_engine::ports::log::Refused;

    use super::*;

    fn block() -> Records {
        let mut block = Records { first: Offset(10), ..Records::default() };
        for (record, time) in [("a", 5), ("bb", 5), ("", 7), ("ccc", 6), ("d", 6)] {
            block.note_appended(time);
            block.push(record.as_bytes());
        }
        block.refused = vec![(1, Refused { code: FailureCode::SchemaUnknown, message: String::new() }), (3, refused())];
        block
    }

    fn refused() -> Refused {
        Refused { code: FailureCode::EventEmpty, message: String::new() }
    }

    fn texts(block: &Records) -> Vec<(u64, String)> {
        block.iter().map(|(offset, record)| (offset.0, String::from_utf8_lossy(record).into_owned())).collect()
    }

    #[test]
    fn slices_keep_offsets_times_and_limits() {
        let whole = slice_block(&block(), Offset(10), 100, 100);
        assert_eq!(whole, block());
        let part = slice_block(&block(), Offset(12), 2, 100);
        assert_eq!(texts(&part), [(12, String::new()), (13, "ccc".to_owned())]);
        assert_eq!(part.refused, vec![(1, refused())]);
        for from in 10..15 {
            let part = slice_block(&block(), Offset(from), 2, 100);
            let times = (0..part.len()).map(|at| part.stored_at(at));
            let whole = (0..part.len()).map(|at| block().stored_at((from - 10) as usize + at));
            assert!(times.eq(whole), "{from}");
        }
        assert_eq!(slice_block(&block(), Offset(10), 100, 2).len(), 2);
        assert_eq!(slice_block(&block(), Offset(10), 100, 0).len(), 1);
        assert_eq!(slice_block(&block(), Offset(10), 0, 100).len(), 1);
        assert!(slice_block(&block(), Offset(15), 100, 100).is_empty());
    }
}
