//! Logical types: their JSON, values that are refused, and annotations that are ignored.

use assay_core::schema::{Extractor, Scalar};
use assay_core::types::Type;
use serde_json::{Value, json};

use super::{avro, one, refused, resolved, round_trip, schema};

fn logical(base: &str, name: &str) -> Value {
    json!({"type": base, "logicalType": name})
}

fn decimal(precision: u32, scale: u32) -> Value {
    json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
}

fn fixed(size: u32, name: &str) -> Value {
    json!({"type": "fixed", "name": "F", "size": size, "logicalType": name, "precision": 4, "scale": 1})
}

#[test]
fn texts_of_logical_types_are_read_back() {
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let cases = [
        (logical("int", "date"), json!("2026-01-31"), json!("2026-01-31")),
        (logical("int", "date"), json!(-1), json!("1969-12-31")),
        (logical("int", "date"), json!(i32::MAX), json!(i32::MAX)),
        (logical("int", "time-millis"), json!("12:30:00.5"), json!("12:30:00.5")),
        (logical("int", "time-millis"), json!(1), json!("00:00:00.001")),
        (logical("int", "time-millis"), json!(-1), json!(-1)),
        (logical("long", "time-micros"), json!("23:59:59.999999"), json!("23:59:59.999999")),
        (logical("long", "timestamp-millis"), json!("1970-01-01T00:00:01+00:00"), json!(1000)),
        (
            logical("long", "timestamp-micros"),
            json!("1970-01-01T00:00:00.000001Z"),
            json!("1970-01-01T00:00:00.000001Z"),
        ),
        (logical("long", "timestamp-nanos"), json!(7), json!(7)),
        (logical("long", "local-timestamp-millis"), json!("2026-01-31T12:30:00"), json!(1_769_862_600_000_i64)),
        (
            logical("long", "local-timestamp-micros"),
            json!("1970-01-01T00:00:00.000001"),
            json!("1970-01-01T00:00:00.000001"),
        ),
        (logical("long", "local-timestamp-nanos"), json!(5), json!(5)),
        (decimal(4, 2), json!("12.34"), json!("12.34")),
        (decimal(4, 2), json!("-0.5"), json!("-0.50")),
        (decimal(4, 2), json!(12.34), json!("12.34")),
        (decimal(4, 0), json!(-7), json!("-7")),
        (
            decimal(60, 30),
            json!("123456789012345678901234567890.000000000000000000000000000001"),
            json!("123456789012345678901234567890.000000000000000000000000000001"),
        ),
        (fixed(4, "decimal"), json!("-1.5"), json!("-1.5")),
        (logical("string", "uuid"), json!(uuid), json!(uuid)),
        (fixed(16, "uuid"), json!(uuid), json!(uuid)),
        (fixed(12, "duration"), json!("P1Y2M1W1DT1H1M1.5S"), json!("P14M8DT3661.5S")),
    ];
    for (kind, value, expected) in cases {
        assert_eq!(round_trip(&kind, &value), Ok(expected.clone()), "{value} as {kind}");
        assert_eq!(round_trip(&kind, &expected), Ok(expected), "what comes out goes in: {kind}");
        // In a union with null, and tagged by the type that is underneath.
        assert!(round_trip(&json!(["null", kind]), &value).is_ok(), "{value} as {kind}");
    }
    assert_eq!(round_trip(&json!(["string", decimal(4, 2)]), &json!({"bytes": "1.00"})), Ok(json!({"bytes": "1.00"})));
}

#[test]
fn errors_of_wrong_values_describe_the_expected_ones() {
    let cases = [
        (
            logical("int", "date"),
            json!("2026-02-30"),
            "a date (text such as 2026-01-31, or whole days since 1970), found \"2026-02-30\"",
        ),
        (
            logical("int", "time-millis"),
            json!("12:30:00.0001"),
            "a time of day (text such as 12:30:00.5, to the milliseconds, or whole milliseconds since midnight), found \
          \"12:30:00.0001\"",
        ),
        (
            decimal(4, 2),
            json!("1.234"),
            "a decimal (text such as -12.5) with up to 4 digits, 2 of them behind the point, found \"1.234\"",
        ),
        (
            decimal(4, 2),
            json!(100),
            "a decimal (text such as -12.5) with up to 4 digits, 2 of them behind the point, found 100",
        ),
        (
            fixed(16, "uuid"),
            json!("f81d4fae"),
            "a UUID (text such as f81d4fae-7dec-11d0-a765-00a0c91e6bf6), found \"f81d4fae\"",
        ),
        (
            logical("string", "uuid"),
            json!(""),
            "a UUID (text such as f81d4fae-7dec-11d0-a765-00a0c91e6bf6), found \"\"",
        ),
        (
            fixed(12, "duration"),
            json!("1h"),
            "a duration (ISO 8601 text such as P1M2DT3.5S, to the millisecond), found \"1h\"",
        ),
        (
            logical("long", "local-timestamp-millis"),
            json!("noon"),
            "a local timestamp (whole milliseconds since 1970, or text such as 2026-01-31T12:30:00), found \"noon\"",
        ),
    ];
    for (kind, value, expected) in cases {
        assert_eq!(refused(&kind, &value), format!("field `f`: expected {expected}"));
    }
    // The double may differ from the number that was written. A text has all digits.
    refused(&decimal(30, 2), &json!(123_456_789_012_345.67));
    let exact = super::text_round_trip(&decimal(30, 2), "12345678901234567890.12e0");
    assert_eq!(exact, Ok(json!("12345678901234567890.12")));
    assert!(super::text_round_trip(&decimal(30, 2), "0.1000000000000000001").is_err());
}

