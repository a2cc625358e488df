//! Reads the tables of a data folder without its journals.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fjall::{AbstractTree as _, AnyTree, KvSeparationOptions, LsmError};
use lsm_tree::{Guard as _, SeqNo, SequenceNumberCounter};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::super::commits::{COUNT_KEY, COUNTED_KEYSPACES, read_count};

/// This file in a keyspace's folder has the number of its manifest and the manifest's checksum.
const CURRENT: &str = "current";
/// fjall's keyspace with the names of all others.
const NAMES: u64 = 0;
/// The keyspaces with blob files.
const WITH_BLOBS: [&str; 2] = ["log", "artifacts"];
/// The bytes of one read of a file.
const READ_BYTES: usize = 1 << 20;

/// The tables of one keyspace.
pub(in super::super) struct KeyspaceTables {
    pub(in super::super) id: u64,
    pub(in super::super) name: String,
    pub(in super::super) tree: AnyTree,
}

/// Opens the tables of all keyspaces, after it has compared the checksum of each manifest.
///
/// # Errors
/// A file is missing or damaged; the text names it.
pub(in super::super) fn open(database: &Path) -> Result<Vec<KeyspaceTables>, String> {
    let keyspaces = database.join("keyspaces");
    let names = open_tree(&keyspaces, NAMES, "names")?;
    let mut all = vec![KeyspaceTables { id: NAMES, name: "names".to_owned(), tree: names.clone() }];
    for row in names.prefix("n", SeqNo::MAX, None) {
        let unreadable = |error| format!("the names of the keyspaces cannot be read: {}", describe(&error));
        let (key, name) = row.into_inner().map_err(unreadable)?;
        let Some(id) = key.last_chunk().map(|id| u64::from_be_bytes(*id)) else { continue };
        let name = String::from_utf8_lossy(&name).into_owned();
        all.push(KeyspaceTables { id, tree: open_tree(&keyspaces, id, &name)?, name });
    }
    Ok(all)
}

fn open_tree(keyspaces: &Path, id: u64, name: &str) -> Result<AnyTree, String> {
    let folder = keyspaces.join(id.to_string());
    let describe_keyspace = |reason: &str| format!("keyspace '{name}' ({}): {reason}", folder.display());
    check_manifest(&folder).map_err(|why| describe_keyspace(&why))?;
    let counter = SequenceNumberCounter::default;
    let blobs = WITH_BLOBS.contains(&name).then(KvSeparationOptions::default);
    let config = lsm_tree::Config::new(&folder, counter(), counter()).with_kv_separation(blobs);
    // lsm-tree panics on some damaged files; this reports them as damage, too.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(error)) => Err(describe_keyspace(&describe(&error))),
        Err(_) => Err(describe_keyspace("its files contradict each other, see the message above")),
    }
}

/// Checks that the manifest exists and has the checksum of the file [`CURRENT`]. lsm-tree does not compare them.
fn check_manifest(folder: &Path) -> Result<(), String> {
    let unreadable = |path: &Path, error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let path = folder.join(CURRENT);
    let current = fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let parts = current.first_chunk::<8>().zip(current.get(8..24).and_then(|rest| rest.first_chunk::<16>()));
    let Some((version, checksum)) = parts else { return Err(format!("{} is cut off", path.display())) };
    let path = folder.join(format!("v{}", u64::from_le_bytes(*version)));
    let manifest = fs::read(&path).map_err(|error| unreadable(&path, error))?;
    if xxh3_128(&manifest) != u128::from_le_bytes(*checksum) {
        return Err(format!("{}: its checksum does not fit", path.display()));
    }
    Ok(())
}

impl KeyspaceTables {
    /// The index in `COUNTED_KEYSPACES`; none if its commits are not counted.
    pub(in super::super) fn counted_number(&self) -> Option<usize> {
        COUNTED_KEYSPACES.iter().position(|name| *name == self.name)
    }

    /// The number of its last commit in the tables; 0 if there is none.
    pub(in super::super) fn read_commit_count(&self) -> Result<u64, String> {
        let row = self.tree.get(COUNT_KEY, SeqNo::MAX).map_err(|error| self.failed(&error))?;
        match row.as_deref().map(read_count) {
            None => Ok(0),
            Some(Some((count, _))) => Ok(count),
            Some(None) => Err(format!("keyspace '{}': its number of commits cannot be read", self.name)),
        }
    }

    fn failed(&self, error: &LsmError) -> String {
        format!("keyspace '{}': {}", self.name, describe(error))
    }

    /// The files of tables and blobs with the checksums of the manifest.
    pub(in super::super) fn files(&self) -> Vec<(PathBuf, u128)> {
        let version = self.tree.current_version();
        let tables = version.iter_tables().map(|table| (table.path.to_path_buf(), table.checksum().into_u128()));
        let blobs = version.blob_files.iter().map(|blob| (blob.path().to_path_buf(), blob.checksum().into_u128()));
        tables.chain(blobs).collect()
    }
}

/// Compares the checksum of a file. Returns its size in bytes.
///
/// # Errors
/// The file cannot be read or has another checksum.
pub(in super::super) fn check_file(path: &Path, checksum: u128) -> Result<u64, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let (mut buffer, mut hash, mut size) = (vec![0; READ_BYTES], Xxh3::new(), 0);
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
    if hash.digest128() == checksum { Ok(size) } else { Err(format!("{}: its checksum does not fit", path.display())) }
}

fn describe(error: &LsmError) -> String {
    match error {
        LsmError::Io(error) => error.to_string(),
        LsmError::ChecksumMismatch { .. } => "a checksum does not fit: a file is damaged".to_owned(),
        LsmError::Unrecoverable => "a table or a blob file is missing or cannot be read".to_owned(),
        error => format!("a table cannot be read ({error:?})"),
    }
}
