//! The ledger: a small file with the synced state of the database, so that a start detects lost data.
//!
//! It is written after each sync of the journal and never before it, so it may lag but never claims more than the disk
//! holds. It is not synced itself while the server runs: after a power failure it may lag by some seconds, after a crash
//! of the process by at most one commit.
//!
//! Layout: pairs of cells of 128 bytes. The cell with the higher value is valid, and a write goes to the other one, so a
//! torn write loses at most one update. The first pair holds the number of pairs.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use assay_engine::ports::log::Topic;
use xxhash_rust::xxh3::xxh3_64;

use super::keys::{NumberedPartition, StreamId, TopicPartition};

/// The file's name in the store's folder.
pub(super) const LEDGER: &str = "ledger";
const CELL_BYTES: usize = 128;
const MAGIC: [u8; 4] = *b"ALG1";
/// A cell holds at most this many bytes of a stream's name; the rest is left out.
const MAX_NAME_BYTES: usize = 80;
/// The position of the name in a cell.
const NAME_OFFSET: usize = 28;

/// A part of the database with a value in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LedgerPart {
    /// The number of pairs of cells.
    Pairs,
    /// The number of commits of a keyspace, by its index in `COUNTED_KEYSPACES`.
    Keyspace(u32),
    /// The end of a partition's events.
    Events(NumberedPartition),
    /// The end of a partition's verdicts.
    Verdicts(NumberedPartition),
}

impl From<TopicPartition> for LedgerPart {
    fn from(topic_partition: TopicPartition) -> Self {
        match topic_partition.topic {
            Topic::Events => Self::Events(topic_partition.partition),
            Topic::Verdicts => Self::Verdicts(topic_partition.partition),
        }
    }
}

/// The content of a ledger.
#[derive(Debug, Default)]
pub(super) struct LedgerContents {
    /// The value of each part, and the stream's name.
    pub(super) values: BTreeMap<LedgerPart, (u64, String)>,
    /// Unreadable cells, one text each.
    pub(super) damage: Vec<String>,
    /// True if the beginning cannot be read. No crash leaves a ledger so: it is synced when it is created, and a torn write
    /// spoils one of two cells.
    pub(super) is_unreadable: bool,
}

/// Reads a ledger; none if the file does not exist.
pub(super) fn read(path: &Path) -> io::Result<Option<LedgerContents>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut contents = LedgerContents::default();
    let mut pairs = 0;
    for (number, pair) in bytes.chunks(2 * CELL_BYTES).enumerate() {
        let mut is_used = false;
        for cell in pair.chunks(CELL_BYTES) {
            if cell.iter().all(|byte| *byte == 0) {
                continue;
            }
            match decode(cell) {
                Some((part, value, name)) => {
                    is_used = true;
                    let have = contents.values.entry(part).or_insert_with(|| (value, name));
                    have.0 = have.0.max(value);
                }
                None => contents.damage.push(format!("a cell of pair {number} cannot be read")),
            }
        }
        if is_used {
            pairs += 1;
        }
    }
    match contents.values.get(&LedgerPart::Pairs) {
        Some((expected, _)) if *expected <= pairs => {}
        Some((expected, _)) => contents.damage.push(format!("it had {expected} entries, and {pairs} are left")),
        None => contents.is_unreadable = true,
    }
    Ok(Some(contents))
}

fn encode(part: LedgerPart, value: u64, name: &str) -> [u8; CELL_BYTES] {
    let (kind, stream, number) = match part {
        LedgerPart::Pairs => (1, 0, 0),
        LedgerPart::Keyspace(number) => (2, 0, number),
        LedgerPart::Events(partition) => (3, partition.stream.0, partition.partition),
        LedgerPart::Verdicts(partition) => (4, partition.stream.0, partition.partition),
    };
    let mut cell = [0; CELL_BYTES];
    cell[..4].copy_from_slice(&MAGIC);
    cell[4] = kind;
    cell[8..12].copy_from_slice(&stream.to_be_bytes());
    cell[12..16].copy_from_slice(&number.to_be_bytes());
    cell[16..24].copy_from_slice(&value.to_be_bytes());
    let name = &name.as_bytes()[..name.floor_char_boundary(MAX_NAME_BYTES)];
    cell[5] = name.len() as u8;
    cell[NAME_OFFSET..NAME_OFFSET + name.len()].copy_from_slice(name);
    let checksum = xxh3_64(&cell[..CELL_BYTES - 8]);
    cell[CELL_BYTES - 8..].copy_from_slice(&checksum.to_be_bytes());
    cell
}

