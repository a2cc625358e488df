//! JSON events to Avro and back: against apache-avro on random schemas, and single cases.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod schema_shapes;

use assay_core::schema::{Encoder, EventError, Schema, to_json};
use proptest::prelude::*;
use schema_shapes::{Dice, encode, record};
use serde_json::{Value as Json, json};

proptest! {
    #![proptest_config(schema_shapes::config())]

    /// Avro of apache-avro is converted to JSON and back to the same bytes, with fields in the schema's order and
    /// reversed.
    #[test]
    fn avro_is_converted_to_json_and_back(shape in record(), seed in any::<u64>()) {
        let json = shape.schema(&mut 0).to_string();
        let schema = Schema::parse(&json).expect("a valid schema");
        let theirs = apache_avro::Schema::parse_str(&json).expect("a valid schema");
        let mut encoder = Encoder::new(&schema);
        let mut dice = Dice::new(seed);
        for _ in 0..5 {
            let bytes = encode(&theirs, shape.value(&mut dice));
            let json = to_json(&schema, &bytes).expect("good bytes");
            let mut out = b"before".to_vec();
            encoder.encode(json.to_string().as_bytes(), &mut out)
                .map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
            prop_assert_eq!(&out[6..], &bytes, "{}", json);
            let turned = reversed(&json);
            out.clear();
            encoder.encode_value(&turned, &mut out)
                .map_err(|error| TestCaseError::fail(format!("{error}: {turned}")))?;
            // Maps have no order, so their bytes may differ: compare the values.
            prop_assert_eq!(to_json(&schema, &out).expect("our own bytes"), json);
        }
    }

    /// Any text is an error or an event that is read back. After an error the output is unchanged.
    #[test]
    fn any_text_is_an_error_or_an_event(shape in record(), json in r#"[\[\]{}:,"f0-3a-ctruenl .-]{0,40}"#) {
        let schema = Schema::parse(&shape.schema(&mut 0).to_string()).expect("a valid schema");
        let mut out = b"before".to_vec();
        match Encoder::new(&schema).encode(json.as_bytes(), &mut out) {
            Ok(()) => drop(to_json(&schema, &out[6..]).expect("our own bytes")),
            Err(_) => prop_assert_eq!(out, b"before"),
        }
    }
}

