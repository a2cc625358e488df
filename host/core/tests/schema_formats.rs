//! One event in every format: JSON with bare and with tagged unions, Avro of the stream's own schema and of another
//! one. All formats give the same stored event, or all are refused.

#![allow(clippy::expect_used, reason = "a test may panic")]

use assay_core::schema::{Encoder, Extractor, Resolver, Schema, to_json};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A type with one value.
#[derive(Clone, Debug)]
struct Case {
    kind: Value,
    /// Its name as a branch of a union.
    tag: &'static str,
    /// The value as JSON, all unions in it tagged.
    tagged: Value,
    /// The value as JSON without tags.
    bare: Value,
    /// True if an object in the bare JSON may also be a tagged one or of another type.
    is_ambiguous: bool,
}

impl Case {
    fn of(kind: Value, tag: &'static str, value: Value) -> Self {
        Self { kind, tag, tagged: value.clone(), bare: value, is_ambiguous: false }
    }
}

/// Types without inner types, with values in the form in which they are read back.
fn leaves() -> Vec<Case> {
    let logical = |base: &str, name: &str| json!({"type": base, "logicalType": name});
    let fixed = |name: &str, size: u32, more: Value| {
        let mut kind = json!({"type": "fixed", "name": name, "namespace": "shop", "size": size});
        kind.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        kind
    };
    let decimal = json!({"logicalType": "decimal", "precision": 9, "scale": 2});
    let mut decimal_bytes = decimal.clone();
    decimal_bytes["type"] = json!("bytes");
    let uuid = json!("f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    vec![
        Case::of(json!("boolean"), "boolean", json!(true)),
        Case::of(json!("int"), "int", json!(-7)),
        Case::of(json!("long"), "long", json!(9_007_199_254_740_993_i64)),
        Case::of(json!("float"), "float", json!(0.5)),
        Case::of(json!("double"), "double", json!(-1.25)),
        Case::of(json!("bytes"), "bytes", json!("\u{0}\u{ff}")),
        Case::of(json!("string"), "string", json!("an é")),
        Case::of(fixed("Two", 2, json!({})), "shop.Two", json!("ab")),
        Case::of(json!({"type": "enum", "name": "shop.Kind", "symbols": ["A", "B"]}), "shop.Kind", json!("B")),
        Case::of(logical("int", "date"), "int", json!("9999-12-31")),
        Case::of(logical("int", "time-millis"), "int", json!("12:30:00.5")),
        Case::of(logical("long", "time-micros"), "long", json!("23:59:59.999999")),
        Case::of(logical("long", "timestamp-millis"), "long", json!(1_769_862_600_000_i64)),
        Case::of(logical("long", "timestamp-micros"), "long", json!("9999-12-31T23:59:59.999999Z")),
        Case::of(logical("long", "timestamp-nanos"), "long", json!("1970-01-01T00:00:00.000000001Z")),
        Case::of(logical("long", "local-timestamp-millis"), "long", json!(5)),
        Case::of(logical("long", "local-timestamp-micros"), "long", json!("-009999-01-01T00:00:00.000001")),
        Case::of(logical("long", "local-timestamp-nanos"), "long", json!(0)),
        Case::of(decimal_bytes, "bytes", json!("-12.30")),
        Case::of(fixed("Money", 5, decimal), "shop.Money", json!("9999999.99")),
        Case::of(logical("string", "uuid"), "string", uuid.clone()),
        Case::of(fixed("Id", 16, json!({"logicalType": "uuid"})), "shop.Id", uuid),
        Case::of(fixed("Span", 12, json!({"logicalType": "duration"})), "shop.Span", json!("P1M2DT3.5S")),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let leaf = prop::sample::select(leaves());
    leaf.prop_recursive(3, 12, 3, |inner| {
        let names = prop::sample::select(vec!["a", "string", "map", "shop.Rec", "Rec", "value"]);
        prop_oneof![
            inner.clone().prop_map(|item| Case {
                kind: json!({"type": "array", "items": item.kind}),
                tag: "array",
                tagged: json!([item.tagged, item.tagged]),
                bare: json!([item.bare, item.bare]),
                is_ambiguous: item.is_ambiguous,
            }),
            (inner.clone(), names).prop_map(|(value, name)| Case {
                kind: json!({"type": "map", "values": value.kind}),
                tag: "map",
                tagged: json!({name: value.tagged}),
                bare: json!({name: value.bare}),
                is_ambiguous: value.is_ambiguous,
            }),
            (inner.clone(), prop::sample::select(vec!["value", "Rec", "string"])).prop_map(|(value, name)| Case {
                kind: json!({"type": "record", "name": "shop.Rec", "fields": [{"name": name, "type": value.kind}]}),
                tag: "shop.Rec",
                tagged: json!({name: value.tagged}),
                bare: json!({name: value.bare}),
                is_ambiguous: value.is_ambiguous,
            }),
            (inner.clone(), inner, 0_u8..5).prop_map(|(value, other, way)| union(value, &other, way)),
        ]
    })
    .prop_filter("a name is defined once", |case| schema_of(case).is_some())
}

/// A union with the value's type, null, and another type.
fn union(value: Case, other: &Case, way: u8) -> Case {
    if value.kind.is_array() || other.kind.is_array() || value.kind == "null" {
        return value;
    }
    let kind = match way {
        0 => json!(["null", value.kind]),
        1 => json!([value.kind, "null"]),
        2 => json!([other.kind, "null", value.kind]),
        3 => json!([value.kind, other.kind]),
        _ => {
            let kind = json!(["null", value.kind]);
            return Case { kind, ..Case::of(json!(null), "union", json!(null)) };
        }
    };
    let is_object = |case: &Case| matches!(case.tag, "map" | "shop.Rec");
    let names_a_tag =
        value.bare.as_object().is_some_and(|members| members.keys().all(|name| name != "a" && name != "value"));
    let is_ambiguous = value.is_ambiguous || way >= 2 && is_object(&value) && (is_object(other) || names_a_tag);
    let tagged = Map::from_iter([(value.tag.to_owned(), value.tagged)]).into();
    Case { kind, tag: "union", tagged, bare: value.bare, is_ambiguous }
}

fn record_of(kind: &Value) -> Value {
    json!({"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}, {"name": "f", "type": kind}]})
}

fn schema_of(case: &Case) -> Option<Schema> {
    Schema::parse_value(&record_of(&case.kind)).ok()
}

fn from_json(schema: &Schema, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let event = format!(r#"{{"f": {value}, "id": "one"}}"#);
    Encoder::new(schema).encode(event.as_bytes(), &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// An event of the stream's own schema, as ingest reads it.
fn from_own(schema: &Schema, record: &[u8]) -> Result<Vec<u8>, String> {
    assert_eq!(schema.record_length(record), Ok(record.len()), "its end is found whatever its values are");
    let mut out = record.to_vec();
    schema.canonicalize(&mut out);
    Extractor::new(schema, &["id"])
        .expect("a field")
        .extract(&out, &mut [assay_core::schema::Scalar::Null])
        .map_err(|error| error.to_string())?;
    Ok(out)
}

/// The record in a schema with another order of fields and one field more.
fn from_other(schema: &Schema, kind: &Value, record: &[u8]) -> Result<Vec<u8>, String> {
    let fields =
        json!([{"name": "f", "type": kind}, {"name": "more", "type": "int"}, {"name": "id", "type": "string"}]);
    let writer = Schema::parse_value(&json!({"type": "record", "name": "Event", "fields": fields})).expect("valid");
    // The id has one byte of length and three of text.
    let other = [&record[4..], &[14], &record[..4]].concat();
    assert_eq!(writer.record_length(&other), Ok(other.len()));
    let resolver = Resolver::new(&writer, schema).expect("they fit").expect("they differ");
    let mut out = Vec::new();
    resolver.resolve(&other, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_event_is_the_same_in_every_format(case in case()) {
        let schema = schema_of(&case).expect("filtered");
        let stored = from_json(&schema, &case.tagged);
        let stored = stored.map_err(|error| TestCaseError::fail(format!("{error}: {} as {}", case.tagged, case.kind)))?;
        prop_assert_eq!(from_own(&schema, &stored), Ok(stored.clone()));
        prop_assert_eq!(from_other(&schema, &case.kind, &stored), Ok(stored.clone()));
        let shown = to_json(&schema, &stored).expect("a record")["f"].clone();
        prop_assert_eq!(from_json(&schema, &shown), Ok(stored.clone()), "{} as {}", shown, case.kind);
        // The bare form is accepted. If it is not ambiguous, it is read back unchanged.
        let bare = from_json(&schema, &case.bare);
        let bare = bare.map_err(|error| TestCaseError::fail(format!("{error}: {} as {}", case.bare, case.kind)))?;
        if bare == stored && !case.is_ambiguous {
            prop_assert_eq!(shown, case.bare, "as {}", case.kind);
        }
    }
}

/// Values of the underlying type that the logical type does not allow: the event is refused in every format, and its
/// end is found.
#[test]
fn values_outside_of_the_logical_type_are_refused_in_every_format() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2});
    let fixed = |logical: bool| {
        let mut kind = json!({"type": "fixed", "name": "Money", "size": 3});
        if logical {
            kind["logicalType"] = json!("decimal");
            kind["precision"] = json!(4);
        }
        kind
    };
    let uuid = json!({"type": "string", "logicalType": "uuid"});
    let cases = [
        (decimal, json!("bytes"), json!("\u{27}\u{10}"), json!("100.00")),
        (fixed(true), fixed(false), json!("\u{0}\u{27}\u{10}"), json!("10000")),
        (
            uuid.clone(),
            json!("string"),
            json!("f81d4fae-7dec-11d0-a765-00-0c91e6bf6"),
            json!("f81d4fae-7dec-11d0-a765-00-0c91e6bf6"),
        ),
        (uuid, json!("string"), json!(""), json!("")),
    ];
    for (kind, plain, raw, shown) in cases {
        for way in 0..5 {
            let around = |kind: &Value| match way {
                0 => kind.clone(),
                1 => json!(["null", kind]),
                2 => json!({"type": "array", "items": kind}),
                3 => json!({"type": "map", "values": {"type": "array", "items": ["null", kind]}}),
                _ => json!({"type": "record", "name": "In", "fields": [{"name": "x", "type": kind}]}),
            };
            let value = |value: &Value| match way {
                0 | 1 => value.clone(),
                2 => json!([value]),
                3 => json!({"a": [null, value]}),
                _ => json!({"x": value}),
            };
            let schema = Schema::parse_value(&record_of(&around(&kind))).expect("valid");
            let writer = Schema::parse_value(&record_of(&around(&plain))).expect("valid");
            let record = from_json(&writer, &value(&raw)).expect("a value of the plain type");
            assert!(from_json(&schema, &value(&shown)).is_err(), "{kind}");
            assert!(from_own(&schema, &record).is_err(), "{kind}");
            assert!(from_other(&schema, &around(&kind), &record).is_err(), "{kind}");
            assert!(from_other(&schema, &around(&plain), &record).is_err(), "{kind}");
        }
    }
}

/// Values of unions with and without tags, and the form in which they are read back.
#[test]
fn values_of_unions_are_read_tagged_and_bare() {
    let record = |name: &str, fields: Value| json!({"type": "record", "name": name, "fields": fields});
    let a = record("ns.A", json!([{"name": "x", "type": "int"}, {"name": "y", "type": "int", "default": 0}]));
    let b = record("ns.B", json!([{"name": "z", "type": "int"}]));
    let map = |values: Value| json!({"type": "map", "values": values});
    let cases = [
        // A map is tagged, or bare, or bare with the tag's name as its key.
        (json!(["null", map(json!("long"))]), json!({"map": {"k": 1}}), json!({"k": 1})),
        (json!(["null", map(json!("long"))]), json!({"map": 1}), json!({"map": 1})),
        (json!(["null", map(json!("long"))]), json!({"map": 1, "k": 2}), json!({"map": 1, "k": 2})),
        (json!(["null", map(map(json!("long")))]), json!({"map": {"k": {"l": 1}}}), json!({"k": {"l": 1}})),
        (json!(["null", map(map(json!("long")))]), json!({"map": {"l": 1}}), json!({"map": {"l": 1}})),
        (json!(["string", map(json!("string"))]), json!({"string": "x"}), json!("x")),
        (json!(["string", map(json!("string"))]), json!({"map": {"string": "x"}}), json!({"map": {"string": "x"}})),
        (json!(["string", map(json!("long"))]), json!({"string": 1}), json!({"map": {"string": 1}})),
        // Records by their full name, their short one, or by their fields.
        (json!([a, b]), json!({"ns.A": {"x": 1}}), json!({"x": 1, "y": 0})),
        (json!([a, b]), json!({"B": {"z": 1}}), json!({"z": 1})),
        (json!([a, b]), json!({"z": 1}), json!({"z": 1})),
        (json!([a, b, map(json!("int"))]), json!({"w": 1}), json!({"w": 1})),
        (json!([a, b, map(json!("int"))]), json!({"map": {"z": 1}}), json!({"map": {"z": 1}})),
        // Arrays, enums, nulls.
        (json!(["null", {"type": "array", "items": "int"}]), json!({"array": [1]}), json!([1])),
        (json!(["int", {"type": "enum", "name": "ns.E", "symbols": ["S"]}]), json!({"E": "S"}), json!("S")),
        (json!(["null", "string", "int"]), json!({"null": null}), json!(null)),
        // A text that fits two branches is read back with its tag.
        (json!(["string", "bytes"]), json!({"bytes": "x"}), json!({"bytes": "x"})),
        (json!(["int", "long"]), json!({"long": 1}), json!({"long": 1})),
        (json!(["int", "long"]), json!(5_000_000_000_i64), json!(5_000_000_000_i64)),
        (json!(["float", "double"]), json!(0.1), json!(0.1)),
    ];
    for (kind, sent, shown) in cases {
        let schema = Schema::parse_value(&record_of(&kind)).expect("valid");
        let stored = from_json(&schema, &sent).unwrap_or_else(|error| panic!("{error}: {sent} as {kind}"));
        assert_eq!(to_json(&schema, &stored).expect("a record")["f"], shown, "{sent} as {kind}");
        assert_eq!(from_json(&schema, &shown), Ok(stored), "{shown} as {kind}");
    }
    for (kind, sent) in [
        (json!([a, b]), json!({"x": 1, "z": 1})),
        (json!([a, b]), json!({"ns.A": {"x": 1}, "z": 1})),
        (json!(["null", "string"]), json!({"string": "x", "more": 1})),
        (json!(["null", "string"]), json!({"strin": "x"})),
        (json!(["null", map(json!("long"))]), json!({"map": {"k": "x"}})),
    ] {
        let schema = Schema::parse_value(&record_of(&kind)).expect("valid");
        let error = from_json(&schema, &sent).expect_err("refused");
        assert!(error.contains("`f"), "{error}");
    }
}

/// Objects that may be tagged or bare at each of many levels are read in bounded time.
#[test]
fn ambiguous_objects_take_bounded_time() {
    let inner = json!({"name": "map", "type": ["null", {"type": "map", "values": "Node"}], "default": null});
    let kind = json!({"type": "record", "name": "Node", "fields": [inner]});
    let schema = Schema::parse_value(&record_of(&kind)).expect("valid");
    let mut value = json!({"wrong": 1});
    for _ in 0..25 {
        value = json!({"map": {"map": value}});
    }
    assert!(from_json(&schema, &value).is_err());
}
