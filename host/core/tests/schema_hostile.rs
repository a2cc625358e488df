//! Arbitrary and nearly valid values of every type and every logical type are accepted or refused without a panic.

#![allow(clippy::expect_used, reason = "a test may panic")]

use assay_core::schema::{Decoder, Encoder, Extractor, Resolver, Scalar, Schema, to_json};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every type, and every logical type on every base type, also where it is not allowed.
fn kinds() -> Vec<Value> {
    const LOGICAL: [&str; 12] = [
        "uuid",
        "decimal",
        "duration",
        "date",
        "time-millis",
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
    ];
    let fixed = |size: u32| json!({"type": "fixed", "name": format!("F{size}"), "size": size});
    let plain = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let bases: Vec<Value> =
        plain.iter().map(|name| json!({"type": name})).chain([0, 1, 12, 16, 20].map(fixed)).collect();
    let mut kinds = bases.clone();
    for base in &bases {
        for logical in LOGICAL {
            for (precision, scale) in [(4, 2), (38, 0), (39, 39), (1000, 999)] {
                let mut kind = base.clone();
                kind["logicalType"] = json!(logical);
                if logical == "decimal" {
                    kind["precision"] = json!(precision);
                    kind["scale"] = json!(scale);
                }
                kinds.push(kind);
            }
        }
    }
    kinds.dedup();
    kinds.push(json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}));
    kinds.push(json!({"type": "record", "name": "Q", "fields": [{"name": "A", "type": "int", "default": 1}]}));
    kinds
}

/// A type alone, in unions of two and more types, in an array and in a map.
fn wrap_type(kind: &Value, way: usize) -> Value {
    match way {
        0 => kind.clone(),
        1 => json!(["null", kind]),
        2 => json!({"type": "array", "items": kind}),
        3 => json!({"type": "map", "values": kind}),
        _ => json!([{"type": "array", "items": "int"}, kind, {"type": "map", "values": "string"}]),
    }
}

fn schema(kind: &Value) -> Option<Schema> {
    let fields = json!([{"name": "f", "type": kind}, {"name": "z", "type": "boolean", "default": false}]);
    Schema::parse_value(&json!({"type": "record", "name": "R", "fields": fields})).ok()
}

/// Reads bytes in every way. Accepted bytes can be converted to JSON, which is accepted again.
fn read(schema: &Schema, bytes: &[u8]) {
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.path.as_str()).collect();
    let decoded = Decoder::new(schema, &columns).expect("its own fields").decode([bytes]);
    let shown = to_json(schema, bytes);
    assert_eq!(shown.is_ok(), decoded.bad.is_empty(), "{shown:?}: {:?}", decoded.bad);
    if let Ok(extractor) = Extractor::new(schema, &columns) {
        let mut found = vec![Scalar::Null; columns.len()];
        assert_eq!(extractor.extract(bytes, &mut found).is_ok(), shown.is_ok());
    }
    let mut canonical = bytes.to_vec();
    schema.canonicalize(&mut canonical);
    if let Ok(shown) = shown {
        assert_eq!(schema.record_length(bytes), Ok(bytes.len()));
        assert_eq!(to_json(schema, &canonical).expect("as good as before"), shown);
    }
}

fn encode(schema: &Schema, event: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    Encoder::new(schema).encode(event.as_bytes(), &mut bytes).ok().map(|()| bytes)
}

/// Texts that nearly fit a logical type, and arbitrary ones.
fn text() -> impl Strategy<Value = String> {
    let valid = prop::sample::select(vec![
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "P1Y2M3W4DT5H6M7.008S",
        "P4294967295M4294967295DT4294967.295S",
        "2026-01-31",
        "9999-12-31",
        "-009999-01-01",
        "12:30:00.123456",
        "2026-01-31T12:30:00.123456789Z",
        "9999-12-31T23:59:59.999999999Z",
        "-009999-01-01T00:00:00+23:59",
        "-12.34",
        "99.99",
        "00000000000000000",
        "170141183460469231731687303715884105728",
        "A",
    ]);
    let character = prop_oneof![
        prop::sample::select(vec!['-', ':', '.', '0', '9', 'T', 'Z', 'P', 'M', 'S', '+', 'a', 'F', ' ', 'e']),
        any::<char>(),
    ];
    let change = (any::<prop::sample::Index>(), character, 0_u8..3);
    let near = (valid, prop::collection::vec(change, 0..3)).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (place, char, way) in changes {
            let place = place.index(chars.len() + 1);
            match way {
                0 if place < chars.len() => chars[place] = char,
                1 if place < chars.len() => drop(chars.remove(place)),
                _ => chars.insert(place, char),
            }
        }
        chars.into_iter().collect::<String>()
    });
    prop_oneof![4 => near, 1 => "\\PC{0,40}", 1 => "[-+0-9.:TZPYMWDHS]{0,40}"]
}

