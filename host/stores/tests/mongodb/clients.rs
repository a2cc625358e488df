//! Several processes on one database: each is a client of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Kind};
use assay_engine::ports::log::Bell;
use assay_engine::ports::profiles::{LatestVerdict, Profile, Profiles};
use serde_json::json;

use super::Fresh;
use super::contract::payments;

fn rule(name: &str, value: u64) -> Vec<Change> {
    vec![Change { kind: Kind::Rule, name: name.to_owned(), body: Some(json!({ "value": value })) }]
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn one_of_two_clients_wins_a_version() {
    let fresh = Fresh::new();
    let clients = [fresh.open(), fresh.open()];
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
fn a_change_rings_the_bells_of_others() {
    let fresh = Fresh::new();
    let (here, there) = (fresh.open().catalog(), fresh.open().catalog());
    let bell = Arc::new(Bell::default());
    there.on_change(bell.clone());
    here.commit(0, rule("a", 1), "ann", 1).unwrap();
    assert!(bell.wait(Duration::from_secs(5)));
    assert_eq!(there.version().unwrap(), 1);
    assert_eq!(there.snapshot(None).unwrap(), here.snapshot(None).unwrap());
    // A second one, when the watcher has settled.
    here.commit(1, rule("a", 2), "ann", 2).unwrap();
    while there.snapshot(None).unwrap().version < 2 {
        assert!(bell.wait(Duration::from_secs(5)));
    }
    assert_eq!(there.snapshot(Some(1)).unwrap().revisions[0].body, Some(json!({ "value": 1 })));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_database_that_is_replaced_is_an_error_not_an_empty_catalog() {
    let fresh = Fresh::new();
    let catalog = fresh.open().catalog();
    catalog.commit(0, rule("a", 1), "ann", 1).unwrap();
    fresh.collection("commits").delete_one(::mongodb::bson::doc! { "_id": 1 }).run().unwrap();
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
    let fresh = Fresh::new();
    let (clients, turns) = ([fresh.open(), fresh.open()], fresh.turns());
    // Both write the same entities at once; of rule r the one, of rule s the other has the newer verdicts.
    std::thread::scope(|scope| {
        for (writer, client) in clients.iter().enumerate() {
            let (profiles, turns) = (client.profiles(), &turns);
            scope.spawn(move || {
                for round in 1..=5 {
                    let entity = |i: u32| {
                        let offsets = [("r", 10 * round + writer as u64), ("s", 10 * round + 1 - writer as u64)];
                        let rules = offsets.map(|(rule, offset)| (rule.to_owned(), latest(offset, writer)));
                        Profile { key: format!("card-{i}"), rules: BTreeMap::from(rules) }
                    };
                    let _turn = turns.take();
                    profiles
                        .write(&payments(0), (0..20).map(entity).collect(), Offset(100 * round + writer as u64))
                        .unwrap();
                }
            });
        }
    });
    let profiles = clients[0].profiles();
    // Whoever came with an older position was passed over whole, so the last word is the second writer's or both's.
    for i in 0..20 {
        let profile = profiles.get(&payments(0), &format!("card-{i}")).unwrap().unwrap();
        assert_eq!(profile.rules["r"], latest(51, 1), "card-{i}");
        assert!(profile.rules["s"].offset >= Offset(50), "card-{i}");
    }
    // One that slept since long ago, and does not know it.
    let stale = Profile { key: "card-3".to_owned(), rules: BTreeMap::from([("r".to_owned(), latest(7, 0))]) };
    profiles.write(&payments(0), vec![stale], Offset(10_000)).unwrap();
    assert_eq!(profiles.get(&payments(0), "card-3").unwrap().unwrap().rules["r"], latest(51, 1));
}
