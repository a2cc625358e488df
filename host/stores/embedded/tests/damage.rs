//! Damage of any file of a data folder is never a silent loss: the start refuses it, or a read fails, or no data is lost.
//! The check reports the damage in any case.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assay_contract as contract;

use std::fs;
use std::path::{Path, PathBuf};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use assay_core::verdict::empty_block;
use assay_embedded::{Config, Embedded, OpenError};
use assay_engine::ports::archive::{EventEntry, HistoryQuery};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::dead_letters::DeadLetterQuery;
use assay_engine::ports::log::{Durability, Records, Topic};
use assay_engine::ports::profiles::HighestQuery;
use assay_engine::ports::state::{Checkpoint, StateRow};
use assay_engine::ports::{Ports, StoreError};
use contract::{append, event, payments, records};

const PARTITIONS: u32 = 4;
const EVENTS: u64 = 120;

fn open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(dir, &Config::default())
}

/// Appends events to each partition with their verdicts, index entries and checkpoint.
fn write_round(ports: &Ports) {
    for partition in 0..PARTITIONS {
        let partition_id = payments(partition);
        let first = ports.log.end("payments", Topic::Events, partition_id.partition).unwrap().0;
        let cards: Vec<String> = (first..first + EVENTS).map(|number| format!("card-{}", number % 7)).collect();
        let events: Vec<Vec<u8>> = cards.iter().map(|card| event(card)).collect();
        append(&*ports.log, Topic::Events, vec![(partition, records(&events))], Durability::Synced).unwrap();
        let verdicts: Vec<Vec<u8>> = (1..=EVENTS).map(|number| empty_block(Offset(first + number))).collect();
        append(&*ports.log, Topic::Verdicts, vec![(partition, records(&verdicts))], Durability::Ordered).unwrap();
        let next = Offset(first + EVENTS);
        let entry = |(number, card): (u64, &String)| EventEntry {
            offset: Offset(number),
            time: number as i64,
            key: card.clone(),
            id: format!("e{number}"),
        };
        let entries: Vec<EventEntry> = (first..).zip(&cards).map(entry).collect();
        ports.archive.write_events(&partition_id, &entries, &[], next).unwrap();
        let blocks =
            ports.log.read("payments", Topic::Verdicts, partition_id.partition, Offset(first), 1000, 1 << 20).unwrap();
        ports.archive.write_verdicts(&partition_id, &blocks, next).unwrap();
        let checkpoint = Checkpoint { events: next, verdicts: next, catalog: 1, origins: Vec::new() };
        let row = StateRow { key: "card-1".to_owned(), state: vec![first as u8 + 1; 2000] };
        ports.state.save(&partition_id, &checkpoint, &[row]).unwrap();
    }
}

/// Fills a folder with rows of every keyspace, in tables and in journals. Returns the answers of the store.
fn fill_folder(dir: &Path) -> String {
    let store = open(dir).unwrap();
    let ports = store.ports();
    ports.log.create(&contract::streams::stream("payments", PARTITIONS)).unwrap();
    write_round(&ports);
    contract::profiles::write_profiles_before_reopen(&*ports.profiles);
    contract::graph::write_edges_before_reopen(&*ports.graph);
    contract::dead_letters::write_letters_before_reopen(&*ports.dead_letters);
    contract::catalog::write_definitions_before_reopen(&*ports.catalog);
    flush(&ports);
    write_round(&ports);
    let version = ports.catalog.version().unwrap();
    ports.catalog.commit(version, vec![Change::from_json(Kind::Rule, "z", serde_json::json!(5))], "ann", 9).unwrap();
    ports.catalog.put_artifact(&[9; 5000]).unwrap();
    store.shutdown().unwrap();
    drop((ports, store));
    // A second start: fjall truncates the reserved space of the journal.
    let store = open(dir).unwrap();
    let answers = read_everything(&store.ports()).unwrap();
    store.shutdown().unwrap();
    answers
}

/// Flushes everything to tables, as the end of an erasure does.
fn flush(ports: &Ports) {
    let erasure = ports.erasure.clone().unwrap();
    let id = erasure.begin(&payments(0), "nobody", "test").unwrap();
    erasure.purge(id).unwrap();
}

