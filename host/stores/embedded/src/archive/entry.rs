//! The entries of the archive's index, and their encoding in pages.
//!
//! Keys are indexed by their 128-bit XXH3. Among a billion keys the probability of any collision is below 10^-20, so a
//! lookup does not compare the key with that of the event.

use std::cmp::Ordering;

use assay_core::wire::{Corrupt, Reader, put_signed, put_varint};
use xxhash_rust::xxh3::xxh3_128;

/// The offset of an event of a key. Entries are sorted by key, then by falling time, then by falling offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u128,
    pub(super) time: i64,
    pub(super) offset: u64,
}

impl Entry {
    pub(super) fn hash_of(key: &str) -> u128 {
        xxh3_128(key.as_bytes())
    }

    /// The entry as bytes that sort as entries do.
    pub(super) fn sort_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.hash.to_be_bytes());
        // Flipping the sign bit makes signed numbers sort as unsigned ones; flipping all bits reverses the order.
        let time = !((self.time as u64) ^ (1 << 63));
        bytes[16..24].copy_from_slice(&time.to_be_bytes());
        bytes[24..].copy_from_slice(&(!self.offset).to_be_bytes());
        bytes
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.hash.cmp(&other.hash)).then(other.time.cmp(&self.time)).then(other.offset.cmp(&self.offset))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A page ends once it has this many bytes: enough that the cost of a database row per entry is small, few enough that a
/// page is decoded in microseconds.
const PAGE_BYTES: usize = 4096;

/// Encodes the first of the sorted entries as a page. Returns the page and the number of entries in it.
pub(super) fn encode_page(entries: &[Entry]) -> (Vec<u8>, usize) {
    let mut page = Vec::with_capacity(PAGE_BYTES + 64);
    let mut before = Entry { hash: 0, time: 0, offset: 0 };
    let mut count = 0;
    for entry in entries {
        if page.len() >= PAGE_BYTES {
            break;
        }
        let (high, low) = ((entry.hash >> 64) as u64, entry.hash as u64);
        if count > 0 && entry.hash == before.hash {
            page.push(0);
        } else {
            page.push(1);
            // The entries are sorted, so this does not underflow.
            put_varint(&mut page, high - (before.hash >> 64) as u64);
            page.extend_from_slice(&low.to_le_bytes());
        }
        put_signed(&mut page, entry.time.wrapping_sub(before.time));
        put_signed(&mut page, entry.offset.wrapping_sub(before.offset) as i64);
        before = *entry;
        count += 1;
    }
    (page, count)
}

/// Appends the entries of a page to `out`.
pub(super) fn decode_page(page: &[u8], out: &mut Vec<Entry>) -> Result<(), Corrupt> {
    let mut reader = Reader::new(page);
    let mut before = Entry { hash: 0, time: 0, offset: 0 };
    while !reader.is_empty() {
        let hash = match reader.byte()? {
            0 => before.hash,
            1 => {
                let high = ((before.hash >> 64) as u64).wrapping_add(reader.varint()?);
                let mut low = [0; 8];
                low.copy_from_slice(reader.take(8)?);
                u128::from(high) << 64 | u128::from(u64::from_le_bytes(low))
            }
            _ => return Err(reader.corrupt("an entry of the index")),
        };
        let time = before.time.wrapping_add(reader.signed()?);
        let offset = before.offset.wrapping_add(reader.signed()? as u64);
        before = Entry { hash, time, offset };
        out.push(before);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let hash = prop_oneof![any::<u128>(), 0_u128..3, (0_u128..3).prop_map(|hash| hash << 64)];
        let entry = (hash, any::<i64>(), any::<u64>()).prop_map(|(hash, time, offset)| Entry { hash, time, offset });
        prop::collection::vec(entry, 0..600).prop_map(|mut entries| {
            entries.sort();
            entries
        })
    }

    proptest! {
        #[test]
        fn pages_round_trip(entries in entries()) {
            let (mut rest, mut out) = (&entries[..], Vec::new());
            while !rest.is_empty() {
                let (page, count) = encode_page(rest);
                prop_assert!(page.len() < PAGE_BYTES + 64);
                decode_page(&page, &mut out).unwrap();
                rest = &rest[count..];
            }
            prop_assert_eq!(out, entries);
        }

        #[test]
        fn entries_and_their_bytes_sort_alike(entries in entries()) {
            prop_assert!(entries.is_sorted_by_key(Entry::sort_bytes));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(page: Vec<u8>) {
            let _ = decode_page(&page, &mut Vec::new());
        }
    }
}
