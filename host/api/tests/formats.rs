//! The same events as JSON, as lines and as Avro files fare alike: a value that the stream cannot hold costs its event.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use assay_core::schema::{Encoder, Schema};
use serde_json::{Value, json};
use support::Server;

const EVENTS: &str = "/v1/streams/sales/events";

fn schema(price: &Value, buyer: &Value) -> Value {
    json!({"type": "record", "name": "Sale", "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": price},
        {"name": "buyer", "type": ["null", buyer, "int"]},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]})
}

fn sales() -> Value {
    let price = json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2});
    schema(&price, &json!({"type": "string", "logicalType": "uuid"}))
}

/// What became of each event: rows that were refused, with code and field.
fn refused(answer: &Value) -> Vec<(Value, Value, Value)> {
    let errors = answer["errors"].as_array().unwrap();
    errors.iter().map(|error| (error["row"].clone(), error["code"].clone(), error["field"].clone())).collect()
}

#[test]
fn a_value_that_the_stream_cannot_hold_costs_its_event_in_every_format() {
    let server = Server::start();
    let body = json!({"stream": "sales", "key": "id", "id": "id", "time": "time", "partitions": 1, "schema": sales()});
    server.put("/v1/streams/sales", &body).expect(201);
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let event = |id: &str, price: &str, buyer: Value| json!({"id": id, "price": price, "buyer": buyer, "time": 1});
    // As JSON, and as the bytes that a writer without logical types has for them.
    let rows = [
        ("one", "1.00", "\u{64}", json!(uuid)),
        ("two", "100.00", "\u{27}\u{10}", json!(uuid)),
        ("three", "-0.01", "\u{ff}", json!("f81d4fae-7dec-11d0-a765-00-0c91e6bf6")),
        ("four", "12.34", "\u{4}\u{d2}", json!(7)),
        ("", "0.00", "\u{0}", Value::Null),
        ("six", "0.00", "\u{0}", Value::Null),
    ];
    let json: Vec<Value> = rows.iter().map(|(id, price, _, buyer)| event(id, price, buyer.clone())).collect();
    let writer = schema(&json!("bytes"), &json!("string"));
    let parsed = Schema::parse_value(&writer).unwrap();
    let records: Vec<Vec<u8>> = rows
        .iter()
        .map(|(id, _, price, buyer)| {
            let mut out = Vec::new();
            Encoder::new(&parsed).encode_value(&event(id, price, buyer.clone()), &mut out).unwrap();
            out
        })
        .collect();
    let file = |schema: &Value| support::avro_file(&schema.to_string(), &records);
    let mut other = sales();
    other["doc"] = json!("another schema, which reads alike");
    let answers = [
        server.post(EVENTS, &json!(json)).expect(202),
        server.ndjson(EVENTS, &json.iter().map(|event| format!("{event}\r\n")).collect::<String>()).expect(202),
        send_file(&server, &file(&sales())),
        send_file(&server, &file(&other)),
        send_file(&server, &file(&writer)),
    ];
    for answer in &answers {
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(3), &json!(3)), "{answer}");
        let expected =
            [(2, "event-malformed", "price"), (3, "event-malformed", "buyer"), (5, "event-key-invalid", "id")];
        assert_eq!(
            refused(answer),
            expected.map(|(row, code, field)| (json!(row), json!(code), json!(field))),
            "{answer}"
        );
    }
    for (id, price, _, buyer) in [&rows[0], &rows[3], &rows[5]] {
        let all = |answer: &support::Answer| {
            answer.status == 200
                && answer.json()["events"].as_array().is_some_and(|events| events.len() == answers.len())
        };
        let stored = server.until(&format!("/v1/events/sales/{id}"), all);
        for stored in stored["events"].as_array().unwrap() {
            assert_eq!(stored["event"], event(id, price, buyer.clone()), "as it was sent");
        }
    }
    // Where the end of a record cannot be found, the rest of its block is refused by name, and the next one is read.
    let broken = [records[0].as_slice(), b"\x06abc\x02\x00\x08", &records[3]].concat();
    let file = support::avro_blocks(&sales().to_string(), &[(3, &broken), (1, &records[5])]);
    let answer = send_file(&server, &file);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(2)), "{answer}");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("the union has no branch 4"), "{answer}");
    assert!(
        answer["errors"][1]["message"].as_str().unwrap().contains("the end of event 2, in the same block"),
        "{answer}"
    );
}

fn send_file(server: &Server, file: &[u8]) -> Value {
    server.send("POST", EVENTS, Some(&server.admin), Some(("application/avro", file))).expect(202)
}

/// Lines as they come from files: each event is taken or refused by its line, and none is lost.
#[test]
fn each_line_is_taken_or_named() {
    let server = Server::start();
    server.define_payments();
    let event = |id: &str| support::payment(id, "c", 1.0, 1).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let with = |part: &str| format!(r#"{{"card":"c","amount":1,"time":1,{part}}}"#);
    let bad = [
        with(r#""id":"a\ud800b""#),
        with(r#""id":"x","id":"y""#),
        with(&format!(r#""id":"x","zz":{deep}"#)),
        with(&format!(r#""id":{deep}"#)),
        r#"{"id":"x","card":"#.to_owned(),
        "// a comment".to_owned(),
        format!("[{}]", event("x")),
        format!("{}{}", event("x"), event("y")),
        "\u{feff}".to_owned() + &event("x"),
    ];
    for bad in bad {
        let body = format!("\u{feff}{}\r\n\r\n{bad}\r\n  \n{}", event("first"), event("last"));
        let answer = server.ndjson("/v1/streams/payments/events", &body).expect(202);
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{bad:.60}");
        assert_eq!(answer["errors"][0]["row"], 3, "{bad:.60}");
    }
    let body = [event("first").as_bytes(), b"\n{\"id\":\"\xff\"}\n", event("last").as_bytes()].concat();
    let kind = "application/x-ndjson";
    let answer =
        server.send("POST", "/v1/streams/payments/events", Some(&server.admin), Some((kind, &body))).expect(202);
    assert_eq!((&answer["accepted"], &answer["errors"][0]["row"]), (&json!(2), &json!(2)));
    let separator = with("\"id\":\"a\u{2028}b\u{85}c\"");
    assert_eq!(server.ndjson("/v1/streams/payments/events", &separator).expect(202)["accepted"], 1);
}
