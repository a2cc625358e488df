//! Opening a folder that is not as it should be says what is wrong and leaves everything as it was.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/streams.rs"]
mod streams;

use std::fs;
use std::path::Path;

use assay_stores::embedded::{Config, Embedded, OpenError};

fn open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(dir, &Config::default())
}

fn refusal(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(error) => error,
    }
}

#[test]
fn a_folder_that_is_in_use_is_refused_with_who_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn a_folder_with_other_things_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "important").unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::NotOurs { .. }) && error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    for (marker, found) in [("format 2\n", "2"), ("", "unknown"), ("nonsense", "unknown")] {
        fs::write(dir.path().join("assay-store"), marker).unwrap();
        match refusal(dir.path()) {
            OpenError::OtherFormat { found: told, known: 1, .. } => assert_eq!(told, found),
            error => panic!("{error}"),
        }
    }
    fs::write(dir.path().join("assay-store"), "format 1\n").unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn a_file_instead_of_a_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(matches!(refusal(&path), OpenError::Unusable { .. }));
    }
}

#[test]
fn a_first_start_that_was_interrupted_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    fs::remove_file(dir.path().join("fjall/version")).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::HalfMade { .. }));
}

#[test]
fn a_damaged_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    for entry in fs::read_dir(dir.path().join("fjall/keyspaces/0")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, "scribble").unwrap();
        }
    }
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
}

#[test]
fn after_shutdown_appends_are_refused_and_reads_work() {
    use assay_core::names::{Offset, Partition};
    use assay_engine::ports::log::{Durability, Records, Topic};

    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let log = store.ports().log;
    log.create(&streams::stream("payments", 1)).unwrap();
    let mut records = Records::default();
    records.push(b"a");
    let append = |durability| log.append("payments", Topic::Events, vec![(Partition(0), records.clone())], durability);
    let waiting: Vec<_> = (0..50).map(|_| append(Durability::Synced).unwrap()).collect();
    store.shutdown().unwrap();
    store.shutdown().unwrap();
    for receipt in waiting {
        receipt.blocking_recv().unwrap().unwrap();
    }
    for durability in [Durability::Synced, Durability::Ordered] {
        assert!(append(durability).unwrap_err().to_string().contains("shut down"));
    }
    assert_eq!(log.end("payments", Topic::Events, Partition(0)).unwrap(), Offset(50));
    assert!(!log.read("payments", Topic::Events, Partition(0), Offset(0), 1, 1).unwrap().is_empty());
}