/// The JSON with the members of every object in the opposite order.
fn reversed(json: &Json) -> Json {
    match json {
        Json::Object(members) => members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect(),
        Json::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

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

fn encoded(event: &str) -> Result<Json, EventError> {
    let schema = schema();
    let mut out = Vec::new();
    Encoder::new(&schema).encode(event.as_bytes(), &mut out)?;
    Ok(to_json(&schema, &out).expect("our own bytes"))
}

fn refused(event: &str) -> String {
    encoded(event).expect_err(event).to_string()
}

#[test]
fn missing_fields_take_their_defaults_or_null() {
    let event = encoded(r#"{"amount": 3, "id": "a", "device": {}}"#).expect("it fits");
    assert_eq!(
        event,
        json!({"id": "a", "amount": 3.0, "count": 1, "time": "1970-01-01T00:00:00.0015Z", "kind": null,
               "device": {"os": "any", "versions": []}, "digest": "\u{0}\u{ff}", "note": null})
    );
}

#[test]
fn values_are_accepted_in_every_usual_form() {
    let event = encoded(
        r#"{"id": "\u00e9\n", "amount": 12.5, "count": 3.0, "time": "2023-11-14T23:13:20+01:00",
            "kind": {"shop.Kind": "WEB"}, "device": {"shop.Device": {"versions": [1, -2]}},
            "digest": "ab", "note": {"string": "x"}}"#,
    )
    .expect("it fits");
    assert_eq!(
        event,
        json!({"id": "é\n", "amount": 12.5, "count": 3, "time": 1_700_000_000_000_i64, "kind": "WEB",
               "device": {"os": "any", "versions": [1, -2]}, "digest": "ab", "note": "x"})
    );
    let numbers = encoded(r#"{"id": "", "amount": 0, "time": 1700000000000, "note": 7}"#).expect("it fits");
    assert_eq!(numbers["time"], 1_700_000_000_000_i64);
    assert_eq!(numbers["note"], json!(7));
}

#[test]
fn errors_name_the_field_the_expected_and_the_found_value() {
    let cases = [
        (r#"{"id": 5, "amount": 1}"#, "field `id`: expected a string, found 5"),
        (r#"{"id": "a", "amount": "1"}"#, "field `amount`: expected a number, found \"1\""),
        (
            r#"{"id": "a", "amount": 1, "count": 3000000000}"#,
            "field `count`: expected a whole number of 32 bits, found 3000000000",
        ),
        (r#"{"id": "a", "amount": 1, "count": 0.5}"#, "field `count`: expected a whole number of 32 bits, found 0.5"),
        (
            r#"{"id": "a", "amount": 1, "kind": "web"}"#,
            "field `kind`: expected one of \"CHIP\", \"WEB\", found \"web\"",
        ),
        (
            r#"{"id": "a", "amount": 1, "time": "yesterday"}"#,
            "field `time`: expected a timestamp (whole milliseconds since 1970, or RFC 3339 text), \
             found \"yesterday\"",
        ),
        (
            r#"{"id": "a", "amount": 1, "device": {"versions": [1, "x"]}}"#,
            "field `device.versions[1]`: expected a whole number of 64 bits, found \"x\"",
        ),
        (r#"{"id": "a", "amuont": 1}"#, "unknown field `amuont`; did you mean `amount`?"),
        (r#"{"id": "a", "amount": 1, "device": {"zzz": 1}}"#, "unknown field `device.zzz`"),
        (r#"{"id": "a"}"#, "field `amount` is missing and has no default"),
        (r#"{"id": "a", "amount": 1, "id": "b"}"#, "field `id` is there twice"),
        (
            r#"{"id": "a", "amount": 1, "note": true}"#,
            "field `note`: expected null or a whole number of 64 bits or a string, found true",
        ),
        (r#"[1]"#, "the event: expected an object, found an array"),
        (r#"{"id": "a", "amount": }"#, "not valid JSON (field `amount`): expected value at line 1 column 23"),
        (
            r#"{"id": "a", "amount": 1} x"#,
            "not valid JSON: the JSON has ended, but something follows it at line 1 column 26",
        ),
    ];
    for (event, expected) in cases {
        assert_eq!(refused(event), expected, "{event}");
    }
}

#[test]
fn json_that_is_not_utf8_is_refused() {
    let mut out = Vec::new();
    let error = Encoder::new(&schema()).encode(b"{\"id\": \"\xff\"}", &mut out).expect_err("no UTF-8");
    assert_eq!(error.to_string(), "not valid JSON: it is not UTF-8: the byte at 8 begins no character");
}

#[test]
fn doubles_keep_every_bit() {
    // serde_json without `float_roundtrip` is one unit in the last place off here.
    let event = encoded(r#"{"id": "", "amount": 127830140.55078125}"#).expect("it fits");
    assert_eq!(event["amount"].as_f64().map(f64::to_bits), Some(127_830_140.550_781_25_f64.to_bits()));
}

/// A number is exactly the one that was written, or it is refused. It is never the nearest double.
#[test]
fn whole_numbers_are_exact_however_they_are_written() {
    let count = |text: &str| encoded(&format!(r#"{{"id": "a", "amount": 1.5e0, "note": {text}}}"#));
    for (text, exact) in [
        ("9007199254740993", 9_007_199_254_740_993_i64),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("-9.007199254740993E+15", -9_007_199_254_740_993),
        ("922337203685477580.7e1", i64::MAX),
        ("1000e-3", 1),
        ("-0.0", 0),
    ] {
        let long = encoded(&format!(r#"{{"amount": 2e0, "id": "1.5", "note": {{"long": {text}}}}}"#)).expect(text);
        assert_eq!(long["note"], json!(exact), "{text}");
        assert_eq!(count(text).expect(text)["note"], json!(exact), "{text}");
    }
    for text in
        ["9007199254740992.5", "9223372036854775808.0", "1.00000000000000000001", "1e-400", "18446744073709551616"]
    {
        assert!(count(text).is_err(), "{text}");
    }
    let refused = count("9007199254740992.5").expect_err("no whole number").to_string();
    assert_eq!(
        refused,
        "field `note`: expected null or a whole number of 64 bits or a string, found 9007199254740992.5"
    );
    // JSON that was parsed earlier has only the double.
    let mut out = Vec::new();
    let event = json!({"id": "a", "amount": 1, "note": {"long": 9_007_199_254_740_992.0_f64}});
    assert!(Encoder::new(&schema()).encode_value(&event, &mut out).is_err());
}

#[test]
fn an_encoder_works_after_an_error() {
    let schema = schema();
    let mut encoder = Encoder::new(&schema);
    let mut out = Vec::new();
    encoder.encode(br#"{"id": "a", "device": {"os": 1}}"#, &mut out).expect_err("a number");
    encoder.encode(br#"{"device": {"os": "x"}, "id": "a", "amount": 1}"#, &mut out).expect("it fits");
    let error = encoder.encode(br#"{"id": 1}"#, &mut out).expect_err("a number").to_string();
    assert_eq!(error, "field `id`: expected a string, found 1");
    assert_eq!(to_json(&schema, &out).expect("one event")["device"]["os"], "x");
}

#[test]
fn an_event_above_the_limit_is_refused() {
    let event = json!({"id": "x".repeat(1 << 20), "amount": 1}).to_string();
    assert!(refused(&event).starts_with("the event has 1048"), "{}", refused(&event));
    let items = format!(r#"{{"id": "", "amount": 1, "device": {{"versions": [0{}]}}}}"#, ",0".repeat(1 << 16));
    assert_eq!(refused(&items), "more than 65536 items in the event's arrays and maps");
}