/// Numbers as they may stand in JSON.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,25})?",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let quoted = text().prop_map(|text| Value::from(text).to_string());
    let plain = prop_oneof![quoted, number(), Just("null".to_owned()), Just("true".to_owned())];
    (plain, 0_u8..6).prop_map(|(value, way)| match way {
        0 => format!("[{value}]"),
        1 => format!(r#"{{"A": {value}}}"#),
        2 => format!(r#"{{"string": {value}}}"#),
        3 => format!(r#"{{"long": {value}}}"#),
        _ => value,
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = prop::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..45);
    // A length, a text of that length, and the second field.
    let framed = text().prop_map(|text| {
        let mut bytes = Vec::new();
        assay_core::wire::put_signed(&mut bytes, text.len() as i64);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        bytes
    });
    let sixteen = prop::sample::select(vec![0_u8, 0x7f, 0x80, 0xff])
        .prop_map(|first| [&[32, first][..], &[0; 15], &[0]].concat());
    prop_oneof![any_bytes, framed, sixteen]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_json_panics(kind in prop::sample::select(kinds()), way in 0_usize..5, value in value()) {
        if let Some(schema) = schema(&wrap_type(&kind, way))
            && let Some(bytes) = encode(&schema, &format!(r#"{{"f": {value}}}"#))
        {
            read(&schema, &bytes);
            // A number that JSON does not have is written as a text, which is refused as a number.
            let shown = to_json(&schema, &bytes).expect("just read");
            prop_assert_eq!(encode(&schema, &shown.to_string()), Some(bytes), "{} as {}", shown, schema.json());
        }
    }

    #[test]
    fn no_bytes_panic(kind in prop::sample::select(kinds()), way in 0_usize..5, bytes in bytes()) {
        if let Some(schema) = schema(&wrap_type(&kind, way)) {
            read(&schema, &bytes);
            let _ = schema.record_length(&bytes);
        }
    }

    #[test]
    fn no_resolution_panics(
        kinds in (prop::sample::select(kinds()), prop::sample::select(kinds())),
        ways in (0_usize..5, 0_usize..2),
        bytes in bytes(),
        value in value(),
    ) {
        let (Some(writer), Some(reader)) = (schema(&wrap_type(&kinds.0, ways.0)), schema(&wrap_type(&kinds.1, ways.1))) else {
            return Ok(());
        };
        let Ok(Some(resolver)) = Resolver::new(&writer, &reader) else { return Ok(()) };
        for record in [Some(bytes), encode(&writer, &format!(r#"{{"f": {value}}}"#))].into_iter().flatten() {
            let mut out = Vec::new();
            if resolver.resolve(&record, &mut out).is_ok() {
                read(&reader, &out);
                prop_assert!(to_json(&reader, &out).is_ok(), "what was resolved is an event");
            }
        }
    }
}

/// A string that becomes a UUID in a later schema, with every text that has the length of one.
#[test]
fn texts_of_a_uuids_length_are_read_or_refused() {
    let [writer, reader] =
        [json!("string"), json!({"type": "string", "logicalType": "uuid"})].map(|kind| schema(&kind).expect("valid"));
    let resolver = Resolver::new(&writer, &reader).expect("it reads them").expect("they are checked");
    let good = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    for place in 0..36 {
        for other in ["-", "g", "+", " ", "0", "F"] {
            let mut text = good.to_owned();
            text.replace_range(place..=place, other);
            let is_uuid = matches!(place, 8 | 13 | 18 | 23) == (other == "-") && !matches!(other, "g" | "+" | " ");
            let record = encode(&writer, &json!({"f": text}).to_string()).expect("a string");
            let mut out = Vec::new();
            assert_eq!(resolver.resolve(&record, &mut out).is_ok(), is_uuid, "{text}");
            assert_eq!(encode(&reader, &json!({"f": text}).to_string()), is_uuid.then_some(out), "{text}");
        }
    }
}
