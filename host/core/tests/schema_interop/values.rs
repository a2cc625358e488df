//! Bytes that every decoder must refuse, from Avro's shared table and added ones, and JSON with its bytes.

use assay_core::schema::{Decoder, Resolver};
use serde_json::{Value, json};

use super::{avro, one, schema};

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn malformed_bytes_are_refused() {
    let ints = json!({"type": "array", "items": "int"});
    let symbols = json!({"type": "enum", "name": "E", "symbols": ["A", "B"]});
    let cases = [
        (json!("long"), "80808080808080808080", "a varint without an end"),
        (json!("int"), "8080808080", "a varint without an end"),
        (json!("int"), "808080801000", "more than 32 bits"),
        (ints.clone(), "ffffffffffffffffff0102", "the least count"),
        (ints.clone(), "feffffffffffffffff01", "the highest count"),
        (ints.clone(), "0202", "no end of blocks"),
        (ints, "0102020400", "a block of another size"),
        (json!("bytes"), "01", "a negative length"),
        (json!("string"), "01", "a negative length"),
        (json!("string"), "feffffffffffffffff01", "the highest length"),
        (json!("string"), "02ff", "no UTF-8"),
        (json!("boolean"), "02", "neither 0 nor 1"),
        (json!(["null", "int"]), "01", "a negative branch"),
        (json!(["null", "int"]), "0a", "a branch too high"),
        (symbols.clone(), "01", "a negative symbol"),
        (symbols, "0a", "a symbol too high"),
        (json!("double"), "00000000000000", "seven bytes"),
        (json!({"type": "fixed", "name": "F", "size": 2}), "00", "one byte of two"),
        (json!({"type": "map", "values": "null"}), "0202610200", "a map of one key and a count"),
        (json!("null"), "00", "a byte too many"),
    ];
    for (kind, hex, why) in cases {
        let schema = schema(&one(&kind));
        let record = bytes(hex);
        let decoded = Decoder::new(&schema, &[]).unwrap().decode([record.as_slice()]);
        assert_eq!(decoded.bad.len(), 1, "{why}: {hex} as {kind}");
        assert!(assay_core::schema::to_json(&schema, &record).is_err(), "{why}");
        // Read as a record with one field more, so that the resolver is used.
        let mut wider = one(&kind);
        wider["fields"].as_array_mut().unwrap().push(json!({"name": "more", "type": "int", "default": 0}));
        let resolver = Resolver::new(&schema, &super::schema(&wider)).unwrap().unwrap();
        assert!(resolver.resolve(&record, &mut Vec::new()).is_err(), "{why}");
    }
}

/// The examples of the specification.
#[test]
fn the_examples_of_the_specification_have_its_bytes() {
    let cases: [(Value, Value, &str); 13] = [
        (json!("long"), json!(0), "00"),
        (json!("long"), json!(-1), "01"),
        (json!("long"), json!(1), "02"),
        (json!("long"), json!(-64), "7f"),
        (json!("long"), json!(64), "8001"),
        (json!("string"), json!("foo"), "06666f6f"),
        (json!("boolean"), json!(true), "01"),
        (json!({"type": "array", "items": "long"}), json!([3, 27]), "04063600"),
        (json!(["null", "string"]), json!(null), "00"),
        (json!(["null", "string"]), json!("a"), "020261"),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}), json!("12.34"), "0404d2"),
        (json!({"type": "int", "logicalType": "date"}), json!("1970-01-02"), "02"),
        (
            json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}),
            json!("P1M2DT0.003S"),
            "010000000200000003000000",
        ),
    ];
    for (kind, value, hex) in cases {
        assert_eq!(avro(&schema(&one(&kind)), &json!({"f": value})).unwrap(), bytes(hex), "{value} as {kind}");
    }
}