/// The answers of all ports as text, or the first error.
fn read_everything(ports: &Ports) -> Result<String, StoreError> {
    let mut all = String::new();
    for partition in (0..PARTITIONS).map(PartitionIndex) {
        for topic in [Topic::Events, Topic::Verdicts] {
            let end = ports.log.end("payments", topic, partition)?;
            let mut next = Offset(0);
            while next < end {
                let blocks = ports.log.read("payments", topic, partition, next, 50, 1 << 20)?;
                next = blocks.last().map_or(end, Records::next);
                let all_records =
                    blocks.iter().flat_map(Records::iter).map(|(offset, bytes)| format!("{offset}{bytes:?}"));
                all.extend(all_records);
            }
        }
        let partition_id = payments(partition.0);
        let query = HistoryQuery { key: "card-3".to_owned(), times: TimeRange::ALL, limit: 1000, cursor: None };
        let history = ports.archive.history(&partition_id, &query)?;
        all += &format!(
            "{history:?}{:?}{:?}",
            ports.state.checkpoint(&partition_id)?,
            ports.state.load(&partition_id, &["card-1"])?
        );
        all += &format!(
            "{:?}{:?}",
            ports.archive.events_position(&partition_id)?,
            ports.archive.verdicts_position(&partition_id)?
        );
    }
    let highest = HighestQuery { stream: "payments".into(), rule: "r".into(), limit: 1000, ..HighestQuery::default() };
    let letters = DeadLetterQuery { stream: None, rule: None, limit: 10, cursor: None };
    all += &format!("{:?}", ports.profiles.highest(&highest)?);
    all += &format!("{:?}{:?}", ports.graph.neighbours("b", 9, None)?, ports.dead_letters.list(&letters)?);
    all += &format!("{:?}", ports.catalog.snapshot(None)?);
    for artifact in [&[7; 300_000][..], b"", &[9; 5000]] {
        let found = ports.catalog.artifact(&assay_core::names::Digest::of(artifact))?;
        all += &format!("{:?}", found.map(|found| found.len()));
    }
    Ok(all)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

const DAMAGES: [&str; 4] = ["missing", "zeroed", "cut", "flipped"];

/// Damages a file. Returns whether its content changed.
fn damage_file(path: &Path, how: &str) -> bool {
    let mut bytes = fs::read(path).unwrap();
    let before = bytes.clone();
    let middle = bytes.len() / 2;
    match how {
        "missing" => {
            fs::remove_file(path).unwrap();
            return true;
        }
        "zeroed" => bytes.fill(0),
        "cut" => bytes.truncate(middle),
        _ => bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0x10),
    }
    fs::write(path, &bytes).unwrap();
    bytes != before
}

