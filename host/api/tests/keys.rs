//! Keys and ids: what is refused at the door, and that all others are reached through every route.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use assay_core::names::{MAX_KEY_BYTES, PartitionIndex};
use assay_core::schema::{Encoder, Schema};
use assay_engine::ports::log::{Durability, Records, Topic};
use serde_json::{Value, json};
use support::{Server, encoded, payment};

const EVENTS: &str = "/v1/streams/payments/events";

/// Keys that no event may have, each with a part of what is said of it.
fn bad_keys() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), "an empty one"),
        ("k".repeat(MAX_KEY_BYTES + 1), "found 1025 bytes"),
        ("é".repeat(35_000), "found 70000 bytes"),
        (".".to_owned(), "no URL can name it"),
        ("..".to_owned(), "no URL can name it"),
    ]
}

#[test]
fn a_bad_key_or_id_is_refused_by_name_and_costs_no_neighbour() {
    let server = Server::start();
    server.define_payments();
    for (bad, says) in bad_keys() {
        for field in ["card", "id"] {
            let mut event = payment("p2", "c", 20.0, 2);
            event[field] = json!(bad);
            let events = [payment("p1", "c", 20.0, 1), event, payment("p3", "c", 20.0, 3)];
            let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
            for answer in [server.post(EVENTS, &json!(events)), server.ndjson(EVENTS, &lines)] {
                let answer = answer.expect(202);
                assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{answer}");
                let error = &answer["errors"][0];
                assert_eq!(
                    (&error["row"], &error["code"], &error["field"]),
                    (&json!(2), &json!("event-key-invalid"), &json!(field))
                );
                assert!(error["message"].as_str().unwrap().contains(says), "{error}");
            }
        }
    }
    let error = server.post(EVENTS, &json!({"id": "p", "card": "c", "amount": 1.0})).problem(422, "invalid-events");
    assert_eq!(
        (&error["errors"][0]["code"], &error["errors"][0]["field"]),
        (&json!("event-malformed"), &json!("time"))
    );
    server.until("/readyz", |answer| answer.status == 200);
}

#[test]
fn odd_keys_and_ids_are_reached_through_every_route() {
    let server = Server::start();
    server.define_payments();
    let longest = "é".repeat(MAX_KEY_BYTES / 2);
    let odd = [
        "a/b",
        "a b",
        "a+b",
        "%2F",
        "?x=1",
        "#",
        "...",
        "./a",
        "a/../b",
        "é",
        "e\u{301}",
        "\u{1f600}",
        "a\u{0}b",
        "\n",
        " ",
        "\"",
        "\\",
        ";",
        "a,b",
        "0-0",
        "events",
        "-",
        "~",
        "|",
        &longest,
    ];
    for key in odd {
        let path = encoded(key);
        server.post(&format!("{EVENTS}?wait=verdicts&timeout=30s"), &payment(key, key, 600.0, 1)).expect(200);
        let judged = |answer: &support::Answer| answer.status == 200 && answer.json()["rules"]["big"].is_object();
        let entity = server.until(&format!("/v1/entities/payments/{path}"), judged);
        assert_eq!((&entity["key"], &entity["rules"]["big"]["event"]), (&json!(key), &json!(key)));
        let one = |answer: &support::Answer| {
            answer.status == 200 && answer.json()["items"].as_array().is_some_and(|items| items.len() == 1)
        };
        for list in ["events", "verdicts"] {
            server.until(&format!("/v1/entities/payments/{path}/{list}"), one);
        }
        let values = server.get(&format!("/v1/views/card_spend/values?key={path}")).expect(200);
        assert_eq!(values["measures"]["payments"], 1, "{key:?}");
        let explained = server.until(&format!("/v1/events/payments/{path}"), |answer| answer.status == 200);
        assert_eq!(explained["events"][0]["event"]["card"], key);
        let deleted = server.delete(&format!("/v1/entities/payments/{path}")).expect(200);
        assert_eq!(deleted["events"], 1, "{key:?}");
    }
}

