//! Definitions that other clients insert into the collection `submissions`.

use std::sync::Arc;
use std::time::Duration;

use ::mongodb::bson::{Bson, DateTime, Document, doc};
use assay_engine::ports::catalog::{Catalog, Change, Kind, Submission};
use assay_engine::ports::log::WakeSignal;
use serde_json::json;

use super::TestDatabase;

/// Inserts a submission as a script would. Returns its `_id`.
fn submit(database: &TestDatabase, submission: Document) -> Bson {
    database.collection("submissions").insert_one(submission).run().unwrap().inserted_id
}

fn status(database: &TestDatabase, id: &Bson) -> Document {
    let submission = database.collection("submissions").find_one(doc! { "_id": id }).run().unwrap().unwrap();
    submission.get_document("status").unwrap().clone()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn submissions_are_claimed_and_answered() {
    let database = TestDatabase::new();
    let catalog = database.open().catalog();
    let wake = Arc::new(WakeSignal::default());
    catalog.on_change(wake.clone());
    assert!(catalog.take_submissions().unwrap().is_empty());
    let definition = doc! { "rule": "a", "when": "amount > 1.0", "limit": 5, "high": 0.5, "far": 1_i64 << 40 };
    let good = submit(&database, doc! { "kind": "rule", "name": "a", "definition": definition, "author": "ann" });
    // The `_id` of a submission may be of any type.
    let delete = submit(&database, doc! { "_id": "x", "kind": "view", "name": "v", "definition": null });
    assert!(wake.wait(Duration::from_secs(5)));
    let mut taken: Vec<Submission> = Vec::new();
    while taken.len() < 2 {
        taken.extend(catalog.take_submissions().unwrap());
    }
    taken.sort_by(|a, b| a.change.name.cmp(&b.change.name));
    let body = json!({ "rule": "a", "when": "amount > 1.0", "limit": 5, "high": 0.5, "far": 1_i64 << 40 });
    assert_eq!(taken[0].change, Change::from_json(Kind::Rule, "a", body));
    assert_eq!(taken[1].change, Change::delete(Kind::View, "v"));
    assert_eq!((&taken[0].author[..], &taken[1].author[..]), ("mongodb:ann", "mongodb"));
    assert_eq!(status(&database, &good).get_str("state").unwrap(), "checking");
    catalog.answer_submission(&taken[0].id, Ok(3)).unwrap();
    catalog.answer_submission(&taken[1].id, Err(vec!["no such view".to_owned()])).unwrap();
    let applied = status(&database, &good);
    assert_eq!((applied.get_str("state").unwrap(), applied.get_i64("revision").unwrap()), ("applied", 3));
    let refused = status(&database, &delete);
    assert_eq!(refused.get_str("state").unwrap(), "refused");
    assert_eq!(refused.get_array("errors").unwrap(), &vec![Bson::from("no such view")]);
    assert!(catalog.take_submissions().unwrap().is_empty());
    assert!(catalog.answer_submission("garbage", Ok(1)).is_err());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn malformed_submissions_are_refused_with_all_errors() {
    let database = TestDatabase::new();
    let catalog = database.open().catalog();
    let cases = [
        (doc! { "kind": "rul", "definition": 5, "author": 7 }, &["`kind`", "`name`", "`definition`", "`author`"][..]),
        (doc! { "kind": "rule", "name": "a" }, &["`definition` is missing"][..]),
        (doc! { "kind": "key", "name": "admin", "definition": {} }, &["plugins and keys go through the API"][..]),
        (
            doc! { "kind": "rule", "name": "a", "definition": { "inputs": [{ "at": DateTime::now() }] } },
            &["`definition`.inputs[0].at: it is of BSON's type DateTime"][..],
        ),
    ];
    for (submission, expected) in cases {
        let id = submit(&database, submission);
        assert!(catalog.take_submissions().unwrap().is_empty());
        let status = status(&database, &id);
        assert_eq!(status.get_str("state").unwrap(), "refused");
        let errors: Vec<&str> =
            status.get_array("errors").unwrap().iter().map(|error| error.as_str().unwrap()).collect();
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for part in expected {
            assert!(errors.iter().any(|error| error.contains(part)), "{part} in {errors:?}");
        }
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn each_submission_is_claimed_by_one_client() {
    let database = TestDatabase::new();
    let (clients, writer_lock) = ([database.open(), database.open()], database.writer_lock());
    for i in 0..30 {
        submit(&database, doc! { "kind": "rule", "name": format!("rule-{i}"), "definition": {} });
    }
    let taken = std::thread::scope(|scope| {
        let takers = clients.each_ref().map(|client| {
            let (catalog, writer_lock) = (client.catalog(), &writer_lock);
            scope.spawn(move || {
                let _writer = writer_lock.lock();
                catalog.take_submissions().unwrap()
            })
        });
        takers.map(|taker| taker.join().unwrap())
    });
    let mut names: Vec<&str> = taken.iter().flatten().map(|submission| &submission.change.name[..]).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), taken[0].len() + taken[1].len()), (30, 30));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn expired_claims_are_taken_over() {
    let database = TestDatabase::new();
    let (dead, alive) = (database.open().catalog(), database.open().catalog());
    let id = submit(&database, doc! { "kind": "rule", "name": "a", "definition": {} });
    let taken = dead.take_submissions().unwrap();
    assert_eq!(taken.len(), 1);
    assert!(alive.take_submissions().unwrap().is_empty());
    // The claim expires.
    let long_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 60_000);
    let aged = doc! { "$set": { "status.at": long_ago } };
    database.collection("submissions").update_one(doc! { "_id": &id }, aged).run().unwrap();
    let again = alive.take_submissions().unwrap();
    assert_eq!(again.len(), 1);
    // The answer of the first claimant changes nothing: its claim has expired.
    dead.answer_submission(&taken[0].id, Err(vec!["late".to_owned()])).unwrap();
    assert_eq!(status(&database, &id).get_str("state").unwrap(), "checking");
    alive.answer_submission(&again[0].id, Ok(1)).unwrap();
    assert_eq!(status(&database, &id).get_str("state").unwrap(), "applied");
}
