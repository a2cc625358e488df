//! Several processes on one database: each is a client of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Kind};
use assay_engine::ports::log::WakeSignal;
use assay_engine::ports::profiles::{LatestVerdict, Profile, Profiles};
use serde_json::json;

use super::TestDatabase;
use super::contract::payments;

fn rule(name: &str, value: u64) -> Vec<Change> {
    vec![Change::from_json(Kind::Rule, name, json!({ "value": value }))]
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn one_of_two_clients_wins_a_version() {
    let database = TestDatabase::new();
    let clients = [database.open(), database.open()];
    for version in 0..10 {
        let barrier = Barrier::new(2);
        let won = std::thread::scope(|scope| {
            let commits = clients.each_ref().map(|client| {
                let (catalog, barrier) = (client.catalog(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    catalog.commit(version, rule("a", version), "ann", 1)
                })
            });
            commits.map(|commit| match commit.join().unwrap() {
                Ok(snapshot) => snapshot.version == version + 1,
                Err(CommitError::Conflict { expected, now }) => {
                    assert_eq!((expected, now), (version, version + 1));
                    false
                }
                Err(error) => panic!("{error}"),
            })
        });
        assert_ne!(won[0], won[1], "exactly one wins");
    }
    for client in &clients {
        assert_eq!(client.catalog().snapshot(None).unwrap().version, 10);
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_change_notifies_the_subscribers_of_other_clients() {
    let database = TestDatabase::new();
    let (here, there) = (database.open().catalog(), database.open().catalog());
    let wake = Arc::new(WakeSignal::default());
    there.on_change(wake.clone());
    here.commit(0, rule("a", 1), "ann", 1).unwrap();
    assert!(wake.wait(Duration::from_secs(5)));
    assert_eq!(there.version().unwrap(), 1);
    assert_eq!(there.snapshot(None).unwrap(), here.snapshot(None).unwrap());
    // A second change, when the watcher follows its change streams.
    here.commit(1, rule("a", 2), "ann", 2).unwrap();
    while there.snapshot(None).unwrap().version < 2 {
        assert!(wake.wait(Duration::from_secs(5)));
    }
    let first = there.snapshot(Some(1)).unwrap().revisions.remove(0);
    assert_eq!(first.definition.unwrap().to_json(), json!({ "value": 1 }));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_replaced_database_is_an_error() {
    let database = TestDatabase::new();
    let catalog = database.open().catalog();
    catalog.commit(0, rule("a", 1), "ann", 1).unwrap();
    database.collection("commits").delete_one(::mongodb::bson::doc! { "_id": 1 }).run().unwrap();
    let error = catalog.snapshot(None).unwrap_err().to_string();
    assert!(error.contains("was at version 1 and is at version 0"), "{error}");
}

fn latest(offset: u64, writer: usize) -> LatestVerdict {
    LatestVerdict {
        score: Some(offset as f64),
        tags: vec![format!("writer-{writer}")],
        offset: Offset(offset),
        time: 1,
        event: String::new(),
        revision: 1,
        plugin: None,
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_older_writer_overwrites_nothing() {
    let database = TestDatabase::new();
    let (clients, writer_lock) = ([database.open(), database.open()], database.writer_lock());
    // Both write the same entities at once. One has the newer verdicts of rule r, the other those of rule s.
    std::thread::scope(|scope| {
        for (writer, client) in clients.iter().enumerate() {
            let (profiles, writer_lock) = (client.profiles(), &writer_lock);
            scope.spawn(move || {
                for round in 1..=5 {
                    let entity = |i: u32| {
                        let offsets = [("r", 10 * round + writer as u64), ("s", 10 * round + 1 - writer as u64)];
                        let rules = offsets.map(|(rule, offset)| (rule.to_owned(), latest(offset, writer)));
                        Profile { key: format!("card-{i}"), rules: BTreeMap::from(rules) }
                    };
                    let _writer = writer_lock.lock();
                    profiles
                        .write(&payments(0), (0..20).map(entity).collect(), Offset(100 * round + writer as u64))
                        .unwrap();
                }
            });
        }
    });
    let profiles = clients[0].profiles();
    // A write with an older position is skipped whole. So the last verdicts are the second writer's, or those of both.
    for i in 0..20 {
        let profile = profiles.get(&payments(0), &format!("card-{i}")).unwrap().unwrap();
        assert_eq!(profile.rules["r"], latest(51, 1), "card-{i}");
        assert!(profile.rules["s"].offset >= Offset(50), "card-{i}");
    }
    // A fenced-off writer with an old verdict and a new position.
    let stale = Profile { key: "card-3".to_owned(), rules: BTreeMap::from([("r".to_owned(), latest(7, 0))]) };
    profiles.write(&payments(0), vec![stale], Offset(10_000)).unwrap();
    assert_eq!(profiles.get(&payments(0), "card-3").unwrap().unwrap().rules["r"], latest(51, 1));
}
