//! The contract of the catalog port.

use std::sync::Arc;
use std::time::Duration;

use assay_core::names::Digest;
use assay_core::rule::RuleDef;
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Definition, Kind, Revision};
use assay_engine::ports::log::WakeSignal;
use serde_json::json;

/// A definition with a number in it.
fn set(kind: Kind, name: &str, value: i64) -> Change {
    let doc = value.to_string();
    let body = match kind {
        Kind::Stream => json!({ "stream": name, "doc": doc, "key": "card", "lateness": "0s" }),
        Kind::View => {
            json!({ "view": name, "doc": doc, "stream": "s", "by": ["card"], "measures": { "n": "count()" } })
        }
        Kind::Rule => json!({ "rule": name, "doc": doc, "stream": "s", "score": "1.0", "mode": "active" }),
        Kind::Plugin => json!({ "digest": Digest::of(b""), "size": value, "manifest": { "z": 1, "a": 2 } }),
        Kind::Key => json!({ "hash": "00", "roles": ["read"], "created": value }),
        Kind::Schema => json!({ "schema": doc, "subjects": { "s-value": 1 } }),
    };
    Change::from_json(kind, name, body)
}

/// The number in a definition.
fn value_of(definition: &Definition) -> String {
    match definition {
        Definition::Stream(def) => def.doc.clone(),
        Definition::View(def) => def.doc.clone(),
        Definition::Rule(def) => def.doc.clone(),
        Definition::Plugin(def) => def.size.to_string(),
        Definition::Key(key) => key.created.to_string(),
        Definition::Schema(stored) => stored.schema.clone(),
        Definition::Damaged(damaged) => damaged.error.clone(),
    }
}

fn delete(kind: Kind, name: &str) -> Change {
    Change::delete(kind, name)
}

fn names(catalog: &dyn Catalog, version: Option<u64>) -> Vec<String> {
    let snapshot = catalog.snapshot(version).unwrap();
    let name = |revision: &Revision| {
        let value = value_of(revision.definition.as_ref().unwrap());
        format!("{} {} r{} = {value}", revision.kind, revision.name, revision.revision)
    };
    snapshot.revisions.iter().map(name).collect()
}

/// Every version stays readable. A deleted definition is absent from the version of its deletion on.
pub fn versions_stay_readable(catalog: &dyn Catalog) {
    assert_eq!(catalog.snapshot(None).unwrap().version, 0);
    catalog
        .commit(0, vec![set(Kind::Rule, "b", 1), set(Kind::Stream, "s", 2), set(Kind::Rule, "a", 3)], "ann", 10)
        .unwrap();
    catalog.commit(1, vec![set(Kind::Rule, "a", 4), delete(Kind::Stream, "s")], "bob", 20).unwrap();
    let third = catalog.commit(2, vec![set(Kind::Stream, "s", 5)], "ann", 30).unwrap();
    assert_eq!(third, catalog.snapshot(None).unwrap());
    assert_eq!(third.version, 3);
    assert_eq!(names(catalog, Some(0)), [""; 0]);
    assert_eq!(names(catalog, Some(1)), ["stream s r1 = 2", "rule a r1 = 3", "rule b r1 = 1"]);
    assert_eq!(names(catalog, Some(2)), ["rule a r2 = 4", "rule b r1 = 1"]);
    assert_eq!(names(catalog, Some(3)), ["stream s r3 = 5", "rule a r2 = 4", "rule b r1 = 1"]);
    assert!(catalog.snapshot(Some(4)).is_err());
    let of_s = catalog.revisions(Kind::Stream, "s").unwrap();
    let revisions: Vec<_> =
        of_s.iter().map(|r| (r.revision, r.version, &r.author[..], r.at, r.definition.is_some())).collect();
    assert_eq!(revisions, [(3, 3, "ann", 30, true), (2, 2, "bob", 20, false), (1, 1, "ann", 10, true)]);
    assert!(catalog.revisions(Kind::View, "s").unwrap().is_empty());
    assert!(catalog.revisions(Kind::Rule, "").unwrap().is_empty());
}

/// A commit against another version than the latest fails with a conflict and changes nothing.
pub fn conflicts_are_refused(catalog: &dyn Catalog) {
    catalog.commit(0, vec![set(Kind::Rule, "a", 1)], "ann", 1).unwrap();
    let refused = catalog.commit(0, vec![set(Kind::Rule, "a", 2)], "bob", 2);
    assert!(matches!(refused, Err(CommitError::Conflict { expected: 0, now: 1 })));
    assert!(catalog.commit(2, vec![set(Kind::Rule, "a", 2)], "bob", 2).is_err());
    assert!(catalog.commit(1, vec![set(Kind::Rule, "b", 2), set(Kind::Rule, "b", 3)], "bob", 2).is_err());
    assert_eq!(names(catalog, None), ["rule a r1 = 1"]);
}

/// A commit that changes nothing makes no version.
pub fn empty_commits_make_no_version(catalog: &dyn Catalog) {
    catalog.commit(0, vec![set(Kind::Rule, "a", 1)], "ann", 1).unwrap();
    assert_eq!(catalog.commit(1, vec![], "ann", 1).unwrap().version, 1);
    assert_eq!(catalog.commit(1, vec![delete(Kind::Rule, "none")], "ann", 1).unwrap().version, 1);
    assert!(catalog.revisions(Kind::Rule, "none").unwrap().is_empty());
}

