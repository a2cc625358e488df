//! The state port: its contract, and the rows that stay when two owners write.

use assay_core::names::Offset;
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_scylladb::{Config, ScyllaDb};

use crate::contract::{payments, state};
use crate::keyspace::TestKeyspace;

/// Saves a checkpoint of partition 0, given its events and its catalog version, with rows of key and state.
pub(crate) fn save(state: &dyn StateStore, (events, catalog): (u64, u64), rows: &[(&str, &str)]) {
    let checkpoint = Checkpoint { events: Offset(events), verdicts: Offset(events), catalog, origins: Vec::new() };
    let row = |(key, state): &(&str, &str)| StateRow { key: (*key).to_owned(), state: state.as_bytes().to_vec() };
    let rows: Vec<StateRow> = rows.iter().map(row).collect();
    state.save(&payments(0), &checkpoint, &rows).unwrap();
}

fn load_text(state: &dyn StateStore, key: &str) -> String {
    String::from_utf8(state.load(&payments(0), &[key]).unwrap().remove(0).unwrap()).unwrap()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn new_partitions_are_empty() {
    state::new_partitions_are_empty(&*TestKeyspace::new().open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn states_survive_reopen() {
    let keyspace = TestKeyspace::new();
    state::save_states_before_reopen(&*keyspace.open().state());
    state::states_survive_reopen(&*keyspace.open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn older_checkpoints_change_nothing() {
    state::older_checkpoints_change_nothing(&*TestKeyspace::new().open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn concurrent_saves_keep_the_rows_with_more_events() {
    let keyspace = TestKeyspace::new();
    let (newer, older) = (keyspace.open().state(), keyspace.open().state());
    let keys: Vec<String> = (0..300).map(|i| format!("card-{i}")).collect();
    for round in 0..5 {
        let (more, less) = (2 * round + 2, 2 * round + 1);
        let (most, least) = (more.to_string(), less.to_string());
        let rows = |state| -> Vec<(&str, &str)> { keys.iter().map(|key| (key.as_str(), state)).collect() };
        std::thread::scope(|scope| {
            scope.spawn(|| save(&*older, (less, 1), &rows(&least)));
            scope.spawn(|| save(&*newer, (more, 1), &rows(&most)));
        });
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = older.load(&payments(0), &keys).unwrap();
        assert!(found.iter().all(|state| state.as_deref() == Some(most.as_bytes())), "round {round}");
        assert_eq!(older.checkpoint(&payments(0)).unwrap().unwrap().events, Offset(more));
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn rows_with_equally_many_events_are_ordered_by_catalog() {
    let keyspace = TestKeyspace::new();
    let state = keyspace.open().state();
    // The older state has the greater bytes: it would win if the values did not start with the catalog's version.
    for (catalog, bytes) in [(255, "zz"), (256, "aa")] {
        save(&*state, (0, catalog), &[("a", bytes)]);
        assert_eq!(load_text(&*state, "a"), bytes);
    }
    save(&*state, (0, 255), &[("a", "zz")]);
    assert_eq!(load_text(&*state, "a"), "aa");
    assert_eq!(state.checkpoint(&payments(0)).unwrap().unwrap().catalog, 256);
    // The number of events counts more than the catalog.
    save(&*state, (1, 1), &[("a", "one event more")]);
    assert_eq!(load_text(&*state, "a"), "one event more");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_new_incarnation_starts_empty() {
    let keyspace = TestKeyspace::new();
    save(&*keyspace.open().state(), (100, 1), &[("a", "first life")]);
    let second = ScyllaDb::open(&Config { incarnation: 1, ..keyspace.config.clone() }).unwrap().state();
    assert_eq!(second.checkpoint(&payments(0)).unwrap(), None);
    save(&*second, (1, 1), &[("a", "second life")]);
    assert_eq!(load_text(&*second, "a"), "second life");
    assert_eq!(load_text(&*keyspace.open().state(), "a"), "first life");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn many_rows_are_loaded_in_the_requested_order() {
    let keyspace = TestKeyspace::new();
    let state = keyspace.open().state();
    let keys: Vec<String> = (0..3000).map(|i| format!("card-{i}")).collect();
    let rows: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
    save(&*state, (3000, 1), &rows);
    let reversed: Vec<&str> = rows.iter().rev().map(|row| row.0).collect();
    let found = state.load(&payments(0), &reversed).unwrap();
    assert_eq!(found.len(), reversed.len());
    assert!(reversed.iter().zip(&found).all(|(key, state)| state.as_deref() == Some(key.as_bytes())));
}