/// Runs the check. Returns its problems as an error.
fn run_check(dir: &Path) -> Result<(), String> {
    match assay_embedded::check(dir, &Config::default(), &mut |_| {}) {
        Ok(report) if report.problems.is_empty() => Ok(()),
        Ok(report) => Err(report.problems.join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

/// Damages every selected file in every way and asserts that no loss is silent. Returns a line for each damage.
fn damage_every_file(whole: &Path, expected: &str, is_selected: impl Fn(&str) -> bool) -> Vec<String> {
    let mut reported = Vec::new();
    for file in files(whole) {
        let name = file.strip_prefix(whole).unwrap().to_string_lossy().into_owned();
        if !is_selected(&name) {
            continue;
        }
        for how in DAMAGES {
            let dir = tempfile::tempdir().unwrap();
            copy(whole, dir.path());
            if !damage_file(&dir.path().join(&name), how) {
                continue;
            }
            let checked = run_check(dir.path());
            let (started, is_whole) = match open(dir.path()) {
                Err(error) => (format!("refused: {error}"), false),
                Ok(store) => match read_everything(&store.ports()) {
                    Err(error) => (format!("a read fails: {error}"), false),
                    Ok(answers) => {
                        assert!(answers == expected, "{name} {how}: something is lost and nobody says so");
                        ("nothing is lost".to_owned(), true)
                    }
                },
            };
            // Lock files hold no data, the filler's files hold none that counts, and all items of a journal may be in tables.
            let is_idle = name.ends_with("lock") || name.contains("keyspaces/11/") || name.ends_with(".jnl");
            let may_be_silent = name.ends_with("lock") || (is_whole && is_idle);
            assert!(checked.is_err() || may_be_silent, "{name} {how}: the check says nothing");
            println!("{name} {how}: {started}; check: {}", checked.clone().err().unwrap_or_default());
            reported.push(format!("{name} {how}: {started}"));
        }
    }
    reported
}

#[test]
fn damage_of_any_file_is_reported() {
    let whole = tempfile::tempdir().unwrap();
    let expected = fill_folder(whole.path());
    assert_eq!(run_check(whole.path()), Ok(()));
    let reported = damage_every_file(whole.path(), &expected, |_| true);
    assert!(reported.len() > 100, "{}", reported.len());
    for kind in [".jnl", "tables/", "blobs/", "current", "/v", "version", "ledger", "assay-store"] {
        assert!(reported.iter().any(|line| line.contains(kind)), "no {kind} in {reported:#?}");
    }
    for how in DAMAGES {
        let is_refused = |line: &&String| line.contains(&format!(".jnl {how}: refused"));
        assert!(reported.iter().any(|line| is_refused(&line)), "no journal {how} is refused: {reported:#?}");
    }
}

/// There are two journals: a sealed one with items of other keyspaces, and the last one.
#[test]
fn the_loss_of_one_of_several_journals_names_the_lost_offsets() {
    let whole = tempfile::tempdir().unwrap();
    let store = open(whole.path()).unwrap();
    let ports = store.ports();
    ports.log.create(&contract::streams::stream("payments", PARTITIONS)).unwrap();
    write_round(&ports);
    // The first full memtable seals the journal; the small items in it are not flushed.
    for _ in 0..9 {
        append(&*ports.log, Topic::Events, vec![(1, records(&[vec![7; 8 << 20]]))], Durability::Synced).unwrap();
    }
    let journals =
        || files(whole.path()).iter().filter(|path| path.extension().is_some_and(|end| end == "jnl")).count();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while journals() < 2 {
        assert!(std::time::Instant::now() < deadline, "no journal was sealed");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    write_round(&ports);
    let expected = read_everything(&ports).unwrap();
    store.shutdown().unwrap();
    drop((ports, store));
    let reported = damage_every_file(whole.path(), &expected, |name| name.ends_with(".jnl"));
    assert_eq!(reported.len(), 8, "{reported:#?}");
    let missing: Vec<&String> = reported.iter().filter(|line| line.contains("missing")).collect();
    assert!(missing.iter().all(|line| line.contains("refused: ")), "{missing:#?}");
    assert!(missing.iter().any(|line| line.contains("the events 120 to 239 of payments/0")), "{missing:#?}");
}

#[test]
fn an_accepted_loss_is_not_reported_again() {
    let dir = tempfile::tempdir().unwrap();
    fill_folder(dir.path());
    let journal = files(dir.path()).into_iter().rfind(|path| path.extension().is_some_and(|end| end == "jnl")).unwrap();
    damage_file(&journal, "zeroed");
    let error = open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Lost { .. }) && error.to_string().contains("--accept-loss"), "{error}");
    assert!(error.to_string().contains("the events 120 to 239 of payments/2"), "{error}");

    let config = Config { accept_loss: true, ..Config::default() };
    let store = Embedded::open(dir.path(), &config).unwrap();
    let ports = store.ports();
    for topic in [Topic::Events, Topic::Verdicts] {
        assert_eq!(
            ports.log.end("payments", topic, PartitionIndex(2)).unwrap(),
            Offset(240),
            "no offset is given twice"
        );
    }
    let lost = ports.log.read("payments", Topic::Events, PartitionIndex(2), Offset(120), 1000, 1 << 20).unwrap();
    assert!(lost.iter().flat_map(Records::iter).all(|(_, record)| record.is_empty()));
    write_round(&ports);
    let expected = read_everything(&ports).unwrap();
    store.shutdown().unwrap();
    drop((ports, store));
    assert_eq!(run_check(dir.path()), Ok(()));
    assert_eq!(read_everything(&open(dir.path()).unwrap().ports()).unwrap(), expected);
}

/// The ledger says what must be there. Without it a start cannot tell a loss, and neither can the check.
#[test]
fn a_folder_without_its_ledger_is_refused_by_start_and_check_alike() {
    let whole = tempfile::tempdir().unwrap();
    let expected = fill_folder(whole.path());
    for how in ["missing", "zeroed"] {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        damage_file(&dir.path().join("ledger"), how);
        let problem = run_check(dir.path()).unwrap_err();
        assert!(problem.contains("ledger") && problem.contains("would not be seen"), "{how}: {problem}");
        let refused = open(dir.path()).map(drop).unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, OpenError::Unaccounted { .. }), "{how}: {said}");
        assert!(said.contains("ledger") && said.contains("--accept-loss"), "{how}: {said}");

        let config = Config { accept_loss: true, ..Config::default() };
        let store = Embedded::open(dir.path(), &config).unwrap();
        assert!(read_everything(&store.ports()).unwrap() == expected, "{how}: nothing was lost");
        store.shutdown().unwrap();
        drop(store);
        assert_eq!(run_check(dir.path()), Ok(()), "{how}: the next start needs no option");
        assert!(open(dir.path()).is_ok(), "{how}");
    }
}
