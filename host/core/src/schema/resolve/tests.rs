//! Events of other schemas are converted to the stream's schema, or refused with a reason.

use serde_json::json;

use super::super::{Encoder, to_json};
use super::*;

fn schema(fields: serde_json::Value) -> Schema {
    Schema::parse_value(&json!({"type": "record", "name": "event", "fields": fields})).unwrap()
}

fn resolve_event(writer: &Schema, reader: &Schema, event: serde_json::Value) -> Result<serde_json::Value, DecodeError> {
    let mut record = Vec::new();
    Encoder::new(writer).encode_value(&event, &mut record).unwrap();
    let resolver = Resolver::new(writer, reader).unwrap().expect("the schemas differ");
    let mut out = Vec::new();
    resolver.resolve(&record, &mut out)?;
    Ok(to_json(reader, &out).unwrap())
}

#[test]
fn fields_are_added_removed_and_reordered() {
    let writer = schema(json!([
        {"name": "gone", "type": {"type": "map", "values": "string"}},
        {"name": "b", "type": "int"},
        {"name": "a", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ]));
    let reader = schema(json!([
        {"name": "a", "type": ["null", "string"]},
        {"name": "new", "type": "long", "default": 7},
        {"name": "b", "type": "double"},
        {"name": "none", "type": ["null", "int"], "default": null},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]));
    let event = json!({"gone": {"x": "y"}, "b": -3, "a": "text", "at": 1234});
    let expected = json!({"a": "text", "new": 7, "b": -3.0, "none": null, "at": 1234});
    assert_eq!(resolve_event(&writer, &reader, event), Ok(expected));
}

#[test]
fn unions_arrays_maps_and_enums_are_resolved_inside() {
    let item = |number: &str| json!({"type": "record", "name": "item", "fields": [{"name": "n", "type": number}]});
    let level = |symbols: serde_json::Value| json!({"type": "enum", "name": "level", "symbols": symbols});
    let writer = schema(json!([
        {"name": "items", "type": {"type": "array", "items": item("int")}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "level", "type": level(json!(["low", "high", "odd"]))},
        {"name": "maybe", "type": ["null", "int"]},
    ]));
    let reader = schema(json!([
        {"name": "items", "type": {"type": "array", "items": item("double")}},
        {"name": "tags", "type": {"type": "map", "values": "float"}},
        {"name": "level", "type": level(json!(["high", "low"]))},
        {"name": "maybe", "type": ["string", "double", "null"]},
    ]));
    let event = json!({"items": [{"n": 1}, {"n": 2}], "tags": {"x": 3}, "level": "low", "maybe": 4});
    let expected = json!({"items": [{"n": 1.0}, {"n": 2.0}], "tags": {"x": 3.0}, "level": "low", "maybe": 4.0});
    assert_eq!(resolve_event(&writer, &reader, event), Ok(expected));
    let odd = json!({"items": [], "tags": {}, "level": "odd", "maybe": null});
    let error = resolve_event(&writer, &reader, odd).unwrap_err();
    assert_eq!((error.path.as_str(), error.problem), ("level", DecodeProblem::NoSymbol(2)));
}

#[test]
fn schemas_that_write_equal_bytes_need_no_resolver() {
    let plain = schema(json!([{"name": "at", "type": "long"}, {"name": "n", "type": "int"}]));
    let stamped = schema(json!([
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "when"},
        {"name": "n", "type": "long"},
    ]));
    assert!(Resolver::new(&plain, &stamped).unwrap().is_none());
    let swapped = schema(json!([{"name": "n", "type": "int"}, {"name": "at", "type": "long"}]));
    assert!(Resolver::new(&plain, &swapped).unwrap().is_some());
}

#[test]
fn mismatches_have_the_path_of_the_field() {
    let inner = |kind: &str| json!({"type": "record", "name": "inner", "fields": [{"name": "x", "type": kind}]});
    let writer = schema(json!([{"name": "in", "type": inner("string")}]));
    let reader = schema(json!([{"name": "in", "type": inner("long")}]));
    let error = Resolver::new(&writer, &reader).unwrap_err();
    assert_eq!(error.to_string(), "in.x: it is written as a string and read as a long");
    let more = schema(json!([{"name": "in", "type": inner("string")}, {"name": "must", "type": "long"}]));
    let error = Resolver::new(&writer, &more).unwrap_err();
    assert_eq!(error.to_string(), "must: it is not written, and has no default");
}

#[test]
fn malformed_records_leave_the_output_unchanged() {
    let writer = schema(json!([{"name": "a", "type": "int"}]));
    let reader = schema(json!([{"name": "a", "type": "double"}]));
    let resolver = Resolver::new(&writer, &reader).unwrap().unwrap();
    let mut out = vec![9];
    for bad in [&[][..], &[0x80], &[2, 2]] {
        assert!(resolver.resolve(bad, &mut out).is_err());
        assert_eq!(out, [9]);
    }
}
