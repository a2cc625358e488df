//! Single cases of decoding and extracting: malformed records among good ones, limits, and errors.

#![allow(clippy::expect_used, reason = "a test may panic")]

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use assay_core::schema::{DecodeProblem, Decoder, Extractor, Scalar, Schema};

const PAYMENTS: &str = r#"{
  "type": "record", "name": "Payment", "fields": [
    {"name": "id", "type": "string"},
    {"name": "card", "type": "string"},
    {"name": "merchant", "type": "string"},
    {"name": "country", "type": "string"},
    {"name": "amount", "type": "double"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}}
]}"#;

fn payment(id: &str, amount: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [id, "card-1", "shop", "DE"] {
        bytes.push(text.len() as u8 * 2);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&amount.to_le_bytes());
    // 1,700,000,000,000 ms.
    bytes.extend_from_slice(&[0x80, 0xa0, 0xab, 0xfe, 0xf9, 0x62]);
    bytes
}

#[test]
fn a_malformed_record_leaves_no_trace_in_the_columns() {
    let schema = Schema::parse(PAYMENTS).expect("valid");
    let mut decoder = Decoder::new(&schema, &["amount", "id"]).expect("fields");
    let (good, better) = (payment("one", 1.5), payment("three", 3.5));
    let cut = payment("two", 2.5);
    let decoded = decoder.decode([good.as_slice(), &cut[..30], better.as_slice()]);
    assert_eq!(decoded.rows, [0, 2]);
    assert_eq!(decoded.columns[0].as_primitive::<Float64Type>().values().as_ref(), [1.5, 3.5]);
    let ids: Vec<_> = decoded.columns[1].as_string::<i32>().iter().flatten().collect();
    assert_eq!(ids, ["one", "three"]);
    let [(1, error)] = decoded.bad.as_slice() else { panic!("{:?}", decoded.bad) };
    let text = error.to_string();
    assert_eq!(text, "malformed Avro at byte 27 (field `time`): the record ends inside this value");
}

#[test]
fn errors_have_the_place_within_arrays_and_maps() {
    let schema = Schema::parse(
        r#"{"type": "record", "name": "Order", "fields": [{"name": "items", "type": {"type": "array", "items":
           {"type": "record", "name": "Item", "fields": [{"name": "paid", "type": "boolean"}]}}}]}"#,
    )
    .expect("valid");
    let mut decoder = Decoder::new(&schema, &[]).expect("no paths");
    let decoded = decoder.decode([[4, 1, 7, 0].as_slice()]);
    let text = decoded.bad[0].1.to_string();
    assert_eq!(text, "malformed Avro at byte 3 (field `items[].paid`): a boolean must be 0 or 1, not 7");
}

#[test]
fn items_without_bytes_are_limited() {
    let json = r#"{"type": "record", "name": "Bomb", "fields": [
        {"name": "nulls", "type": {"type": "array", "items": {"type": "array", "items": "null"}}}]}"#;
    let schema = Schema::parse(json).expect("valid");
    let mut decoder = Decoder::new(&schema, &[]).expect("no paths");
    // Two arrays with 40,000 nulls each, in a few bytes.
    let bomb = [4, 0x80, 0xf1, 0x04, 0, 0x80, 0xf1, 0x04, 0, 0];
    let one = [2, 0x80, 0xf1, 0x04, 0, 0];
    let decoded = decoder.decode([bomb.as_slice(), one.as_slice()]);
    assert_eq!(decoded.rows, [1]);
    assert_eq!(decoded.bad[0].1.problem, DecodeProblem::TooManyItems);
}

#[test]
fn a_block_with_its_size_is_read_and_the_size_is_checked() {
    let json = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "array", "items": "int"}}, {"name": "b", "type": "int"}]}"#;
    let schema = Schema::parse(json).expect("valid");
    let mut decoder = Decoder::new(&schema, &["b"]).expect("a field");
    let decoded = decoder.decode([[3, 4, 2, 4, 0, 14].as_slice(), &[3, 6, 2, 4, 0, 14]]);
    assert_eq!(decoded.columns[0].as_primitive::<Int64Type>().values().as_ref(), [7]);
    assert_eq!(decoded.bad[0].1.problem, DecodeProblem::BlockSize(3));
}

#[test]
fn a_key_is_canonical_text() {
    let schema = Schema::parse(PAYMENTS).expect("valid");
    let extractor = Extractor::new(&schema, &["card", "time"]).expect("fields");
    let bytes = payment("one", 1.0);
    let mut values = [Scalar::Null; 2];
    extractor.extract(&bytes, &mut values).expect("a good record");
    assert_eq!(values[0].key().as_deref(), Some("card-1"));
    assert_eq!(values[1].millis(), Some(1_700_000_000_000));
    assert_eq!(Scalar::Int(-7).key().as_deref(), Some("-7"));
    assert_eq!(Scalar::Double(1.0).key(), None);
}
