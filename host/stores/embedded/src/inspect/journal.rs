//! Reads a journal of fjall without changing it. fjall itself silently truncates a journal at the first unreadable batch.
//!
//! Format (fjall 3): batches of a start (number of items, sequence number), items (keyspace, key, value) or clears, and an
//! end with the XXH3 of the items. A new file is filled with zeros.

use std::path::Path;
use std::{fs, io};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";
/// The kind of an item with a value. Other kinds delete.
const VALUE: u8 = 0;

/// A row that a batch writes, or deletes if it has no value.
pub(in super::super) struct Item<'j> {
    pub(in super::super) keyspace: u64,
    pub(in super::super) key: &'j [u8],
    pub(in super::super) value: Option<&'j [u8]>,
}

/// The end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum JournalEnd {
    /// The last batch is complete.
    Whole,
    /// The last batch is incomplete, as after a crash.
    Unfinished,
    /// From this position on the bytes are no batch, or have another checksum.
    Unreadable(u64),
}

/// Calls `on_item` for the items of all complete batches of a journal, in order. Returns how the journal ends.
pub(in super::super) fn read(path: &Path, mut on_item: impl FnMut(&Item<'_>)) -> io::Result<JournalEnd> {
    let bytes = fs::read(path)?;
    let mut rest = &bytes[..];
    loop {
        let position = (bytes.len() - rest.len()) as u64;
        match read_batch(&mut rest) {
            Step::Batch(items) => items.iter().for_each(&mut on_item),
            Step::Empty => return Ok(JournalEnd::Whole),
            Step::Unfinished => return Ok(JournalEnd::Unfinished),
            Step::Unreadable => return Ok(JournalEnd::Unreadable(position)),
        }
    }
}

enum Step<'j> {
    Batch(Vec<Item<'j>>),
    /// Zeros, or the end of the file.
    Empty,
    Unfinished,
    Unreadable,
}

fn read_batch<'j>(rest: &mut &'j [u8]) -> Step<'j> {
    // Zeros up to the end of the file are unused space.
    let classify = |rest: &[u8]| match rest.first() {
        Some(byte) if *byte != 0 => Step::Unreadable,
        _ if rest.iter().all(|byte| *byte == 0) => Step::Unfinished,
        _ => Step::Unreadable,
    };
    let mut at = *rest;
    if at.iter().all(|byte| *byte == 0) {
        return Step::Empty;
    }
    if at.first() != Some(&START) {
        return classify(at);
    }
    // The sequence number after the count is not checked: no checksum covers it, and it can restart from a smaller number.
    let Some(count) = take_bytes(&mut at, 1 + 4 + 8).and_then(|head| read_number(head, 1, 4)) else {
        return Step::Unfinished;
    };
    let (mut items, mut hash) = (Vec::new(), Xxh3::new());
    for _ in 0..count {
        let before = at;
        match at.first() {
            Some(&ITEM) => match read_item(&mut at) {
                Some(item) => items.push(item),
                None => return Step::Unfinished,
            },
            Some(&CLEAR) if take_bytes(&mut at, 9).is_some() => {}
            _ => return classify(at),
        }
        hash.update(&before[..before.len() - at.len()]);
    }
    if at.first().is_some_and(|tag| *tag != END) {
        return classify(at);
    }
    let Some(end) = take_bytes(&mut at, 1 + 8 + TRAILER.len()) else { return Step::Unfinished };
    if !end.ends_with(TRAILER) || read_number(end, 1, 8) != Some(hash.digest()) {
        return Step::Unreadable;
    }
    *rest = at;
    Step::Batch(items)
}

/// Reads an item: tag, kind, compression (none), keyspace, length of the key, lengths of the value in memory and on disk,
/// key, value.
fn read_item<'j>(at: &mut &'j [u8]) -> Option<Item<'j>> {
    let head = take_bytes(at, 3 + 8 + 2 + 4 + 4)?;
    let length = |from, bytes| read_number(head, from, bytes).and_then(|length| usize::try_from(length).ok());
    let key = take_bytes(at, length(11, 2)?)?;
    let value = take_bytes(at, length(17, 4)?)?;
    Some(Item { keyspace: read_number(head, 3, 8)?, key, value: (head[1] == VALUE).then_some(value) })
}

fn take_bytes<'j>(at: &mut &'j [u8], bytes: usize) -> Option<&'j [u8]> {
    let (taken, rest) = at.split_at_checked(bytes)?;
    *at = rest;
    Some(taken)
}

/// Reads a little-endian number of `count` bytes.
fn read_number(bytes: &[u8], from: usize, count: usize) -> Option<u64> {
    let digits = bytes.get(from..from + count)?;
    Some(digits.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal of one keyspace, and how many batches it holds.
    fn journal(dir: &Path) -> Vec<u8> {
        let database = fjall::Database::builder(dir).open().unwrap();
        let keyspace = database.keyspace("one", fjall::KeyspaceCreateOptions::default).unwrap();
        for number in 0..5_u8 {
            let mut batch = fjall::OwnedWriteBatch::with_capacity(database.clone(), 2);
            batch.insert(&keyspace, [number], vec![number; 300]);
            batch.remove(&keyspace, [number, 1]);
            batch.commit().unwrap();
        }
        keyspace.clear().unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
        fs::read(dir.join("0.jnl")).unwrap()
    }

    fn values(path: &Path) -> (Vec<u8>, JournalEnd) {
        let mut values = Vec::new();
        let end = read(path, |item| values.extend(item.value.map(|value| value[0]))).unwrap();
        (values, end)
    }

    #[test]
    fn journals_of_fjall_are_read_up_to_the_first_damage() {
        let dir = tempfile::tempdir().unwrap();
        let whole = journal(&dir.path().join("db"));
        let path = dir.path().join("1.jnl");
        fs::write(&path, &whole).unwrap();
        assert_eq!(values(&path), (vec![0, 1, 2, 3, 4], JournalEnd::Whole));
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let (mut rest, mut starts) = (&whole[..], vec![0]);
        while matches!(read_batch(&mut rest), Step::Batch(_)) {
            starts.push(whole.len() - rest.len());
        }
        assert_eq!(starts.len(), 7);
        let is_sequence = |at: &usize| starts.iter().any(|start| (start + 5..start + 13).contains(at));
        for at in (0..used).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            fs::write(&path, flipped).unwrap();
            assert!(values(&path).0.len() < 5 || at > used - 40 || is_sequence(&at), "a flipped bit at {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(values(&path).0.len() < 5 || at > used - 40, "cut at {at}");
        }
        fs::write(&path, vec![0; 4096]).unwrap();
        assert_eq!(values(&path), (vec![], JournalEnd::Whole));
    }
}
