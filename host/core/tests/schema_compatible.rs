//! The compatibility of schemas, and the messages of mismatches.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use assay_core::schema::{AvroSchema, RootName};
use proptest::prelude::*;
use serde_json::{Value, json};

fn find_mismatch(writer: &Value, reader: &Value) -> Option<String> {
    let [writer, reader] = [writer, reader].map(|json| AvroSchema::parse(&json.to_string()).unwrap());
    reader.check_reads(&writer, RootName::MustAgree).err().map(|mismatch| mismatch.to_string())
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

fn one(kind: Value) -> Value {
    record(json!([{"name": "f", "type": kind}]))
}

#[test]
fn fields_with_defaults_may_be_added_and_removed() {
    let small = record(json!([{"name": "a", "type": "string"}]));
    let with_default = record(json!([{"name": "a", "type": "string"}, {"name": "b", "type": "int", "default": 0}]));
    let without = record(json!([{"name": "a", "type": "string"}, {"name": "b", "type": ["null", "int"]}]));
    assert_eq!(find_mismatch(&small, &with_default), None);
    assert_eq!(find_mismatch(&without, &small), None);
    assert_eq!(
        find_mismatch(&small, &without).unwrap(),
        "field `b`: the writer does not have it, and the reader has no default for it"
    );
    let renamed = record(json!([{"name": "c", "aliases": ["a"], "type": "string"}]));
    assert_eq!(find_mismatch(&small, &renamed), None);
}

#[test]
fn types_widen_and_do_not_narrow() {
    assert_eq!(find_mismatch(&one(json!("int")), &one(json!("double"))), None);
    assert_eq!(find_mismatch(&one(json!("string")), &one(json!(["null", "string"]))), None);
    assert_eq!(
        find_mismatch(&one(json!("string")), &one(json!("double"))).unwrap(),
        "field `f`: the writer's string cannot be read as the reader's double"
    );
    assert_eq!(
        find_mismatch(&one(json!(["null", "string"])), &one(json!("string"))).unwrap(),
        "field `f`: the writer's null cannot be read as the reader's string"
    );
    assert_eq!(
        find_mismatch(
            &one(json!({"type": "array", "items": "string"})),
            &one(json!({"type": "array", "items": "int"}))
        ),
        Some("field `f.[]`: the writer's string cannot be read as the reader's int".to_owned())
    );
    let of = |symbols: &[&str]| one(json!({"type": "enum", "name": "E", "symbols": symbols}));
    assert_eq!(find_mismatch(&of(&["A"]), &of(&["A", "B"])), None);
    assert_eq!(
        find_mismatch(&of(&["A", "B", "C"]), &of(&["A"])).unwrap(),
        "field `f`: the reader's enum lacks the writer's `B`, `C`, and it has no default"
    );
}

#[test]
fn a_reference_and_a_spelt_out_type_are_the_same() {
    let address =
        json!({"type": "record", "name": "Address", "namespace": "x", "fields": [{"name": "zip", "type": "int"}]});
    let old = record(json!([{"name": "home", "type": address}, {"name": "work", "type": "x.Address"}]));
    let new = record(json!([
        {"name": "work", "type": address}, {"name": "home", "type": "x.Address"},
        {"name": "third", "type": ["null", "x.Address"], "default": null}
    ]));
    assert_eq!(find_mismatch(&old, &new), None);
    let mut other = new.clone();
    other["fields"][0]["type"]["fields"][0]["type"] = json!("string");
    assert_eq!(
        find_mismatch(&old, &other).unwrap(),
        "field `work.zip`: the writer's int cannot be read as the reader's string"
    );
}

#[test]
fn recursive_types_are_compared() {
    let list = |value: &str| {
        json!({"type": "record", "name": "List", "fields": [
            {"name": "next", "type": ["null", "List"]}, {"name": "value", "type": value}
        ]})
    };
    assert_eq!(find_mismatch(&list("int"), &list("long")), None);
    assert!(find_mismatch(&list("long"), &list("int")).unwrap().starts_with("field `value`: the writer's long"));
}

#[test]
fn names_of_inner_records_must_agree_and_the_roots_on_request() {
    let [a, b] =
        ["A", "B"].map(|name| json!({"type": "record", "name": name, "fields": [{"name": "x", "type": "int"}]}));
    assert_eq!(find_mismatch(&a, &b).unwrap(), "the writer's record A cannot be read as the reader's record B");
    assert!(find_mismatch(&one(a.clone()), &one(b.clone())).is_some());
    let [writer, reader] = [&a, &b].map(|json| AvroSchema::parse(&json.to_string()).unwrap());
    assert!(reader.check_reads(&writer, RootName::MayDiffer).is_ok());
    let mut spaced = a.clone();
    spaced["namespace"] = json!("com.shop");
    assert_eq!(find_mismatch(&spaced, &a), None);
}

/// A long chain of types, each of which refers to the next: the comparison must end without a deep recursion.
#[test]
fn a_long_chain_of_references_is_refused() {
    let chain = |defaults: bool| {
        let mut fields = Vec::new();
        for i in 0..5_000 {
            let kind = if i == 0 { json!("int") } else { json!(format!("T{}", i - 1)) };
            let link =
                json!({"type": "record", "name": format!("T{i}"), "fields": [{"name": "n", "type": ["null", kind]}]});
            let name = if defaults { format!("r{i}") } else { format!("w{i}") };
            fields.push(json!({"name": name, "type": ["null", link], "default": null}));
        }
        fields.push(json!({"name": "last", "type": "T4999"}));
        record(json!(fields))
    };
    assert!(find_mismatch(&chain(false), &chain(true)).unwrap().contains("nested deeper"));
}

fn kinds() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("null")),
        Just(json!("boolean")),
        Just(json!("int")),
        Just(json!("long")),
        Just(json!("float")),
        Just(json!("double")),
        Just(json!("string")),
        Just(json!("bytes")),
        Just(json!({"type": "long", "logicalType": "timestamp-millis"})),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|values| json!({"type": "map", "values": values})),
            inner
                .prop_filter("a union has no null twice", |kind| kind != "null" && !kind.is_array())
                .prop_map(|kind| json!(["null", kind])),
        ]
    })
}

proptest! {
    /// Without references the comparison has the same result as apache-avro's.
    #[test]
    fn results_agree_with_apache_avro(writer in kinds(), reader in kinds()) {
        use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
        let (writer, reader) = (one(writer), one(reader));
        let [w, r] = [&writer, &reader].map(|json| apache_avro::Schema::parse_str(&json.to_string()).unwrap());
        let theirs = SchemaCompatibility::can_read(&w, &r) == Ok(Compatibility::Full);
        prop_assert_eq!(find_mismatch(&writer, &reader).is_none(), theirs, "{} as {}", writer, reader);
    }
}
