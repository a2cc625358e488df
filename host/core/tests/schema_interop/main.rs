//! Cases from the Apache Avro project's tests of its own libraries and from the specification: valid schemas,
//! compatible schemas, bytes that must be refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod compatibility;
mod logical;
mod parsing;
mod recursion;
mod resolution;
mod values;

use assay_core::schema::{DecodeError, Encoder, EventError, Resolver, Schema, to_json};
use serde_json::{Value, json};

/// A record with one field of a type.
fn one(kind: &Value) -> Value {
    json!({"type": "record", "name": "Test", "fields": [{"name": "f", "type": kind}]})
}

fn schema(json: &Value) -> Schema {
    Schema::parse_value(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn avro(schema: &Schema, event: &Value) -> Result<Vec<u8>, EventError> {
    let mut out = Vec::new();
    Encoder::new(schema).encode_value(event, &mut out).map(|()| out)
}

/// A JSON value of a type, turned into Avro and back.
fn round_trip(kind: &Value, value: &Value) -> Result<Value, EventError> {
    let schema = schema(&one(kind));
    let bytes = avro(&schema, &json!({"f": value}))?;
    Ok(to_json(&schema, &bytes).unwrap()["f"].clone())
}

/// A JSON text of a value, turned into Avro and back.
fn text_round_trip(kind: &Value, text: &str) -> Result<Value, EventError> {
    let schema = schema(&one(kind));
    let mut bytes = Vec::new();
    Encoder::new(&schema).encode(format!(r#"{{"f": {text}}}"#).as_bytes(), &mut bytes)?;
    Ok(to_json(&schema, &bytes).unwrap()["f"].clone())
}

fn refused(kind: &Value, value: &Value) -> String {
    round_trip(kind, value).expect_err(&format!("{value} as {kind}")).to_string()
}

/// An event of the writer's schema, resolved to the reader's schema.
fn resolved(writer: &Value, reader: &Value, event: &Value) -> Result<Value, DecodeError> {
    let (writer, reader) = (schema(writer), schema(reader));
    let bytes = avro(&writer, event).unwrap();
    let Some(resolver) = Resolver::new(&writer, &reader).unwrap() else {
        return to_json(&reader, &bytes);
    };
    let mut out = Vec::new();
    resolver.resolve(&bytes, &mut out)?;
    to_json(&reader, &out)
}
