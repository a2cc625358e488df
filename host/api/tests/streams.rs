//! Whatever definition of a stream is taken, its events flow: generated definitions through the whole server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::{Server, encoded};

/// How many definitions are tried.
const DEFINITIONS: usize = 50;

/// A field's type, with its value in the events of an entity.
#[derive(Clone, Copy, Debug)]
struct Kind {
    schema: fn(&str) -> Value,
    value: fn(u64) -> Value,
    default: fn() -> Value,
}

fn logical(base: &str, name: &str) -> Value {
    json!({"type": base, "logicalType": name})
}

fn kind(schema: fn(&str) -> Value, value: fn(u64) -> Value, default: fn() -> Value) -> Kind {
    Kind { schema, value, default }
}

fn kinds() -> Vec<Kind> {
    let time = |_: u64| json!(1_700_000_000_000_i64);
    let zero = || json!(0);
    let uuid = |n: u64| json!(format!("F81D4FAE-7dec-11d0-a765-00a0c91e6bf{}", n % 10));
    vec![
        kind(|_| json!("string"), |n| json!(format!("text/{n} %")), || json!("x")),
        kind(|_| json!("int"), |n| json!(n), zero),
        kind(|_| json!("long"), |n| json!(-9_007_199_254_740_993 - n as i64), zero),
        kind(|_| json!("boolean"), |n| json!(n == 0), || json!(true)),
        kind(|_| json!("double"), |n| json!(n as f64 + 0.5), || json!(0.5)),
        kind(|_| json!("bytes"), |_| json!("\u{ff}"), || json!("")),
        kind(
            |name| json!({"type": "enum", "name": format!("E_{name}"), "symbols": ["S0", "S1"]}),
            |n| json!(format!("S{}", n % 2)),
            || json!("S1"),
        ),
        kind(|_| logical("string", "uuid"), uuid, || json!("f81d4fae-7dec-11d0-a765-00a0c91e6bff")),
        kind(
            |name| json!({"type": "fixed", "name": format!("F_{name}"), "size": 16, "logicalType": "uuid"}),
            uuid,
            || json!("0123456789abcdef"),
        ),
        kind(|_| logical("int", "date"), |n| json!(n), zero),
        kind(|_| logical("int", "time-millis"), |n| json!(n), zero),
        kind(
            |_| json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}),
            |n| json!(format!("{n}.25")),
            || json!("\u{1}"),
        ),
        kind(|_| json!({"type": "array", "items": "string"}), |_| json!(["a"]), || json!([])),
        kind(|_| logical("long", "timestamp-millis"), time, zero),
        kind(|_| logical("long", "timestamp-micros"), time, zero),
        kind(|_| logical("long", "timestamp-nanos"), time, zero),
        kind(|_| logical("long", "local-timestamp-millis"), time, zero),
    ]
}

/// One field of an event.
#[derive(Clone, Debug)]
struct Field {
    kind: Kind,
    /// 0: plain; 1: or null, with null as its default; 2: with a default.
    way: u8,
    /// 0: in the event; 1: in a record of it; 2: in one that may be null.
    place: u8,
}

#[derive(Clone, Debug)]
struct Definition {
    fields: Vec<Field>,
    key: usize,
    id: Option<usize>,
    time: usize,
    format: &'static str,
    partitions: u32,
    /// The keys of derived streams.
    derived: Vec<usize>,
}

fn field_of(kinds: Vec<Kind>) -> impl Strategy<Value = Field> {
    (prop::sample::select(kinds), 0_u8..3, 0_u8..3).prop_map(|(kind, way, place)| Field { kind, way, place })
}

