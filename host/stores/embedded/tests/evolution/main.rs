//! A stream's schema changes while events arrive: each event is read with the schema that it was written in, also after
//! restarts and recoveries, and the verdicts equal those of an engine without changes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "../manual_membership/mod.rs"]
mod manual_membership;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::StreamDef;
use assay_core::value::Value as Measured;
use assay_core::verdict::Outcome;
use assay_embedded::{Config, Embedded};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{ChangeError, resolve_to_newest};
use serde_json::{Value, json};

use manual_membership::ManualMembership;
use support::{
    CARDS, PARTITIONS, change, count_derived_events, count_events_by_schema, define, event, history, ingest, outcomes,
    schema_of, schemas, start, stream, wait_until,
};

#[test]
fn the_schema_changes_while_events_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let member = Arc::new(ManualMembership::default());
    let engine = start(Ports { membership: member.clone(), ..store.ports() });
    define(&engine);
    let all: Vec<PartitionId> =
        ["payments", "by_device"].iter().flat_map(|stream| engine.queries().partitions_of(stream).unwrap()).collect();
    let owner = || member.owner();
    owner().assign(all.clone());
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let from = sent.load(Ordering::SeqCst);
                ingest(&engine, from..from + 10);
                sent.store(from + 10, Ordering::SeqCst);
            }
        });
        for (round, number) in [1, 2, 3, 2, 3, 2, 3, 2, 3].into_iter().enumerate() {
            let mark = sent.load(Ordering::SeqCst) + 200;
            wait_until("events come in", || sent.load(Ordering::SeqCst) > mark);
            // A simulated crash before the change, so that recovery needs the old plan; or one after it; or none.
            let dies = round % 3;
            if dies > 0 {
                owner().lose(all.clone());
            }
            if dies == 1 {
                owner().assign(all.clone());
            }
            engine.catalog().change(vec![stream(&schemas()[number])], "test", None, false).unwrap();
            if dies == 2 {
                let mark = sent.load(Ordering::SeqCst) + 50;
                wait_until("events of the new schema come in", || sent.load(Ordering::SeqCst) > mark);
                owner().assign(all.clone());
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    let count = sent.load(Ordering::SeqCst);
    wait_until("all events are judged", || outcomes(&store.ports()).len() as u64 == count);
    let of_schemas = count_events_by_schema(&store.ports());
    assert_eq!(of_schemas.values().sum::<u64>(), count);
    assert!(of_schemas.len() >= 9, "{of_schemas:?}");
    assert_eq!(
        engine.catalog().plan().streams["by_device"].def.earlier.len(),
        9,
        "the derived stream has changed with it"
    );
    engine.shutdown();
    store.shutdown().unwrap();
    // The membership holds the engine, and the engine holds the folder.
    member.drop_owner();
    drop((engine, store));

    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let engine = start(store.ports());
    ingest(&engine, count..count + 100);
    let count = count + 100;
    wait_until("all events are judged after a restart", || outcomes(&store.ports()).len() as u64 == count);

    let plain = tempfile::tempdir().unwrap();
    let plain = Embedded::open(plain.path(), &Config::default()).unwrap();
    let undisturbed = start(plain.ports());
    define(&undisturbed);
    for from in (0..count).step_by(10) {
        ingest(&undisturbed, from..from + 10);
    }
    wait_until("all events are judged without changes", || outcomes(&plain.ports()).len() as u64 == count);
    let (expected, found) = (outcomes(&plain.ports()), outcomes(&store.ports()));
    for (id, outcome) in &expected {
        let scores = |outcome: &Outcome| outcome.verdicts.iter().map(|verdict| verdict.score).collect::<Vec<_>>();
        assert_eq!(found.get(id).map(scores), Some(scores(outcome)), "{id}");
    }
    for card in (0..CARDS).map(|card| format!("card-{card}")) {
        let [values, expected] =
            [&engine, &undisturbed].map(|engine| engine.queries().view("spend", &card, None).unwrap());
        assert_eq!(values.measures, expected.measures);
    }
    wait_until("all are in the derived stream", || count_derived_events(&store.ports()) >= count);
    assert_eq!(count_derived_events(&store.ports()), count, "the log of the derived stream has each event once");
    let of_device = (0..count).filter(|number| number % 7 == 3).count();
    wait_until("devices are counted", || {
        engine.queries().view("seen", "device-3", None).unwrap().measures[0].1 == Measured::Int(of_device as i64)
    });
    let of_card = (0..count).filter(|number| number.wrapping_mul(31) % CARDS == 7).count();
    for (name, key, expected) in [("payments", "card-7", of_card), ("by_device", "device-3", of_device)] {
        wait_until("the archive has all", || history(&engine, &store.ports(), name, key).len() == expected);
        for event in history(&engine, &store.ports(), name, key) {
            let names: Vec<&String> = event.as_object().unwrap().keys().collect();
            assert_eq!(event["country"], "??");
            assert!(event.get("note").is_none() && event["n"].is_f64() && event["level"] == "low", "{names:?}");
        }
    }
    engine.shutdown();
    undisturbed.shutdown();
}

/// A reader with an old plan stops before events of later schemas.
#[test]
fn events_are_never_read_with_an_older_schema() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let engine = start(store.ports());
    define(&engine);
    ingest(&engine, 0..10);
    let old = engine.catalog().plan();
    // The request begins before the change and is submitted after it.
    let mut slow = engine.ingest().begin("payments").unwrap();
    slow.push_json(event(10).to_string().as_bytes()).unwrap();
    engine.catalog().change(vec![stream(&schemas()[1])], "test", None, false).unwrap();
    ingest(&engine, 11..60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(slow.submit().unwrap().durable()).unwrap();
    wait_until("all events are judged", || outcomes(&store.ports()).len() == 60);
    let mut readable = 0;
    for partition in (0..PARTITIONS).map(PartitionIndex) {
        let blocks = store.ports().log.read("payments", Topic::Events, partition, Offset(0), 1000, 1 << 24).unwrap();
        let by_old = resolve_to_newest(&old.streams["payments"].history, blocks.clone());
        assert!(by_old.iter().all(|block| block.schema == 0));
        readable += by_old.iter().map(Records::len).sum::<usize>();
        let now = resolve_to_newest(&engine.catalog().plan().streams["payments"].history, blocks);
        assert!(now.iter().all(|block| block.schema == 1 && block.refused.is_empty()));
    }
    assert_eq!(readable, 10);
    engine.shutdown();
}

/// Widening a field from int to double resets the views that use it, and no others.
#[test]
fn widening_a_field_resets_only_its_views() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let engine = start(store.ports());
    define(&engine);
    let points = json!({ "view": "points", "stream": "payments", "by": ["card"], "measures": { "sum": "sum(n)" } });
    let rule = json!({ "rule": "points", "stream": "payments", "score": "double(views.points.sum)" });
    engine
        .catalog()
        .change(vec![change(Kind::View, "points", points), change(Kind::Rule, "points", rule)], "test", None, false)
        .unwrap();
    let score = |id: &str| {
        wait_until("it is judged", || outcomes(&store.ports()).contains_key(id));
        let outcome = outcomes(&store.ports()).remove(id).unwrap();
        outcome
            .verdicts
            .iter()
            .map(|verdict| (verdict.by.rule.clone(), verdict.score.unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    ingest(&engine, 0..1);
    ingest(&engine, CARDS..CARDS + 1);
    assert_eq!(score("p50")["points"], 2.0);
    // int and long are the same type in expressions.
    engine.catalog().change(vec![stream(&schemas()[1])], "test", None, false).unwrap();
    ingest(&engine, 2 * CARDS..2 * CARDS + 1);
    assert_eq!(score("p100")["points"], 4.0, "1, 1 and the new default");
    engine.catalog().change(vec![stream(&schemas()[3])], "test", None, false).unwrap();
    ingest(&engine, 3 * CARDS..3 * CARDS + 1);
    let scores = score("p150");
    assert_eq!(scores["points"], 3.5, "begun anew");
    assert_eq!(scores["total"], 300.0 / 8.0 + 4.0, "the other view goes on");
    engine.shutdown();
}

#[test]
fn schemas_that_cannot_read_the_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let engine = start(store.ports());
    define(&engine);
    let refused = |change: Change| match engine.catalog().change(vec![change], "test", None, false) {
        Err(ChangeError::Invalid(problems)) => {
            problems.iter().map(|problem| format!("{}: {}", problem.at, problem.message)).collect::<Vec<_>>().join("\n")
        }
        other => panic!("{other:?}"),
    };
    let new = |field: Value| stream(&json!([field, { "name": "n", "type": "int", "default": 1 }]));
    let advice = "Keep fields that are used, give new ones a default, widen types only; or make a new stream";
    assert_eq!(
        refused(new(json!({ "name": "must", "type": "string" }))),
        format!(
            "schema: it cannot read the events that were written with its schema so far: field `must`: the writer does \
             not have it, and the reader has no default for it. {advice}"
        )
    );
    let narrow = stream(&json!([{ "name": "n", "type": "string", "default": "" }]));
    assert!(refused(narrow).contains("field `n`: the writer's int cannot be read as the reader's string"));
    let mut other_key = stream(&schemas()[0]);
    let replace = |change: &mut Change, name: &str, kind: Value| {
        let fields = schema_of(change)["fields"].as_array_mut().unwrap();
        fields.iter_mut().find(|field| field["name"] == name).unwrap()["type"] = kind;
    };
    replace(&mut other_key, "card", json!("bytes"));
    assert_eq!(
        refused(other_key),
        "schema: field `card` is the stream's key and was of type string, which must stay: field `card` is bytes, \
         which cannot be used as a column (yet)"
    );
    let mut untimed = stream(&schemas()[0]);
    replace(&mut untimed, "at", json!("long"));
    assert_eq!(
        refused(untimed),
        "schema: field `at` is the stream's time and was of type timestamp, which must stay: it is of type int now"
    );
    // A view of the derived stream also uses the field.
    let mut gone = stream(&schemas()[0]);
    schema_of(&mut gone)["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "amount");
    let problems = refused(gone);
    assert!(problems.contains("amount"), "{problems}");
    // The schema must read events of all earlier schemas, not only of the last one.
    let level = |symbols: Value| {
        stream(&json!([{ "name": "level", "type": ["null", { "type": "enum", "name": "level",
        "symbols": symbols }], "default": null }]))
    };
    engine.catalog().change(vec![level(json!(["a", "b"]))], "test", None, false).unwrap();
    engine.catalog().change(vec![stream(&json!([]))], "test", None, false).unwrap();
    let problem = refused(level(json!(["a"])));
    assert!(problem.contains("its schema number 1: field `level`"), "{problem}");
    let twice = engine.catalog().change(vec![stream(&json!([]))], "test", None, false).unwrap();
    assert_eq!((twice.unchanged, twice.revisions.len()), (1, 0));
    // A client may send back the fields that the server added.
    let def = engine.catalog().snapshot().find::<StreamDef>("payments").unwrap().clone();
    assert_eq!(def.earlier.len(), 2);
    let same = engine.catalog().change(vec![Change::set("payments", def)], "test", None, false).unwrap();
    assert_eq!(same.unchanged, 1);
    engine.shutdown();
}
