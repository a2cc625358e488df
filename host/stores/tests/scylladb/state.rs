//! The state: the port's contract, and who wins when two owners write.

use assay_core::names::Offset;
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_stores::scylladb::{Config, ScyllaDb};

use crate::contract::{payments, state};
use crate::keyspace::Keyspace;

pub(crate) fn save(state: &dyn StateStore, (events, catalog): (u64, u64), rows: &[(&str, &str)]) {
    let checkpoint = Checkpoint { events: Offset(events), verdicts: Offset(events), catalog, origins: Vec::new() };
    let row = |(key, state): &(&str, &str)| StateRow { key: (*key).to_owned(), state: state.as_bytes().to_vec() };
    let rows: Vec<StateRow> = rows.iter().map(row).collect();
    state.save(&payments(0), &checkpoint, &rows).unwrap();
}

fn loaded(state: &dyn StateStore, key: &str) -> String {
    String::from_utf8(state.load(&payments(0), &[key]).unwrap().remove(0).unwrap()).unwrap()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn nothing_is_there_at_first() {
    state::nothing_is_there_at_first(&*Keyspace::new().open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn states_kept() {
    let keyspace = Keyspace::new();
    state::states_written(&*keyspace.open().state());
    state::states_kept(&*keyspace.open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn older_checkpoints_change_nothing() {
    state::older_checkpoints_change_nothing(&*Keyspace::new().open().state());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn of_two_owners_at_the_same_time_the_one_with_more_events_wins() {
    let keyspace = Keyspace::new();
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
        let asked: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = older.load(&payments(0), &asked).unwrap();
        assert!(found.iter().all(|state| state.as_deref() == Some(most.as_bytes())), "round {round}");
        assert_eq!(older.checkpoint(&payments(0)).unwrap().unwrap().events, Offset(more));
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn of_equally_old_rows_those_of_the_newer_catalog_stay() {
    let keyspace = Keyspace::new();
    let state = keyspace.open().state();
    // The states are such that the wrong one would win if only their own bytes were compared.
    for (catalog, bytes) in [(255, "zz"), (256, "aa")] {
        save(&*state, (0, catalog), &[("a", bytes)]);
        assert_eq!(loaded(&*state, "a"), bytes);
    }
    save(&*state, (0, 255), &[("a", "zz")]);
    assert_eq!(loaded(&*state, "a"), "aa");
    assert_eq!(state.checkpoint(&payments(0)).unwrap().unwrap().catalog, 256);
    // A newer catalog does not outweigh an event.
    save(&*state, (1, 1), &[("a", "one event more")]);
    assert_eq!(loaded(&*state, "a"), "one event more");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_new_incarnation_begins_with_nothing() {
    let keyspace = Keyspace::new();
    save(&*keyspace.open().state(), (100, 1), &[("a", "first life")]);
    let second = ScyllaDb::open(&Config { incarnation: 1, ..keyspace.config.clone() }).unwrap().state();
    assert_eq!(second.checkpoint(&payments(0)).unwrap(), None);
    save(&*second, (1, 1), &[("a", "second life")]);
    assert_eq!(loaded(&*second, "a"), "second life");
    assert_eq!(loaded(&*keyspace.open().state(), "a"), "first life");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn many_rows_are_saved_and_loaded_in_the_order_asked_for() {
    let keyspace = Keyspace::new();
    let state = keyspace.open().state();
    let keys: Vec<String> = (0..3000).map(|i| format!("card-{i}")).collect();
    let rows: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
    save(&*state, (3000, 1), &rows);
    let asked: Vec<&str> = rows.iter().rev().map(|row| row.0).collect();
    let found = state.load(&payments(0), &asked).unwrap();
    assert_eq!(found.len(), asked.len());
    assert!(asked.iter().zip(&found).all(|(key, state)| state.as_deref() == Some(key.as_bytes())));
}
