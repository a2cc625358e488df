//! Valid and invalid schemas, canonical forms, and the schema with every type.

use apache_avro::rabin::Rabin;
use assay_core::schema::{AvroSchema, Schema};
use serde_json::{Value, json};

use super::{avro, one, schema};

#[test]
fn valid_types_are_accepted() {
    let record = |fields: Value| json!({"type": "record", "name": "Inner", "fields": fields});
    let kinds = [
        json!("null"),
        json!({"type": "boolean"}),
        json!({"type": {"type": "int"}}),
        json!({"type": "fixed", "name": "F", "size": 1}),
        json!({"type": "fixed", "name": "F", "size": 1, "namespace": "org.apache.hadoop.avro"}),
        json!({"type": "fixed", "name": "F", "size": 1, "namespace": ""}),
        json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
        json!({"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}),
        json!({"type": "enum", "name": "record", "symbols": ["A"]}),
        json!({"type": "enum", "name": "ns.int", "symbols": ["A"]}),
        json!({"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}),
        json!({"type": "map", "values": "long", "extra": true}),
        json!(["string", "null", "long"]),
        json!(["null", {"type": "fixed", "name": "V6", "size": 16}, {"type": "fixed", "name": "V4", "size": 4}]),
        record(json!([])),
        record(json!([{"name": "x", "type": "long", "doc": "a doc", "cp_object": {"a": 1}, "aliases": ["y"]}])),
        record(json!([{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Inner"]}])),
        record(json!([{"name": "children", "type": {"type": "array", "items": "Inner"}}])),
        record(json!([{"name": "value", "type": ["null", "string",
            {"type": "record", "name": "Cons", "fields": [
                {"name": "car", "type": "Inner"}, {"name": "cdr", "type": "Inner"}]}]}])),
    ];
    for kind in kinds {
        schema(&one(&kind));
    }
}

#[test]
fn invalid_types_are_refused() {
    let record = |fields: Value| json!({"type": "record", "name": "Inner", "fields": fields});
    let kinds = [
        json!("True"),
        json!({"no_type": "test"}),
        json!({"type": "panther"}),
        json!({"type": "fixed", "name": "F"}),
        json!({"type": "fixed", "size": 314}),
        json!({"type": "fixed", "size": 314, "name": "dr. spaceman"}),
        json!({"type": "fixed", "size": -2, "name": "F"}),
        json!({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}),
        json!({"type": "enum", "name": "E", "symbols": "A B"}),
        json!({"type": "enum", "name": [0, 1], "symbols": ["A"]}),
        json!({"type": "enum", "symbols": ["A"]}),
        json!({"type": "enum", "name": "E", "symbols": ["A", "A"]}),
        json!({"type": "enum", "name": "E", "symbols": ["white space"]}),
        json!({"type": "array"}),
        json!({"type": "map"}),
        json!(["null", "null"]),
        json!(["long", "long"]),
        json!(["null", ["null", "int"]]),
        json!([{"type": "array", "items": "long"}, {"type": "array", "items": "string"}]),
        record(json!([{"type": "string"}])),
        record(json!([{"name": "Sponsor"}])),
        record(json!("no fields")),
        record(json!([{"name": "x", "type": "int"}, {"name": "x", "type": "int"}])),
        record(json!([{"name": "x", "type": "Nowhere"}])),
        json!({"name": ["Tom"], "type": "record", "fields": []}),
        record(json!([{"name": "next", "type": "Inner"}])),
    ];
    for kind in kinds {
        assert!(Schema::parse_value(&one(&kind)).is_err(), "{kind}");
    }
    let default = |kind: Value, default: Value| json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind, "default": default}]});
    for json in [
        default(json!("int"), json!("1")),
        default(json!("int"), json!(5_000_000_000_i64)),
        default(json!("string"), json!(null)),
        default(json!({"type": "fixed", "name": "F", "size": 2}), json!("a")),
        default(json!({"type": "enum", "name": "E", "symbols": ["A"]}), json!("B")),
        default(json!({"type": "array", "items": "int"}), json!(["x"])),
    ] {
        assert!(Schema::parse_value(&json).is_err(), "{json}");
    }
}

/// Canonical forms with their fingerprints (CRC-64-AVRO), from Avro's shared table.
#[test]
fn canonical_forms_and_fingerprints_are_those_of_avros_table() {
    let cases: [(Value, &str, i64); 6] = [
        (
            json!({"fields": [], "type": "record", "name": "foo"}),
            r#"{"name":"foo","type":"record","fields":[]}"#,
            -4_824_392_279_771_201_922,
        ),
        (
            json!({"fields": [], "type": "record", "name": "foo", "namespace": "x.y"}),
            r#"{"name":"x.y.foo","type":"record","fields":[]}"#,
            5_916_914_534_497_305_771,
        ),
        (
            json!({"fields": [], "type": "record", "name": "a.b.foo", "namespace": "x.y"}),
            r#"{"name":"a.b.foo","type":"record","fields":[]}"#,
            -4_616_218_487_480_524_110,
        ),
        (
            json!({"fields": [], "type": "record", "name": "foo", "doc": "foo", "aliases": ["foo", "bar"]}),
            r#"{"name":"foo","type":"record","fields":[]}"#,
            -4_824_392_279_771_201_922,
        ),
        (
            json!({"fields": [{"type": {"type": "boolean"}, "name": "f1"}], "type": "record", "name": "foo"}),
            r#"{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}"#,
            7_843_277_075_252_814_651,
        ),
        (
            json!({"name": "PigValue", "type": "record",
                "fields": [{"name": "value", "type": ["null", "int", "long", "PigValue"]}]}),
            r#"{"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]}"#,
            -1_759_257_747_318_642_341,
        ),
    ];
    for (json, canonical, fingerprint) in cases {
        assert_eq!(schema(&json).canonical(), canonical);
        let avro = apache_avro::Schema::parse(&json).unwrap();
        assert_eq!(avro.fingerprint::<Rabin>().bytes, fingerprint.to_le_bytes(), "{canonical}");
    }
}

/// The schema of Avro's interoperability tests: all types, and annotations of fields, which are ignored.
#[test]
fn events_of_every_type_are_read_back() {
    let json = json!({"type": "record", "name": "Interop", "namespace": "org.apache.avro", "fields": [
        {"name": "intField", "type": "int"}, {"name": "longField", "type": "long"},
        {"name": "stringField", "type": "string"}, {"name": "boolField", "type": "boolean"},
        {"name": "floatField", "type": "float"}, {"name": "doubleField", "type": "double"},
        {"name": "bytesField", "type": "bytes"}, {"name": "nullField", "type": "null"},
        {"name": "arrayField", "type": {"type": "array", "items": "double"}},
        {"name": "mapField", "type": {"type": "map", "values":
            {"type": "record", "name": "Foo", "fields": [{"name": "label", "type": "string"}]}}},
        {"name": "unionField", "type": ["boolean", "double", {"type": "array", "items": "bytes"}]},
        {"name": "enumField", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
        {"name": "fixedField", "type": {"type": "fixed", "name": "MD5", "size": 16}},
        {"name": "recordField", "type": {"type": "record", "name": "Node", "fields": [
            {"name": "label", "type": "string"},
            {"name": "children", "type": {"type": "array", "items": "Node"}}]}},
        {"name": "timeMillisField", "type": "int", "logicalType": "time-millis"},
        {"name": "timestampMillisField", "type": "long", "logicalType": "time-millis"},
    ]});
    let schema = schema(&json);
    AvroSchema::parse(&json.to_string()).unwrap();
    let event = json!({
        "intField": 12, "longField": 15_234_324, "stringField": "hey", "boolField": true, "floatField": 1234.0,
        "doubleField": -1234.0, "bytesField": "12312adf", "nullField": null, "arrayField": [5.0, 0.0, 12.0],
        "mapField": {"a": {"label": "a"}, "bee": {"label": "cee"}}, "unionField": 12.0, "enumField": "C",
        "fixedField": "1019181716151413", "recordField": {"label": "blah", "children": [
            {"label": "inner", "children": []}]}, "timeMillisField": 3, "timestampMillisField": 4,
    });
    let bytes = avro(&schema, &event).unwrap();
    assert_eq!(assay_core::schema::to_json(&schema, &bytes).unwrap(), event);
    let theirs = apache_avro::Schema::parse(&json).unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&theirs).build().unwrap();
    let read = reader.read_value(&mut bytes.as_slice()).unwrap();
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&theirs).build().unwrap();
    let mut again = writer.write_value_to_vec(read).unwrap();
    // A map has no order.
    let mut sorted = bytes.clone();
    sorted.sort_unstable();
    again.sort_unstable();
    assert_eq!(sorted, again);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.path.as_str()).collect();
    assert!(columns.contains(&"recordField.label") && !columns.contains(&"recordField.children"));
}