/// Of concurrent commits exactly one wins each version.
pub fn one_commit_wins_each_version(catalog: &dyn Catalog) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for i in 0..10 {
                    loop {
                        let version = catalog.snapshot(None).unwrap().version;
                        match catalog.commit(version, vec![set(Kind::Rule, "a", i)], &thread.to_string(), i) {
                            Ok(_) => break,
                            Err(CommitError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let revisions = catalog.revisions(Kind::Rule, "a").unwrap();
    assert_eq!(catalog.snapshot(None).unwrap().version, 40);
    assert!(revisions.iter().rev().map(|revision| u64::from(revision.revision)).eq(1..=40));
    assert!(revisions.iter().all(|revision| u64::from(revision.revision) == revision.version));
}

/// Definitions of the same name and different kinds are independent. A snapshot lists them in the order of the kinds.
pub fn every_kind_is_kept_apart(catalog: &dyn Catalog) {
    for (version, kind) in (0..).zip(Kind::ALL.into_iter().rev()) {
        catalog.commit(version, vec![set(kind, "1", i64::from(kind as u8))], "ann", 1).unwrap();
    }
    catalog.commit(6, vec![set(Kind::Schema, "1", 50)], "ann", 2).unwrap();
    let all = ["stream 1 r1 = 0", "view 1 r1 = 1", "rule 1 r1 = 2", "plugin 1 r1 = 3", "key 1 r1 = 4"];
    assert_eq!(names(catalog, Some(6)), [&all[..], &["schema 1 r1 = 5"]].concat());
    assert_eq!(names(catalog, None), [&all[..], &["schema 1 r2 = 50"]].concat());
    for kind in Kind::ALL {
        assert_eq!(catalog.revisions(kind, "1").unwrap().len(), if kind == Kind::Schema { 2 } else { 1 });
    }
}

/// A definition that cannot be read is kept as it is, and hides no other.
pub fn damaged_definitions_are_kept(catalog: &dyn Catalog) {
    let body = json!({ "z": 1, "rule": "a", "scoer": 1.5 });
    let damaged = Change::from_json(Kind::Rule, "a", body.clone());
    assert!(matches!(damaged.definition, Some(Definition::Damaged(_))));
    catalog.commit(0, vec![damaged.clone(), set(Kind::Rule, "b", 2)], "ann", 1).unwrap();
    for version in [None, Some(1)] {
        let snapshot = catalog.snapshot(version).unwrap();
        let kept = snapshot.get(Kind::Rule, "a").unwrap();
        assert_eq!(kept.definition, damaged.definition);
        assert_eq!(kept.definition.as_ref().unwrap().to_json().to_string(), body.to_string());
        assert!(snapshot.find::<RuleDef>("a").is_none() && snapshot.find::<RuleDef>("b").is_some());
    }
    assert_eq!(catalog.revisions(Kind::Rule, "a").unwrap()[0].definition, damaged.definition);
}

/// A commit notifies subscribers; a refused one does not.
pub fn subscribers_are_notified_of_changes(catalog: &dyn Catalog) {
    let wake = Arc::new(WakeSignal::default());
    catalog.on_change(wake.clone());
    assert!(catalog.commit(7, vec![set(Kind::Rule, "a", 1)], "ann", 1).is_err());
    assert!(!wake.wait(Duration::ZERO));
    catalog.commit(0, vec![set(Kind::Rule, "a", 1)], "ann", 1).unwrap();
    assert!(wake.wait(Duration::from_secs(10)));
}

/// Commits definitions and stores artifacts that [`definitions_survive_reopen`] expects.
pub fn write_definitions_before_reopen(catalog: &dyn Catalog) {
    catalog.commit(0, vec![set(Kind::Rule, "a", 1), set(Kind::View, "v", 1)], "ann", 1).unwrap();
    catalog.commit(1, vec![delete(Kind::Rule, "a")], "ann", 2).unwrap();
    let artifact = vec![7; 300_000];
    assert_eq!(catalog.put_artifact(&artifact).unwrap(), Digest::of(&artifact));
    assert_eq!(catalog.put_artifact(&artifact).unwrap(), Digest::of(&artifact));
    catalog.put_artifact(b"").unwrap();
}

/// After a reopen definitions and artifacts are there. Revision numbers continue, also those of deleted definitions.
pub fn definitions_survive_reopen(catalog: &dyn Catalog) {
    assert_eq!(catalog.snapshot(None).unwrap().version, 2);
    assert_eq!(names(catalog, None), ["view v r1 = 1"]);
    catalog.commit(2, vec![set(Kind::Rule, "a", 9)], "ann", 3).unwrap();
    assert_eq!(names(catalog, None), ["view v r1 = 1", "rule a r3 = 9"]);
    let artifact = vec![7; 300_000];
    assert_eq!(catalog.artifact(&Digest::of(&artifact)).unwrap(), Some(artifact));
    assert_eq!(catalog.artifact(&Digest::of(b"")).unwrap(), Some(Vec::new()));
    assert_eq!(catalog.artifact(&Digest::of(b"other")).unwrap(), None);
}
