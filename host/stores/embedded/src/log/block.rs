//! The format of a block of records: the value of a row of the keyspace `log`.
//!
//! Layout: version byte, XXH3 of the rest, number of records, append time, number of the schema (version 2 only; it is 0
//! in version 1), lengths of the records, records. The first offset is in the row's key.

use assay_core::names::Offset;
use assay_core::wire::{Corrupt, Reader, put_signed, put_varint};
use assay_engine::ports::log::Records;
use xxhash_rust::xxh3::xxh3_64;

/// The version of blocks of a stream's first schema, and of verdicts.
const FIRST_SCHEMA: u8 = 1;
/// The version of blocks of a later schema.
const LATER_SCHEMA: u8 = 2;
/// The size of version and checksum.
const HEAD_BYTES: usize = 9;

/// Returns whether the ends rise up to the end of the data.
pub(super) fn is_well_formed(records: &Records) -> bool {
    let last = records.ends.last().map_or(0, |end| *end as usize);
    last == records.data.len() && records.ends.is_sorted()
}

/// Encodes well-formed records of one schema as one block. The block has the latest of their append times: an event that
/// was not later than its own append time must not be later than that of its block.
pub(super) fn encode(parts: &[Records]) -> Vec<u8> {
    let count: usize = parts.iter().map(Records::len).sum();
    let bytes: usize = parts.iter().map(|part| part.data.len()).sum();
    let schema = parts.first().map_or(0, |part| part.schema);
    let mut out = Vec::with_capacity(HEAD_BYTES + 24 + 2 * count + bytes);
    out.push(if schema == 0 { FIRST_SCHEMA } else { LATER_SCHEMA });
    out.extend_from_slice(&[0; 8]);
    put_varint(&mut out, count as u64);
    put_signed(&mut out, parts.iter().map(|part| part.appended_at).max().unwrap_or(0));
    if schema > 0 {
        put_varint(&mut out, u64::from(schema));
    }
    for part in parts {
        let mut start = 0;
        for end in &part.ends {
            put_varint(&mut out, u64::from(end - start));
            start = *end;
        }
    }
    for part in parts {
        out.extend_from_slice(&part.data);
    }
    let checksum = xxh3_64(&out[HEAD_BYTES..]);
    out[1..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The head of a block, for all its records.
struct Head {
    count: usize,
    appended_at: i64,
    schema: u32,
}

/// Checks a block and reads its head. The returned reader is at the lengths.
fn open(block: &[u8]) -> Result<(Head, Reader<'_>), Corrupt> {
    let mut head = Reader::new(block);
    let version = head.byte()?;
    if !matches!(version, FIRST_SCHEMA | LATER_SCHEMA) {
        return Err(head.corrupt("a version of log blocks that this binary reads"));
    }
    let mut checksum = [0; 8];
    checksum.copy_from_slice(head.take(8)?);
    let body = &block[HEAD_BYTES..];
    if xxh3_64(body).to_le_bytes() != checksum {
        return Err(head.corrupt("a log block whose checksum fits"));
    }
    let mut reader = Reader::new(body);
    let count = reader.count()?;
    let appended_at = reader.signed()?;
    let schema = if version == LATER_SCHEMA { reader.u32()? } else { 0 };
    Ok((Head { count, appended_at, schema }, reader))
}

/// The number of records of a block.
pub(in super::super) fn count(block: &[u8]) -> Result<u64, Corrupt> {
    Ok(open(block)?.0.count as u64)
}

/// The append time of a block, ms since 1970.
pub(super) fn appended_at(block: &[u8]) -> Result<i64, Corrupt> {
    Ok(open(block)?.0.appended_at)
}

/// Decodes the records of a block without the first `skip`. `first` is the block's first offset.
pub(super) fn decode(block: &[u8], first: u64, skip: usize) -> Result<Records, Corrupt> {
    let (Head { count, appended_at, schema }, mut reader) = open(block)?;
    let mut ends = Vec::with_capacity(count.saturating_sub(skip));
    let (mut skipped, mut end) = (0_usize, 0_u32);
    for i in 0..count {
        let length = reader.u32()?;
        if i < skip {
            skipped = skipped.saturating_add(length as usize);
        } else {
            end = end.checked_add(length).ok_or_else(|| reader.corrupt("records of less than 4 GiB"))?;
            ends.push(end);
        }
    }
    reader.take(skipped)?;
    let data = reader.take(end as usize)?.to_vec();
    if !reader.is_empty() {
        return Err(reader.corrupt("the end of the block"));
    }
    let first = Offset(first + skip.min(count) as u64);
    Ok(Records { first, appended_at, schema, data, ends, ..Records::default() })
}

/// Decodes a single record of a block; none if the block has fewer. `first` is the block's first offset.
pub(super) fn record(block: &[u8], first: u64, index: usize) -> Result<Option<Records>, Corrupt> {
    let (Head { count, appended_at, schema }, mut reader) = open(block)?;
    if index >= count {
        return Ok(None);
    }
    let (mut before, mut length) = (0_usize, 0_usize);
    for i in 0..count {
        let this = reader.u32()? as usize;
        if i < index {
            before = before.saturating_add(this);
        } else if i == index {
            length = this;
        }
    }
    reader.take(before)?;
    let mut record = Records { first: Offset(first + index as u64), appended_at, schema, ..Records::default() };
    record.push(reader.take(length)?);
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(contents: &[Vec<u8>], appended_at: i64) -> Records {
        let mut records = Records { appended_at, ..Records::default() };
        contents.iter().for_each(|record| records.push(record));
        records
    }

    proptest! {
        #[test]
        fn blocks_round_trip(
            a: Vec<Vec<u8>>, b: Vec<Vec<u8>>, at: i64, skip in 0_usize..5, schema in 0_u32..3,
        ) {
            let part = |contents: &[Vec<u8>], at: i64| Records { schema, ..records(contents, at) };
            let block = encode(&[part(&a, at), part(&b, at.wrapping_add(1))]);
            let all: Vec<Vec<u8>> = a.into_iter().chain(b).collect();
            prop_assert_eq!(count(&block), Ok(all.len() as u64));
            let decoded = decode(&block, 100, skip).unwrap();
            let latest = at.max(at.wrapping_add(1));
            prop_assert_eq!((decoded.appended_at, decoded.schema), (latest, schema));
            prop_assert!(is_well_formed(&decoded));
            let expected: Vec<_> = all.iter().enumerate().skip(skip).collect();
            prop_assert_eq!(decoded.len(), expected.len());
            for ((offset, record), (i, original)) in decoded.iter().zip(expected) {
                prop_assert_eq!(offset, Offset(100 + i as u64));
                prop_assert_eq!(record, &original[..]);
                let alone = Records { first: Offset(100 + i as u64), ..part(std::slice::from_ref(original), latest) };
                prop_assert_eq!(super::record(&block, 100, i), Ok(Some(alone)));
            }
            prop_assert_eq!(super::record(&block, 100, all.len()), Ok(None));
        }

        #[test]
        fn any_changed_byte_is_an_error(at: prop::sample::Index, change in 1_u8..) {
            let schema = u32::from(change & 1);
            let mut block = encode(&[Records { schema, ..records(&[b"one".to_vec(), b"two".to_vec()], 5) }]);
            let at = at.index(block.len());
            block[at] ^= change;
            prop_assert!(decode(&block, 0, 0).is_err());
            prop_assert!(decode(&block[..at], 0, 0).is_err());
        }
    }

    #[test]
    fn ends_that_do_not_fit_the_data_are_found() {
        let good = records(&[b"ab".to_vec(), b"c".to_vec()], 0);
        assert!(is_well_formed(&good));
        assert!(!is_well_formed(&Records { ends: vec![2], ..good.clone() }));
        assert!(!is_well_formed(&Records { ends: vec![3, 2, 3], ..good.clone() }));
        assert!(!is_well_formed(&Records { ends: vec![], ..good }));
    }
}
