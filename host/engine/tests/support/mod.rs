//! A small stream of payments, and how to score it offline.

#![allow(dead_code, reason = "each test file uses a part of it")]

use assay_core::schema::{Encoder, Schema};
use assay_engine::offline::Offline;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{ChangeError, Problem};
use assay_runtime::{Limits, Runtime, RuntimeConfig};
use serde_json::{Value, json};

pub(crate) fn change(kind: Kind, name: &str, body: Value) -> Change {
    Change::from_json(kind, name, body)
}

pub(crate) fn schema() -> Value {
    json!({ "type": "record", "name": "Payment", "fields": [
        { "name": "id", "type": "string" },
        { "name": "card", "type": "string" },
        { "name": "amount", "type": "double" },
        { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ] })
}

pub(crate) fn stream() -> Change {
    let body = json!({
        "stream": "payments", "key": "card", "time": "time", "id": "id", "partitions": 1, "schema": schema(),
    });
    change(Kind::Stream, "payments", body)
}

pub(crate) fn view(name: &str, measures: Value) -> Change {
    let body = json!({ "view": name, "stream": "payments", "by": ["card"], "measures": measures, "over": "1h" });
    change(Kind::View, name, body)
}

pub(crate) fn rule(name: &str, mut body: Value) -> Change {
    body["rule"] = json!(name);
    body["stream"] = json!("payments");
    change(Kind::Rule, name, body)
}

pub(crate) fn event(id: &str, card: &str, amount: f64, time: i64) -> Vec<u8> {
    json!({ "id": id, "card": card, "amount": amount, "time": time }).to_string().into_bytes()
}

pub(crate) fn avro(event: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&Schema::parse_value(&schema()).unwrap()).encode(event, &mut out).unwrap();
    out
}

pub(crate) fn try_offline(definitions: Vec<Change>) -> Result<Offline, ChangeError> {
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    Offline::new(&runtime, &[], definitions, &Limits::default())
}

pub(crate) fn offline(definitions: Vec<Change>) -> Offline {
    try_offline(definitions).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn problems(definitions: Vec<Change>) -> Vec<Problem> {
    match try_offline(definitions) {
        Err(ChangeError::Invalid(problems)) => problems,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the definitions were taken"),
    }
}
