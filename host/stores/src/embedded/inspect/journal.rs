//! Reads a journal of fjall without changing it: fjall itself cuts off what it cannot read, without a word.
//!
//! Form (fjall 3): batches of a start (items, sequence number), items (keyspace, key, value) or clears, and an end with the
//! XXH3 of what lies between. A new file is filled up with zeros.

use std::path::Path;
use std::{fs, io};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";
/// The kind of an item that holds a value; others delete.
const VALUE: u8 = 0;

/// A row that a batch writes; without a value one that it deletes.
pub(in super::super) struct Item<'j> {
    pub(in super::super) keyspace: u64,
    pub(in super::super) key: &'j [u8],
    pub(in super::super) value: Option<&'j [u8]>,
}

/// How a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum End {
    /// With its last batch.
    Whole,
    /// With a batch that is not finished, as a crash leaves it.
    Unfinished,
    /// With bytes that are no batch, or whose checksum does not fit, from this position on.
    Unreadable(u64),
}

/// Hands out the items of all whole batches of a journal, in their order. Returns how it ends.
pub(in super::super) fn read(path: &Path, mut each: impl FnMut(&Item<'_>)) -> io::Result<End> {
    let bytes = fs::read(path)?;
    let mut rest = &bytes[..];
    loop {
        let position = (bytes.len() - rest.len()) as u64;
        match batch(&mut rest) {
            Step::Batch(items) => items.iter().for_each(&mut each),
            Step::Empty => return Ok(End::Whole),
            Step::Unfinished => return Ok(End::Unfinished),
            Step::Unreadable => return Ok(End::Unreadable(position)),
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

fn batch<'j>(rest: &mut &'j [u8]) -> Step<'j> {
    // Zeros to the end are the space that no batch has taken yet.
    let refused = |rest: &[u8]| match rest.first() {
        Some(byte) if *byte != 0 => Step::Unreadable,
        _ if rest.iter().all(|byte| *byte == 0) => Step::Unfinished,
        _ => Step::Unreadable,
    };
    let mut at = *rest;
    if at.iter().all(|byte| *byte == 0) {
        return Step::Empty;
    }
    if at.first() != Some(&START) {
        return refused(at);
    }
    // The sequence number behind the count is in no checksum, and begins again with a smaller one after some restarts.
    let Some(count) = take(&mut at, 1 + 4 + 8).and_then(|head| number(head, 1, 4)) else { return Step::Unfinished };
    let (mut items, mut hash) = (Vec::new(), Xxh3::new());
    for _ in 0..count {
        let before = at;
        match at.first() {
            Some(&ITEM) => match item(&mut at) {
                Some(item) => items.push(item),
                None => return Step::Unfinished,
            },
            Some(&CLEAR) if take(&mut at, 9).is_some() => {}
            _ => return refused(at),
        }
        hash.update(&before[..before.len() - at.len()]);
    }
    if at.first().is_some_and(|tag| *tag != END) {
        return refused(at);
    }
    let Some(end) = take(&mut at, 1 + 8 + TRAILER.len()) else { return Step::Unfinished };
    if !end.ends_with(TRAILER) || number(end, 1, 8) != Some(hash.digest()) {
        return Step::Unreadable;
    }
    *rest = at;
    Step::Batch(items)
}

/// An item: its kind, its compression (none), keyspace, lengths of key and value, the value's on the disk, both.
fn item<'j>(at: &mut &'j [u8]) -> Option<Item<'j>> {
    let head = take(at, 3 + 8 + 2 + 4 + 4)?;
    let length = |from, bytes| number(head, from, bytes).and_then(|length| usize::try_from(length).ok());
    let key = take(at, length(11, 2)?)?;
    let value = take(at, length(17, 4)?)?;
    Some(Item { keyspace: number(head, 3, 8)?, key, value: (head[1] == VALUE).then_some(value) })
}

fn take<'j>(at: &mut &'j [u8], bytes: usize) -> Option<&'j [u8]> {
    let (taken, rest) = at.split_at_checked(bytes)?;
    *at = rest;
    Some(taken)
}

/// A little-endian number of some bytes.
fn number(of: &[u8], from: usize, bytes: usize) -> Option<u64> {
    let digits = of.get(from..from + bytes)?;
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

    fn values(path: &Path) -> (Vec<u8>, End) {
        let mut values = Vec::new();
        let end = read(path, |item| values.extend(item.value.map(|value| value[0]))).unwrap();
        (values, end)
    }

    #[test]
    fn batches_are_read_as_fjall_writes_them_and_damage_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        let whole = journal(&dir.path().join("db"));
        let path = dir.path().join("1.jnl");
        fs::write(&path, &whole).unwrap();
        assert_eq!(values(&path), (vec![0, 1, 2, 3, 4], End::Whole));
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let (mut rest, mut starts) = (&whole[..], vec![0]);
        while matches!(batch(&mut rest), Step::Batch(_)) {
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
        assert_eq!(values(&path), (vec![], End::Whole));
    }
}