/// Whatever writes to the log beside ingest: the event is a dead letter, and stops nothing.
#[test]
fn bad_keys_in_the_log_and_of_derived_streams_are_dead_letters() {
    let server = Server::start();
    server.define_payments();
    let derived = "{ stream: by_merchant, from: orders, key: merchant, partitions: 1 }";
    let orders =
        support::PAYMENTS.replace("payments", "orders").replace("amount, type: double", "merchant, type: string");
    server.put_yaml("/v1/streams/orders", &orders).expect(201);
    server.put_yaml("/v1/streams/by_merchant", derived).expect(201);
    let rule = "{ rule: all, stream: by_merchant, score: '1.0' }";
    server.put_yaml("/v1/rules/all", rule).expect(201);
    let order = |id: &str, merchant: &str| json!({"id": id, "card": "c", "merchant": merchant, "time": 1});
    for (number, (bad, _)) in bad_keys().into_iter().enumerate() {
        server.post("/v1/streams/orders/events", &order(&format!("o{number}"), &bad)).expect(202);
    }
    server.post("/v1/streams/orders/events", &order("good", "m")).expect(202);
    server.until("/v1/entities/by_merchant/m", |answer| answer.status == 200);
    // The empty one has no entity there, and is passed over.
    let letters = server.until("/v1/dead-letters?stream=by_merchant", |answer| {
        answer.json()["items"].as_array().is_some_and(|items| items.len() == bad_keys().len() - 1)
    });
    for letter in letters["items"].as_array().unwrap() {
        assert_eq!((&letter["code"], &letter["rule"]), (&json!("event-key-invalid"), &Value::Null), "{letter}");
        assert!(letter["message"].as_str().unwrap().starts_with("field `merchant`: "), "{letter}");
    }

    let schema = server.engine.catalog().plan().streams["payments"].schema.clone();
    let mut records = Records::default();
    for (bad, _) in bad_keys() {
        records.push(&avro(&schema, &payment("p", &bad, 1.0, 1)));
        records.push(&avro(&schema, &payment(&bad, "c", 1.0, 1)));
    }
    records.push(&avro(&schema, &payment("after", "d", 600.0, 1)));
    let log = &server.store.ports().log;
    log.append("payments", Topic::Events, vec![(PartitionIndex(1), records)], Durability::Synced).unwrap();
    let letters = server.until("/v1/dead-letters?stream=payments", |answer| {
        answer.json()["items"].as_array().is_some_and(|items| items.len() == 2 * bad_keys().len())
    });
    assert!(letters["items"].as_array().unwrap().iter().all(|letter| letter["code"] == "event-key-invalid"));
    server.until("/v1/events/payments/after", |answer| {
        answer.status == 200 && answer.json()["events"][0]["judged"] == true
    });
    server.until("/readyz", |answer| answer.status == 200);
}

fn avro(schema: &Schema, event: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(schema).encode_value(event, &mut out).unwrap();
    out
}

/// One UUID is one entity and one id, in whatever case and format it comes, and is asked for.
#[test]
fn a_uuid_in_two_cases_is_one_entity() {
    let server = Server::start();
    let small = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let capital = small.to_uppercase();
    for (stream, kind) in [
        ("texts", json!({"type": "string", "logicalType": "uuid"})),
        ("fixeds", json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"})),
    ] {
        let schema = json!({"type": "record", "name": "E", "fields": [
            {"name": "card", "type": kind},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ]});
        let body = json!({"stream": stream, "key": "card", "id": "card", "time": "time", "schema": schema});
        server.put(&format!("/v1/streams/{stream}"), &body).expect(201);
        let view = json!({"view": format!("v_{stream}"), "stream": stream, "by": ["card"], "measures": {"n": "count()"}, "over": "1h"});
        server.put(&format!("/v1/views/v_{stream}"), &view).expect(201);
        let events = format!("/v1/streams/{stream}/events");
        server.post(&events, &json!([{"card": small, "time": 1}, {"card": capital, "time": 2}])).expect(202);
        server.ndjson(&events, &format!("{}\n", json!({"card": capital, "time": 3}))).expect(202);
        let mut expected = 3;
        if stream == "texts" {
            // In a file the text is as it was written.
            let plain = r#"{"type":"record","name":"E","fields":[{"name":"card","type":"string"},{"name":"time","type":"long"}]}"#;
            for schema in [plain, &plain.replace(r#""string""#, r#"{"type":"string","logicalType":"uuid"}"#)] {
                let parsed = Schema::parse(schema).unwrap();
                let record = avro(&Schema::parse(plain).unwrap(), &json!({"card": capital, "time": 4}));
                let file = support::avro_file(parsed.json(), &[record]);
                server.send("POST", &events, Some(&server.admin), Some(("application/avro", &file))).expect(202);
                expected += 1;
            }
        }
        for asked in [small, &capital] {
            let full = |answer: &support::Answer| {
                answer.json()["items"].as_array().is_some_and(|items| items.len() == expected)
            };
            let history = server.until(&format!("/v1/entities/{stream}/{asked}/events"), full);
            assert!(
                history["items"].as_array().unwrap().iter().all(|item| item["event"]["card"] == small),
                "{history}"
            );
            let counted = |answer: &support::Answer| answer.json()["measures"]["n"] == expected;
            server.until(&format!("/v1/views/v_{stream}/values?key={asked}"), counted);
            let entity = server.get(&format!("/v1/entities/{stream}/{asked}")).expect(200);
            assert_eq!(entity["key"], small);
            let explained = server.get(&format!("/v1/events/{stream}/{asked}")).expect(200);
            assert_eq!(explained["events"].as_array().unwrap().len(), expected);
        }
        assert_eq!(server.delete(&format!("/v1/entities/{stream}/{capital}")).expect(200)["events"], expected);
    }
}
