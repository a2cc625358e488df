//! Events, records and places for the suites, and functions that read whole partitions and listings.

use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::log::{Durability, Log, Records, Topic};
use assay_engine::ports::{Page, PartitionId, Place, StoreError};

/// A partition of the stream `payments`.
pub fn payments(partition: u32) -> PartitionId {
    PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(partition) }
}

/// Records with these contents, appended at a fixed time.
pub fn records<T: AsRef<[u8]>>(contents: &[T]) -> Records {
    let mut records = Records { appended_at: 1_700_000_000_000, ..Records::default() };
    contents.iter().for_each(|content| records.push(content.as_ref()));
    records
}

/// An event of the stream of [`crate::streams::stream`], as Avro: of this card, at time 0.
pub fn event(card: &str) -> Vec<u8> {
    let mut avro = Vec::new();
    assay_core::wire::put_signed(&mut avro, card.len() as i64);
    avro.extend_from_slice(card.as_bytes());
    // The time 0, as a zigzag varint.
    avro.push(0);
    avro
}

/// The card of an Avro event that [`event`] made.
pub fn card(avro: &[u8]) -> &str {
    let length = assay_core::wire::Reader::new(avro).signed().unwrap() as usize;
    std::str::from_utf8(&avro[avro.len() - 1 - length..avro.len() - 1]).unwrap()
}

/// Avro events of these cards.
pub fn events<T: AsRef<str>>(cards: &[T]) -> Records {
    let cards: Vec<Vec<u8>> = cards.iter().map(|card| event(card.as_ref())).collect();
    records(&cards)
}

/// Appends to `payments` and waits for the receipt. Returns the place of each batch's first record.
///
/// # Errors
/// The log refuses the append, or it fails.
pub fn append(
    log: &dyn Log,
    topic: Topic,
    batches: Vec<(u32, Records)>,
    durability: Durability,
) -> Result<Vec<Place>, StoreError> {
    let batches = batches.into_iter().map(|(partition, records)| (PartitionIndex(partition), records)).collect();
    let appended = log.append("payments", topic, batches, durability)?.blocking_recv().unwrap()?;
    Ok(appended.iter().map(|appended| appended.place(0).unwrap()).collect())
}

/// A place in a stream.
pub fn place(partition: u32, offset: u64) -> Place {
    Place { partition: PartitionIndex(partition), offset: Offset(offset) }
}

/// Reads all records of a partition of `payments` from an offset on, with their offsets, seven at a time.
pub fn read_all(log: &dyn Log, topic: Topic, partition: u32, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut next = Offset(from);
    loop {
        let blocks = log.read("payments", topic, PartitionIndex(partition), next, 7, 1 << 20).unwrap();
        let Some(last) = blocks.last() else {
            return all;
        };
        assert_eq!(blocks[0].first, next, "the first block begins exactly where it was asked for");
        next = last.next();
        all.extend(blocks.iter().flat_map(Records::iter).map(|(offset, record)| (offset.0, record.to_vec())));
    }
}

/// Reads all pages of a listing and checks that each but the last has exactly `limit` items.
pub fn all_pages<T>(limit: usize, list: impl Fn(Option<String>) -> Result<Page<T>, StoreError>) -> Vec<T> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(cursor).unwrap();
        assert!(page.items.len() <= limit);
        if page.cursor.is_some() {
            assert_eq!(page.items.len(), limit, "only the last page may be shorter");
        }
        all.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Returns whether a listing refused its cursor.
pub fn is_bad_cursor<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::BadCursor))
}
