//! Opening unusual folders: each error names the cause, and nothing in the folder changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assay_contract::streams;

use std::fs;
use std::path::Path;

use assay_embedded::{Config, Embedded, OpenError};

fn open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(dir, &Config::default())
}

fn refusal(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(error) => error,
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_locked_folder_is_refused_with_the_id_of_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn a_folder_with_foreign_files_is_refused() {
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
            OpenError::OtherFormat { found: reported, known: 1, .. } => assert_eq!(reported, found),
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

/// All states that an interrupted first start can leave.
#[test]
fn an_interrupted_first_start_is_repeated() {
    let made = tempfile::tempdir().unwrap();
    drop(open(made.path()).unwrap());
    let parts = ["version", "lock", "0.jnl", "keyspaces/0/current", "keyspaces/3/current", "keyspaces/11"];
    for left in 0..=parts.len() {
        let dir = tempfile::tempdir().unwrap();
        let unfinished = dir.path().join("fjall.new");
        copy(&made.path().join("fjall"), &unfinished);
        for part in &parts[..left] {
            let path = unfinished.join(part);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        fs::write(dir.path().join("assay-store"), "format 1\n").unwrap();
        fs::write(dir.path().join("lock"), "1").unwrap();
        let store = open(dir.path()).unwrap();
        store.ports().log.create(&streams::stream("payments", 1)).unwrap();
        assert!(!unfinished.exists());
    }
    // Earlier versions created the database under its final name and wrote `version` last.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("fjall/keyspaces")).unwrap();
    fs::write(dir.path().join("fjall/lock"), "").unwrap();
    fs::write(dir.path().join("fjall/0.jnl"), vec![0; 1 << 20]).unwrap();
    fs::write(dir.path().join("assay-store"), "format 1\n").unwrap();
    open(dir.path()).unwrap();
}

/// The process is this test binary again, with an environment variable that names the folder.
#[test]
fn a_first_start_may_be_killed_at_any_moment() {
    const FOLDER: &str = "ASSAY_OPEN_TEST_FOLDER";
    const NAME: &str = "a_first_start_may_be_killed_at_any_moment";
    if let Some(dir) = std::env::var_os(FOLDER) {
        drop(open(Path::new(&dir)).unwrap());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for attempt in 0_u64.. {
        let folder = dir.path().join(attempt.to_string());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(FOLDER, &folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The delays grow until a start completes before it is killed.
        std::thread::sleep(std::time::Duration::from_millis(2 + 10 * attempt));
        let is_done = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        open(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        if is_done {
            break;
        }
    }
}

#[test]
fn a_missing_database_is_not_created_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let database = dir.path().join("fjall");
    fs::remove_file(database.join("version")).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Corrupted { .. }));
    fs::remove_dir_all(database).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Corrupted { .. }));
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
    use assay_core::names::{Offset, PartitionIndex};
    use assay_engine::ports::log::{Durability, Records, Topic};

    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let log = store.ports().log;
    log.create(&streams::stream("payments", 1)).unwrap();
    let mut records = Records::default();
    records.push(b"a");
    let append =
        |durability| log.append("payments", Topic::Events, vec![(PartitionIndex(0), records.clone())], durability);
    let waiting: Vec<_> = (0..50).map(|_| append(Durability::Synced).unwrap()).collect();
    store.shutdown().unwrap();
    store.shutdown().unwrap();
    for receipt in waiting {
        receipt.blocking_recv().unwrap().unwrap();
    }
    for durability in [Durability::Synced, Durability::Ordered] {
        assert!(append(durability).unwrap_err().to_string().contains("shut down"));
    }
    assert_eq!(log.end("payments", Topic::Events, PartitionIndex(0)).unwrap(), Offset(50));
    assert!(!log.read("payments", Topic::Events, PartitionIndex(0), Offset(0), 1, 1).unwrap().is_empty());
}