/// The years for which dates and times have texts, with their first and last day.
#[test]
fn texts_of_times_cover_the_first_and_the_last_day() {
    let micros = logical("long", "timestamp-micros");
    let local = logical("long", "local-timestamp-micros");
    for (kind, text) in [
        (&micros, "9999-12-31T23:59:59.999999Z"),
        (&micros, "9999-12-30T22:00:00.000001Z"),
        (&micros, "-009999-01-01T00:00:00.000001Z"),
        (&local, "9999-12-31T23:59:59.999999"),
        (&local, "-009999-01-01T00:00:00.000001"),
    ] {
        assert_eq!(round_trip(kind, &json!(text)), Ok(json!(text)));
    }
    let millis = logical("long", "timestamp-millis");
    for (text, number) in [
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999_i64),
        ("9999-12-31T23:59:59+00:00", 253_402_300_799_000),
        ("9999-12-31T23:00:00-00:59", 253_402_300_740_000),
        ("-009999-01-01T00:00:00Z", -377_705_116_800_000),
    ] {
        assert_eq!(round_trip(&millis, &json!(text)), Ok(json!(number)), "{text}");
        assert_eq!(round_trip(&millis, &json!(number)), Ok(json!(number)));
    }
    for text in ["9999-12-31T23:59:59-00:01", "-009999-01-01T00:00:00+00:01", "9999-12-31Z", "9999-12-31T23:59:59"] {
        refused(&millis, &json!(text));
    }
    for date in ["9999-12-31", "-009999-01-01"] {
        assert_eq!(round_trip(&logical("int", "date"), &json!(date)), Ok(json!(date)));
    }
}

/// One UUID is one value, however its text is written (RFC 9562, section 4).
#[test]
fn uuids_are_kept_in_small_letters() {
    let small = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let capital = json!(small.to_uppercase());
    let text = logical("string", "uuid");
    for kind in [text.clone(), fixed(16, "uuid"), json!(["null", text]), json!(["null", "int", text])] {
        assert_eq!(round_trip(&kind, &capital), Ok(json!(small)), "{kind}");
    }
    let read = resolved(&one(&json!("string")), &one(&text), &json!({"f": capital}));
    assert_eq!(read, Ok(json!({"f": small})));
    let nested = json!({"type": "map", "values": {"type": "array", "items": ["null", text]}});
    let (plain, uuids) = (json!({"type": "map", "values": {"type": "array", "items": ["null", "string"]}}), nested);
    let (plain, uuids) = (schema(&one(&plain)), schema(&one(&uuids)));
    let mut bytes = avro(&plain, &json!({"f": {"A": [null, capital, capital], "B": []}})).unwrap();
    uuids.canonicalize(&mut bytes);
    assert_eq!(bytes, avro(&uuids, &json!({"f": {"A": [null, small, small], "B": []}})).unwrap());
    let schema = schema(&one(&logical("string", "uuid")));
    assert_eq!(schema.canonical_text("f", &small.to_uppercase()), small);
    assert_eq!(schema.canonical_text("f", "F81D"), "F81D");
}

#[test]
fn annotations_that_do_not_fit_are_ignored() {
    let text = json!("ab");
    for kind in [
        logical("string", "unknown-logical-type"),
        logical("string", "date"),
        logical("bytes", "uuid"),
        json!({"type": "bytes", "logicalType": "decimal", "scale": 0}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -2}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 2.4}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 0}),
        json!({"type": "bytes", "logicalType": 7}),
        json!({"type": "fixed", "name": "F", "size": 2, "logicalType": "uuid"}),
        json!({"type": "fixed", "name": "F", "size": 2, "logicalType": "duration"}),
        json!({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 5}),
    ] {
        assert_eq!(round_trip(&kind, &text), Ok(text.clone()), "{kind}");
    }
    let inner = json!({"type": "record", "name": "I", "fields": [], "logicalType": "decimal"});
    assert_eq!(round_trip(&inner, &json!({})), Ok(json!({})));
    let items = json!({"type": "array", "items": "int", "logicalType": "date"});
    assert_eq!(round_trip(&items, &json!([1])), Ok(json!([1])));
}