/// Any definition. Mostly the first field can be a key and is it, and the last one is the time; often the key is the id.
fn definition() -> impl Strategy<Value = Definition> {
    let all = kinds();
    let keys: Vec<Kind> = [0, 1, 2, 6, 7, 8, 9, 10].map(|place| all[place]).to_vec();
    let times = all[13..].to_vec();
    let fields =
        (field_of(keys), prop::collection::vec(field_of(all), 2), prop::collection::vec(field_of(times), 1..3));
    let key = prop_oneof![4 => Just(0_usize), 1 => 0_usize..4];
    let id = prop_oneof![2 => Just(None::<usize>), 2 => Just(Some(0_usize)), 1 => (0_usize..4).prop_map(Some)];
    let time = prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..4];
    let format = prop::sample::select(vec!["confluent", "single-object", "avro", "json"]);
    let derived = prop::collection::vec(prop_oneof![1 => Just(0_usize), 1 => 0_usize..5], 0..2);
    (fields, (key, id, time), format, 1_u32..3, derived).prop_map(
        |((first, others, times), (key, id, time), format, partitions, derived)| {
            let fields: Vec<Field> = std::iter::once(first).chain(others).chain(times).collect();
            let time = time.min(fields.len() - 1);
            Definition { fields, key, id, time, format, partitions, derived }
        },
    )
}

impl Definition {
    fn path(&self, field: usize) -> String {
        match self.fields.get(field).map(|field| field.place) {
            Some(0) => format!("f{field}"),
            Some(1) => format!("inner.f{field}"),
            Some(_) => format!("maybe.f{field}"),
            None => "origin.offset".to_owned(),
        }
    }

    fn schema(&self) -> Value {
        let fields = |place: u8| -> Vec<Value> {
            let fields = self.fields.iter().enumerate().filter(|(_, field)| field.place == place);
            let field = |(index, field): (usize, &Field)| {
                let name = format!("f{index}");
                let kind = (field.kind.schema)(&name);
                match field.way {
                    0 => json!({"name": name, "type": kind}),
                    1 => json!({"name": name, "type": ["null", kind], "default": null}),
                    _ => json!({"name": name, "type": kind, "default": (field.kind.default)()}),
                }
            };
            fields.map(field).collect()
        };
        let record = |name: &str, place: u8| json!({"type": "record", "name": name, "fields": fields(place)});
        let mut all = fields(0);
        all.push(json!({"name": "inner", "type": record("Inner", 1)}));
        all.push(json!({"name": "maybe", "type": ["null", record("Maybe", 2)]}));
        json!({"type": "record", "name": "Event", "fields": all})
    }

    fn body(&self, name: &str) -> Value {
        let mut body = json!({
            "stream": name, "key": self.path(self.key), "time": self.path(self.time), "format": self.format,
            "partitions": self.partitions, "schema": self.schema(),
        });
        if let Some(id) = self.id {
            body["id"] = json!(self.path(id));
        }
        body
    }

    fn event(&self, number: u64) -> Value {
        let mut event = json!({"inner": {}, "maybe": {}});
        for (index, field) in self.fields.iter().enumerate() {
            let value = (field.kind.value)(number);
            let name = format!("f{index}");
            match field.place {
                0 => event[name] = value,
                1 => event["inner"][name] = value,
                _ => event["maybe"][name] = value,
            }
        }
        event
    }
}

/// Adds a view and a rule to a stream.
fn count(server: &Server, stream: &str, key: &str) {
    let view = json!({"view": format!("v_{stream}"), "stream": stream, "by": [key], "measures": {"n": "count()"}, "over": "1h"});
    let rule = json!({"rule": format!("r_{stream}"), "stream": stream, "score": format!("double(views.v_{stream}.n)")});
    server.put(&format!("/v1/views/v_{stream}"), &view).expect(201);
    server.put(&format!("/v1/rules/r_{stream}"), &rule).expect(201);
}

