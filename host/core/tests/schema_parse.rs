//! Schemas that are accepted and refused, and the parts that can be columns.

#![allow(clippy::expect_used, reason = "a test may panic")]

use assay_core::schema::{Schema, SchemaError};
use serde_json::{Value as Json, json};

fn schema() -> Schema {
    let json = json!({"type": "record", "name": "Payment", "namespace": "shop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "count", "type": "int", "default": 1},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}, "default": 1500},
        {"name": "kind", "type": ["null", {"type": "enum", "name": "Kind", "symbols": ["CHIP", "WEB"]}]},
        {"name": "device", "type": ["null", {"type": "record", "name": "Device", "fields": [
            {"name": "os", "type": "string", "default": "any"},
            {"name": "versions", "type": {"type": "array", "items": "long"}, "default": []}
        ]}]},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}, "default": "\u{0}\u{ff}"},
        {"name": "note", "type": ["null", "long", "string"], "default": null}
    ]});
    Schema::parse_value(&json).expect("a valid schema")
}

#[test]
fn a_schema_is_refused_with_the_reason() {
    let cases = [
        (r#"{"type": "string"}"#, "a stream's schema must be a record, this is a string"),
        (
            r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": "Node"}]}"#,
            "type `Node` contains itself always, so its values never end: put a union with null, an array or a map \
             between",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(Schema::parse(json).expect_err(json).to_string(), expected);
    }
    for json in ["", "{", r#"{"type": "record", "name": "R"}"#, r#"{"type": "record", "fields": []}"#] {
        assert!(matches!(Schema::parse(json), Err(SchemaError::Invalid(_))), "{json}");
    }
    let bad_default = r#"{"type": "record", "name": "R", "fields": [
        {"name": "n", "type": "int", "default": 5000000000}]}"#;
    assert!(Schema::parse(bad_default).is_err());
}

#[test]
fn types_that_multiply_are_refused() {
    let mut kind = json!({"type": "record", "name": "T0", "fields": [{"name": "x", "type": "int"}]});
    for level in 1..8 {
        let fields: Vec<Json> = (0..8)
            .map(|index| {
                let kind = if index == 0 { kind.take() } else { json!(format!("T{}", level - 1)) };
                json!({"name": format!("f{index}"), "type": kind})
            })
            .collect();
        kind = json!({"type": "record", "name": format!("T{level}"), "fields": fields});
    }
    assert_eq!(Schema::parse_value(&kind), Err(SchemaError::TooLarge));
}

#[test]
fn fields_have_paths_and_types_and_others_a_reason() {
    let schema = schema();
    let fields: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{}: {}{}", field.path, field.kind, if field.nullable { "?" } else { "" }))
        .collect();
    let expected = [
        "id: string",
        "amount: double",
        "count: int",
        "time: timestamp",
        "kind: string?",
        "device.os: string?",
        "device.versions: list(int)?",
    ];
    assert_eq!(fields, expected);
    let why = |path: &str| schema.field(path).expect_err(path).to_string();
    assert_eq!(why("digest"), "field `digest` is a fixed, which cannot be used as a column (yet)");
    assert_eq!(why("device"), "field `device` is a record, which cannot be used as a column (yet)");
    assert_eq!(why("device.o"), "schema `shop.Payment` has no field `device.o`; did you mean `device.os`?");
    assert_eq!(why("zz"), "schema `shop.Payment` has no field `zz`");
}