/// Avro writes defaults as values of the underlying type.
#[test]
fn defaults_are_values_of_the_underlying_type() {
    let default = |kind: Value, default: Value| {
        let json = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind, "default": default}]});
        let schema = schema(&json);
        let bytes = avro(&schema, &json!({})).unwrap();
        assay_core::schema::to_json(&schema, &bytes).unwrap()["f"].clone()
    };
    assert_eq!(default(logical("int", "date"), json!(1)), "1970-01-02");
    assert_eq!(default(decimal(4, 2), json!("\u{1}\u{0}")), "2.56");
    assert_eq!(default(fixed(2, "decimal"), json!("\u{0}\u{f}")), "1.5");
    let too_many = json!({"type": "record", "name": "R", "fields": [
        {"name": "f", "type": decimal(2, 0), "default": "\u{1}\u{0}"}]});
    let error = assay_core::schema::Schema::parse_value(&too_many).unwrap_err().to_string();
    assert_eq!(error, "the default of field `f` does not fit its type: the decimal has more than 2 digits");
}

#[test]
fn logical_types_have_columns_of_their_type() {
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let cases = [
        (logical("int", "date"), json!("1970-01-03"), Type::Int, Scalar::Int(2)),
        (decimal(30, 2), json!("-12.34"), Type::Double, Scalar::Double(-12.34)),
        (decimal(40, 20), json!("123456789012345678.25"), Type::Double, Scalar::Double(123_456_789_012_345_678.25)),
        (logical("string", "uuid"), json!(uuid), Type::Text, Scalar::Text(uuid)),
        (
            logical("long", "local-timestamp-micros"),
            json!("1970-01-01T00:00:01"),
            Type::Timestamp,
            Scalar::Timestamp(1000),
        ),
    ];
    for (kind, value, column, expected) in cases {
        let schema = schema(&one(&kind));
        assert_eq!(schema.field("f").unwrap().kind, column);
        let bytes = avro(&schema, &json!({"f": value})).unwrap();
        let mut found = [Scalar::Null];
        let extractor = Extractor::new(&schema, &["f"]).unwrap();
        extractor.extract(&bytes, &mut found).unwrap();
        assert_eq!(found[0], expected, "{kind}");
    }
    let schema = schema(&one(&fixed(16, "uuid")));
    let bytes = avro(&schema, &json!({"f": uuid})).unwrap();
    let mut found = [Scalar::Null];
    let extractor = Extractor::new(&schema, &["f"]).unwrap();
    extractor.extract(&bytes, &mut found).unwrap();
    assert_eq!(found[0].key().as_deref(), Some(uuid));
}

#[test]
fn resolution_keeps_their_meaning() {
    let read = |writer: Value, reader: Value, value: Value| {
        resolved(&one(&writer), &one(&reader), &json!({"f": value})).map(|event| event["f"].clone())
    };
    assert_eq!(read(logical("int", "date"), json!("long"), json!("1970-01-02")), Ok(json!(1)));
    assert_eq!(read(json!("int"), logical("int", "date"), json!(1)), Ok(json!("1970-01-02")));
    assert_eq!(read(decimal(4, 2), decimal(6, 2), json!("1.23")), Ok(json!("1.23")));
    assert_eq!(
        read(logical("string", "uuid"), json!("bytes"), json!("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")).unwrap(),
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    );
    let error = read(json!("string"), logical("string", "uuid"), json!("none")).unwrap_err();
    assert_eq!(error.to_string(), "malformed Avro at byte 5 (field `f`): the text is no UUID");
    let why = |writer: Value, reader: Value| {
        let (writer, reader) = (schema(&one(&writer)), schema(&one(&reader)));
        assay_core::schema::Resolver::new(&writer, &reader).unwrap_err().to_string()
    };
    assert_eq!(
        why(decimal(4, 2), decimal(6, 3)),
        "f: it is written as a decimal of 4 digits, 2 behind the point and read as a decimal of 6 digits, 3 behind \
         the point"
    );
    assert_eq!(
        why(logical("int", "time-millis"), logical("long", "time-micros")),
        "f: it is written as a time of day in milliseconds and read as a time of day in microseconds"
    );
    assert_eq!(
        why(logical("int", "date"), logical("long", "timestamp-millis")),
        "f: it is written as a date and read as a timestamp"
    );
}