fn decode(cell: &[u8]) -> Option<(LedgerPart, u64, String)> {
    let (body, checksum) = cell.split_last_chunk::<8>()?;
    if cell.len() != CELL_BYTES || xxh3_64(body) != u64::from_be_bytes(*checksum) || body[..4] != MAGIC {
        return None;
    }
    let u32_at = |at: usize| Some(u32::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let partition = NumberedPartition { stream: StreamId(u32_at(8)?), partition: u32_at(12)? };
    let part = match body[4] {
        1 => LedgerPart::Pairs,
        2 => LedgerPart::Keyspace(partition.partition),
        3 => LedgerPart::Events(partition),
        4 => LedgerPart::Verdicts(partition),
        _ => return None,
    };
    let value = u64::from_be_bytes(*body.get(16..)?.first_chunk()?);
    let name = body.get(NAME_OFFSET..NAME_OFFSET + usize::from(body[5]))?;
    Some((part, value, String::from_utf8_lossy(name).into_owned()))
}

/// The ledger of an open database.
pub(super) struct Ledger {
    file: File,
    pairs: Mutex<Pairs>,
}

#[derive(Default)]
struct Pairs {
    by_part: HashMap<LedgerPart, Pair>,
    has_failed: bool,
}

struct Pair {
    number: u64,
    value: u64,
    /// The cell for the next write: 0 or 1.
    next_cell: u64,
}

impl Ledger {
    /// Replaces the file atomically by one with these values.
    pub(super) fn create<'a>(
        path: &Path,
        known: impl IntoIterator<Item = (LedgerPart, u64, &'a str)>,
    ) -> io::Result<Self> {
        let unfinished = path.with_extension("new");
        let file = File::options().create(true).truncate(true).write(true).open(&unfinished)?;
        let ledger = Self { file, pairs: Mutex::default() };
        {
            let mut pairs = ledger.pairs.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.write(&mut pairs, LedgerPart::Pairs, 1, "")?;
            for (part, value, name) in known {
                ledger.write(&mut pairs, part, value, name)?;
            }
        }
        ledger.file.sync_all()?;
        fs::rename(unfinished, path)?;
        // Makes the rename durable: a start refuses a folder with data and without a ledger.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(ledger)
    }

    /// Records the synced value of a part. A failure is logged once and not returned: the ledger only lags then.
    pub(super) fn record(&self, part: LedgerPart, value: u64, name: &str) {
        // A poisoned lock is safe: a pair in memory changes after its cell was written, so it can only lag.
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_behind = pairs.by_part.get(&part).is_none_or(|pair| pair.value < value);
        if is_behind
            && let Err(error) = self.write(&mut pairs, part, value, name)
            && !std::mem::replace(&mut pairs.has_failed, true)
        {
            tracing::warn!(%error, "the ledger cannot be written: a later loss may go unnoticed");
        }
    }

    /// Syncs the file.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, pairs: &mut Pairs, part: LedgerPart, value: u64, name: &str) -> io::Result<()> {
        let count = pairs.by_part.len() as u64;
        let is_new = !pairs.by_part.contains_key(&part);
        let pair = pairs.by_part.entry(part).or_insert(Pair { number: count, value: 0, next_cell: 0 });
        let file_offset = (2 * pair.number + pair.next_cell) * CELL_BYTES as u64;
        self.file.write_all_at(&encode(part, value, name), file_offset)?;
        pair.value = value;
        pair.next_cell ^= 1;
        if is_new && part != LedgerPart::Pairs {
            // The number is written after the new pair, so that it never exceeds the existing pairs.
            self.write(pairs, LedgerPart::Pairs, count + 1, "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: u32) -> NumberedPartition {
        NumberedPartition { stream: StreamId(7), partition }
    }

    fn written(dir: &Path) -> std::path::PathBuf {
        let path = dir.join(LEDGER);
        let ledger = Ledger::create(&path, [(LedgerPart::Keyspace(2), 5, "")]).unwrap();
        for value in [1, 2, 9, 4] {
            ledger.record(LedgerPart::Events(partition(1)), value, "payments");
        }
        ledger.record(LedgerPart::Verdicts(partition(3)), 6, "payments");
        path
    }

    #[test]
    fn the_highest_value_of_each_part_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let contents = read(&written(dir.path())).unwrap().unwrap();
        assert_eq!(contents.damage, Vec::<String>::new());
        let value = |part| contents.values.get(&part).cloned();
        assert_eq!(value(LedgerPart::Events(partition(1))), Some((9, "payments".to_owned())));
        assert_eq!(value(LedgerPart::Verdicts(partition(3))), Some((6, "payments".to_owned())));
        assert_eq!(value(LedgerPart::Keyspace(2)), Some((5, String::new())));
        assert_eq!(value(LedgerPart::Pairs).map(|(pairs, _)| pairs), Some(4));
        assert!(read(&dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn damage_is_reported_and_loses_at_most_one_update() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = fs::read(&path).unwrap();
        let is_written = |at: &usize| whole[*at..].iter().take(CELL_BYTES).any(|byte| *byte != 0);
        for at in (0..whole.len()).filter(|at| at.is_multiple_of(CELL_BYTES) && is_written(at)) {
            let mut flipped = whole.clone();
            flipped[at + 20] ^= 1;
            fs::write(&path, flipped).unwrap();
            let contents = read(&path).unwrap().unwrap();
            assert!(!contents.damage.is_empty(), "a flipped bit at {at}");
            let value = contents.values.get(&LedgerPart::Events(partition(1))).map(|(value, _)| *value);
            assert!([Some(2), Some(9)].contains(&value), "{value:?}");
            assert!(!contents.is_unreadable, "a flipped bit at {at}");
            fs::write(&path, &whole[..at]).unwrap();
            let cut = read(&path).unwrap().unwrap();
            assert!(!cut.damage.is_empty() || cut.is_unreadable, "cut at {at}");
        }
        fs::write(&path, vec![0; whole.len()]).unwrap();
        assert!(read(&path).unwrap().unwrap().is_unreadable);
    }
}