fn check(server: &Server, number: usize, definition: &Definition) -> bool {
    let name = format!("s{number}");
    let made = server.put(&format!("/v1/streams/{name}"), &definition.body(&name));
    if made.status == 422 {
        made.problem(422, "invalid-definition");
        return false;
    }
    made.expect(201);
    count(server, &name, &definition.path(definition.key));
    let mut derived = Vec::new();
    for key in &definition.derived {
        let (from, key) = (&name, definition.path(*key));
        let name = format!("{from}_by{}", derived.len());
        let body = json!({"stream": name, "from": from, "key": key, "partitions": 1});
        let made = server.put(&format!("/v1/streams/{name}"), &body);
        if made.status == 201 {
            count(server, &name, &key);
            derived.push(name);
        } else {
            made.problem(422, "invalid-definition");
        }
    }
    let events = json!([definition.event(0), definition.event(0), definition.event(1)]);
    let answer = server.post(&format!("/v1/streams/{name}/events?wait=verdicts&timeout=30s"), &events).expect(200);
    assert_eq!((&answer["accepted"], &answer["note"]), (&json!(3), &Value::Null), "{answer}");
    let results = answer["results"].as_array().unwrap();
    let scores: Vec<&Value> = results.iter().map(|result| &result["verdicts"][0]["score"]).collect();
    let is_one_key = results[0]["key"] == results[2]["key"];
    assert_eq!(scores, [&json!(1.0), &json!(2.0), &json!(if is_one_key { 3.0 } else { 1.0 })], "{definition:?}");
    let key = results[0]["key"].as_str().unwrap();
    let has_events = |answer: &support::Answer| {
        answer.status == 200
            && answer.json()["items"].as_array().is_some_and(|items| items.len() == if is_one_key { 3 } else { 2 })
    };
    server.until(&format!("/v1/entities/{name}/{}/events", encoded(key)), has_events);
    server.until(&format!("/v1/entities/{name}/{}", encoded(key)), |answer| {
        answer.status == 200 && answer.json()["rules"][format!("r_{name}")]["score"].as_f64() >= Some(2.0)
    });
    let place = &results[2]["place"];
    let id =
        results[2]["id"].as_str().map_or_else(|| format!("{}-{}", place["partition"], place["offset"]), str::to_owned);
    server.until(&format!("/v1/events/{name}/{}", encoded(&id)), |answer| answer.status == 200);
    for name in derived {
        let rule = format!("r_{name}");
        server.until(&format!("/v1/scores?rule={rule}"), |answer| {
            let best = answer.json()["items"].as_array().and_then(|items| items.first()?["score"].as_f64());
            answer.status == 200 && best >= Some(2.0)
        });
    }
    true
}

#[test]
fn streams_that_pass_the_check_accept_and_score_events() {
    let server = Server::start();
    let mut runner = TestRunner::deterministic();
    let strategy = definition();
    let taken = (0..DEFINITIONS).filter(|number| {
        let definition = strategy.new_tree(&mut runner).unwrap().current();
        check(&server, *number, &definition)
    });
    let taken = taken.count();
    assert!(taken > DEFINITIONS / 5, "only {taken} of {DEFINITIONS} definitions were taken: they test little");
    server.until("/readyz", |answer| answer.status == 200);
}

/// The cases that broke everything once.
#[test]
fn one_field_may_be_key_and_id_also_of_derived_streams() {
    let server = Server::start();
    let kinds = kinds();
    let field = |kind: usize| Field { kind: kinds[kind], way: 0, place: 0 };
    for (number, kind) in [0, 1, 2, 6, 7, 8].into_iter().enumerate() {
        let fields = vec![field(kind), field(1), field(0), field(13)];
        let definition = Definition {
            fields,
            key: 0,
            id: Some(0),
            time: 3,
            format: "confluent",
            partitions: 2,
            derived: vec![0, 1],
        };
        assert!(check(&server, number, &definition), "{definition:?}");
        // A stream under another key than its id, derived by its id.
        let definition = Definition { key: 1, derived: vec![0], ..definition };
        assert!(check(&server, 100 + number, &definition), "{definition:?}");
    }
    let origin = json!({"stream": "by_origin", "from": "s0", "key": "origin.offset"});
    let problem = server.put("/v1/streams/by_origin", &origin).problem(422, "invalid-definition");
    assert_eq!(problem["problems"][0]["at"], "key", "{problem}");
    server.until("/readyz", |answer| answer.status == 200);
}
