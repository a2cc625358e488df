//! Names and defaults in resolution: aliases, defaults of enums, records in unions.

use serde_json::{Value, json};

use super::{one, resolved};

fn record(name: &str, fields: Value) -> Value {
    json!({"type": "record", "name": name, "fields": fields})
}

#[test]
fn fields_are_found_by_their_aliases() {
    let old = record("R", json!([{"name": "a", "type": "int"}, {"name": "b", "type": "string"}]));
    let new = record(
        "R",
        json!([
            {"name": "b", "type": "string"},
            {"name": "renamed", "aliases": ["older", "a"], "type": "long"},
            {"name": "copy", "aliases": ["b"], "type": "string", "default": "none"},
        ]),
    );
    let event = json!({"a": 1, "b": "x"});
    // A field that the reader has by its own name is not used for an alias.
    assert_eq!(resolved(&old, &new, &event), Ok(json!({"b": "x", "renamed": 1, "copy": "none"})));
}

#[test]
fn symbols_that_are_missing_take_the_default() {
    let of = |symbols: &[&str], default: Value| {
        let mut kind = json!({"type": "enum", "name": "E", "symbols": symbols});
        if !default.is_null() {
            kind["default"] = default;
        }
        one(&kind)
    };
    let old = of(&["A", "B", "C"], json!("A"));
    assert_eq!(resolved(&old, &of(&["C", "X"], json!("X")), &json!({"f": "B"})), Ok(json!({"f": "X"})));
    assert_eq!(resolved(&old, &of(&["C", "X"], json!("X")), &json!({"f": "C"})), Ok(json!({"f": "C"})));
    // The writer's own default does not count.
    let error = resolved(&old, &of(&["C"], Value::Null), &json!({"f": "B"})).unwrap_err();
    assert_eq!(error.to_string(), "malformed Avro at byte 1 (field `f`): the enum has no symbol 1");
}

#[test]
fn records_of_a_union_are_chosen_by_name() {
    let card = |name: &str, number: &str| record(name, json!([{"name": "n", "type": number}]));
    let mut renamed = card("Debit", "long");
    renamed["aliases"] = json!(["Card"]);
    let old = one(&json!([card("Card", "int"), card("Cash", "int")]));
    let new = one(&json!([card("Cash", "long"), renamed]));
    assert_eq!(resolved(&old, &new, &json!({"f": {"Card": {"n": 1}}})), Ok(json!({"f": {"Debit": {"n": 1}}})));
    assert_eq!(resolved(&old, &new, &json!({"f": {"Cash": {"n": 2}}})), Ok(json!({"f": {"Cash": {"n": 2}}})));
    let mut spaced = card("Cash", "long");
    spaced["namespace"] = json!("shop");
    let new = one(&json!(["null", card("Other", "long"), spaced]));
    let old = one(&card("Cash", "int"));
    assert_eq!(resolved(&old, &new, &json!({"f": {"n": 2}})), Ok(json!({"f": {"shop.Cash": {"n": 2}}})));
}

#[test]
fn missing_fields_take_defaults_of_every_type() {
    let old = record("R", json!([{"name": "n", "type": "int"}]));
    let inner = record("Inner", json!([{"name": "x", "type": "int", "default": 5}, {"name": "y", "type": "string"}]));
    let new = record(
        "R",
        json!([
            {"name": "n", "type": "int"},
            {"name": "text", "type": "string", "default": "a"},
            {"name": "bytes", "type": "bytes", "default": "\u{ff}"},
            {"name": "items", "type": {"type": "array", "items": "int"}, "default": [1]},
            {"name": "map", "type": {"type": "map", "values": "int"}, "default": {"a": 1}},
            {"name": "enum", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}, "default": "B"},
            {"name": "inner", "type": inner, "default": {"y": "z"}},
            {"name": "maybe", "type": ["null", "int"], "default": null},
            {"name": "first", "type": ["int", "null"], "default": 3},
        ]),
    );
    let expected = json!({"n": 1, "text": "a", "bytes": "\u{ff}", "items": [1], "map": {"a": 1}, "enum": "B",
        "inner": {"x": 5, "y": "z"}, "maybe": null, "first": 3});
    assert_eq!(resolved(&old, &new, &json!({"n": 1})), Ok(expected));
}
