//! The compatibility of types: the tables of Avro's own compatibility tests.

use assay_core::schema::{AvroSchema, Resolver, RootName, Schema};
use serde_json::{Value, json};

use super::one;

/// True if the reader can read all records of the writer, by the compatibility check and by the resolver.
fn reads(reader: &Value, writer: &Value) -> (bool, bool) {
    let (reader, writer) = (one(reader), one(writer));
    let check = |json: &Value| AvroSchema::parse(&json.to_string()).unwrap();
    let checked = check(&reader).check_reads(&check(&writer), RootName::MustAgree).is_ok();
    let parse = |json: &Value| Schema::parse_value(json).unwrap();
    (checked, Resolver::new(&parse(&writer), &parse(&reader)).is_ok())
}

fn named(name: &str, fields: Value) -> Value {
    json!({"type": "record", "name": name, "fields": fields})
}

fn symbols(symbols: &[&str]) -> Value {
    json!({"type": "enum", "name": "Enum1", "symbols": symbols})
}

fn list(kind: &str) -> Value {
    named("List", json!([{"name": "head", "type": kind}, {"name": "tail", "type": ["null", "List"], "default": null}]))
}

#[test]
fn compatible_types_are_accepted() {
    let array = |items: &str| json!({"type": "array", "items": items});
    let map = |values: &str| json!({"type": "map", "values": values});
    let int = |name: &str| json!({"name": name, "type": "int"});
    let int_or_0 = |name: &str| json!({"name": name, "type": "int", "default": 0});
    let fixed = json!({"type": "fixed", "name": "Four", "size": 4});
    let cases = [
        ("the same", json!("boolean"), json!("boolean")),
        ("int as long", json!("long"), json!("int")),
        ("int as float", json!("float"), json!("int")),
        ("int as double", json!("double"), json!("int")),
        ("long as float", json!("float"), json!("long")),
        ("long as double", json!("double"), json!("long")),
        ("float as double", json!("double"), json!("float")),
        ("bytes as string", json!("string"), json!("bytes")),
        ("string as bytes", json!("bytes"), json!("string")),
        ("items", array("long"), array("int")),
        ("values", map("long"), map("int")),
        ("more symbols", symbols(&["A", "B", "C"]), symbols(&["A", "B"])),
        ("a fixed", fixed.clone(), fixed),
        ("branches in another order", json!(["int", "string"]), json!(["string", "int"])),
        ("branches widened", json!(["double"]), json!(["int", "float"])),
        ("branches by one type", json!("double"), json!(["int", "long", "float", "double"])),
        ("one branch", json!("float"), json!(["float"])),
        ("into one branch", json!(["int"]), json!("int")),
        ("into null or it", json!(["null", "int"]), json!("int")),
        ("no fields of some", named("R", json!([])), named("R", json!([int("a")]))),
        ("fields widened", named("R", json!([{"name": "a", "type": "long"}])), named("R", json!([int("a")]))),
        ("fields in another order", named("R", json!([int("b"), int("a")])), named("R", json!([int("a"), int("b")]))),
        ("a default", named("R", json!([int("a"), int_or_0("b")])), named("R", json!([int("a")]))),
        ("all defaults", named("R", json!([int_or_0("a"), int_or_0("b")])), named("R", json!([]))),
        ("a list", list("int"), list("int")),
        ("a list widened", list("long"), list("int")),
    ];
    for (what, reader, writer) in cases {
        assert_eq!(reads(&reader, &writer), (true, true), "{what}: {writer} as {reader}");
    }
}

#[test]
fn incompatible_types_are_refused() {
    let array = |items: &str| json!({"type": "array", "items": items});
    let map = |values: &str| json!({"type": "map", "values": values});
    let fixed = |size: usize| json!({"type": "fixed", "name": "F", "size": size});
    let cases = [
        (json!("null"), json!("int")),
        (json!("null"), json!("long")),
        (json!("boolean"), json!("int")),
        (json!("int"), json!("null")),
        (json!("int"), json!("boolean")),
        (json!("int"), json!("long")),
        (json!("int"), json!("float")),
        (json!("int"), json!("double")),
        (json!("long"), json!("float")),
        (json!("long"), json!("double")),
        (json!("float"), json!("double")),
        (json!("string"), json!("boolean")),
        (json!("string"), json!("int")),
        (json!("bytes"), json!("null")),
        (json!("bytes"), json!("int")),
        (array("int"), array("long")),
        (map("int"), array("int")),
        (array("int"), map("int")),
        (map("int"), map("long")),
        (json!("int"), symbols(&["A"])),
        (symbols(&["A"]), json!("int")),
        (fixed(4), fixed(8)),
        (fixed(4), json!("bytes")),
        (named("R", json!([{"name": "a", "type": "int"}])), named("R", json!([]))),
        (list("int"), list("long")),
        (json!("int"), list("int")),
    ];
    for (reader, writer) in cases {
        assert_eq!(reads(&reader, &writer), (false, false), "{writer} as {reader}");
    }
}

/// Types that are compatible for some values only: the check refuses them, and the resolver reads records without the
/// others.
#[test]
fn types_that_depend_on_the_value_are_refused_by_the_check_alone() {
    let cases = [
        (symbols(&["A", "B"]), symbols(&["A", "B", "C"])),
        (json!("int"), json!(["null", "int"])),
        (json!(["int", "string"]), json!(["int", "string", "boolean"])),
        (json!(["float"]), json!(["int", "double"])),
    ];
    for (reader, writer) in cases {
        assert_eq!(reads(&reader, &writer), (false, true), "{writer} as {reader}");
        assert!(find_gap(&reader, &writer).is_some(), "{writer} as {reader}");
    }
}

fn find_gap(reader: &Value, writer: &Value) -> Option<String> {
    let parse = |json: &Value| Schema::parse_value(&one(json)).unwrap();
    let resolver = Resolver::new(&parse(writer), &parse(reader)).unwrap();
    resolver.and_then(|resolver| resolver.find_unreadable_value()).map(|incompatible| incompatible.to_string())
}

#[test]
fn unreadable_values_are_reported_with_their_place() {
    let days = |name: &str| json!({"type": "int", "logicalType": name});
    let nested = |kind: Value| named("In", json!([{"name": "x", "type": {"type": "array", "items": kind}}]));
    let why = |writer: Value, reader: Value| find_gap(&nested(reader), &nested(writer));
    assert_eq!(why(json!("int"), json!("double")), None);
    assert_eq!(
        why(json!(["null", days("date")]), json!(["null", days("time-millis")])).unwrap(),
        "f.x: branch 1 of the union cannot be read"
    );
    assert_eq!(
        why(symbols(&["A", "B"]), symbols(&["B"])).unwrap(),
        "f.x: symbol 0 of the enum is gone, and there is no default"
    );
    let tail = |kind: &str| {
        named("List", json!([{"name": "head", "type": ["null", kind]}, {"name": "tail", "type": ["null", "List"]}]))
    };
    assert_eq!(find_gap(&tail("long"), &tail("int")), None);
    let mut other = tail("int");
    other["fields"][0]["type"] = json!(["null", "boolean"]);
    assert_eq!(find_gap(&other, &tail("int")).unwrap(), "f.head: branch 1 of the union cannot be read");
}
