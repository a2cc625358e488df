//! The stored documents as other clients see and alter them.

use std::io::Read as _;

use ::mongodb::bson::{Binary, Bson, doc};
use ::mongodb::options::GridFsBucketOptions;
use assay_core::names::{Digest, Offset};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Catalog, Change, Kind};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use serde_json::{Value, json};

use super::TestDatabase;
use super::contract::{payments, place};

fn set(name: &str, body: Value) -> Change {
    Change::from_json(Kind::Rule, name, body)
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn bodies_round_trip_exactly() {
    let database = TestDatabase::new();
    let body: Value = serde_json::from_str(
        r#"{"z": 1, "a": 1.0, "neg": -0.0, "i64": -9223372036854775808, "u64": 18446744073709551615, "big": 1e300,
            "small": 5e-324, "third": 0.1, "int32": 2147483648, "list": [1, 1.0, [2, [3.0]], {"x": null}],
            "schema": {"$schema": "https://json-schema.org", "properties": {"a.b": {"$ref": "x"}}}, "": true,
            "__json": "5", "text": "é \u0000 end"}"#,
    )
    .unwrap();
    let catalog = database.open().catalog();
    catalog.commit(0, vec![set("a", body.clone()), set("b", json!([body.clone()]))], "ann", -5).unwrap();
    // Another client reads them from the database. Text also shows the order of fields and the sign of zero.
    let read = database.open().catalog().snapshot(None).unwrap();
    let text = |name: &str| read.get(Kind::Rule, name).unwrap().definition.as_ref().unwrap().to_json().to_string();
    assert_eq!(text("a"), body.to_string());
    assert_eq!(text("b"), format!("[{body}]"));
    assert_eq!(read.get(Kind::Rule, "a").unwrap().at, -5);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn definitions_can_be_read_by_others() {
    let database = TestDatabase::new();
    let definitions = database.collection("definitions");
    let find = |id: &str| definitions.find_one(doc! { "_id": id }).run().unwrap().unwrap();
    let catalog = database.open().catalog();
    catalog.commit(0, vec![set("a", json!({ "high": 0.5 })), set("b", json!({}))], "ann", 1).unwrap();
    let deleted = Change::delete(Kind::Rule, "b");
    catalog.commit(1, vec![set("a", json!({ "high": 0.9 })), deleted], "bob", 2).unwrap();
    let a = find("rule/a");
    assert_eq!(a.get_document("body").unwrap(), &doc! { "high": 0.9 });
    assert_eq!(
        (a.get_str("status").unwrap(), a.get_i64("revision").unwrap(), a.get_i64("version").unwrap()),
        ("current", 2, 2)
    );
    assert_eq!(find("rule/b").get_str("status").unwrap(), "deleted");
    let audit = database.collection("commits").find_one(doc! { "author": "bob" }).run().unwrap().unwrap();
    assert_eq!(audit.get_i64("_id").unwrap(), 2);
    // A process that died between its commit and the projection: the next start projects again.
    definitions.delete_many(doc! {}).run().unwrap();
    database.collection("positions").delete_one(doc! { "_id": "definitions" }).run().unwrap();
    database.open();
    assert_eq!(find("rule/a"), a);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn damaged_artifacts_are_refused_and_repaired_by_another_upload() {
    let database = TestDatabase::new();
    let catalog = database.open().catalog();
    let artifact: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
    let digest = catalog.put_artifact(&artifact).unwrap();
    // Any GridFS client finds it by its digest.
    let bucket = database.raw().gridfs_bucket(GridFsBucketOptions::builder().bucket_name("plugins".to_owned()).build());
    let mut downloaded = Vec::new();
    bucket.open_download_stream_by_name(digest.to_string()).run().unwrap().read_to_end(&mut downloaded).unwrap();
    assert_eq!(downloaded, artifact);
    // One flipped bit.
    let chunks = database.collection("plugins.chunks");
    let second = doc! { "files_id": digest.to_string(), "n": 1 };
    let chunk = chunks.find_one(second.clone()).run().unwrap().unwrap();
    let Some(Bson::Binary(data)) = chunk.get("data") else { panic!("{chunk}") };
    let mut flipped: Binary = data.clone();
    flipped.bytes[1000] ^= 1;
    chunks.update_one(second.clone(), doc! { "$set": { "data": flipped } }).run().unwrap();
    let refused = catalog.artifact(&digest).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Broken { message, .. } if message.contains(&digest.to_string())),
        "{refused}"
    );
    catalog.put_artifact(&artifact).unwrap();
    assert_eq!(catalog.artifact(&digest).unwrap(), Some(artifact.clone()));
    // A missing chunk, and an upload that ended before the file was written.
    chunks.delete_one(second).run().unwrap();
    assert!(catalog.artifact(&digest).is_err());
    database.collection("plugins.files").delete_many(doc! {}).run().unwrap();
    assert_eq!(catalog.artifact(&digest).unwrap(), None);
    assert_eq!(catalog.put_artifact(&artifact).unwrap(), Digest::of(&artifact));
    assert_eq!(catalog.artifact(&digest).unwrap(), Some(artifact));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn long_letters_are_truncated() {
    let database = TestDatabase::new();
    let letters = database.open().dead_letters();
    let letter = DeadLetter {
        stream: "payments".to_owned(),
        place: place(0, 1),
        time: 0,
        key: "k".repeat(17 << 20),
        id: "p-1".to_owned(),
        rule: None,
        sink: None,
        revision: None,
        plugin: None,
        digest: None,
        code: "unreadable".to_owned(),
        message: "é".repeat(20 << 20),
    };
    letters.write(&payments(0), &[letter], Offset(1)).unwrap();
    let stored = letters.list(&DeadLetterQuery { limit: 10, ..DeadLetterQuery::default() }).unwrap().items;
    assert!(stored[0].message.ends_with("[cut: it has 41943040 bytes]"));
    let raw = database.collection("dead_letters").find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!(raw.get_array("cut").unwrap(), &vec![Bson::from("key"), Bson::from("message")]);
}
