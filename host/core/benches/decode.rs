//! Measures ns per payment: Avro to columns, single fields, JSON to Avro. `cargo bench -p assay-core --bench decode [--
//! PART-OF-A-NAME]`.

#![allow(clippy::expect_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Instant;

use assay_core::schema::{Decoder, Encoder, Extractor, Scalar, Schema, to_json};

const ROWS: usize = 4096;
const BATCHES: usize = 16;
const PAYMENTS: &str = r#"{
  "type": "record", "name": "Payment", "fields": [
    {"name": "id", "type": "string"},
    {"name": "card", "type": "string"},
    {"name": "merchant", "type": "string"},
    {"name": "country", "type": "string"},
    {"name": "amount", "type": "double"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}}
]}"#;

fn main() {
    let schema = Schema::parse(PAYMENTS).expect("a valid schema");
    let json: Vec<Vec<u8>> = (0..ROWS * BATCHES).map(|index| payment(index).into_bytes()).collect();
    let mut encoder = Encoder::new(&schema);
    let encode = |json: &Vec<u8>| {
        let mut out = Vec::new();
        encoder.encode(json, &mut out).expect("it fits");
        out
    };
    let records: Vec<Vec<u8>> = json.iter().map(encode).collect();
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!("{} payments of {} bytes as Avro", records.len(), bytes / records.len());

    for projection in [
        ["id", "card", "merchant", "country", "amount", "time"].as_slice(),
        &["card", "amount", "time"],
        &["amount", "time"],
        &[],
    ] {
        let mut decoder = Decoder::new(&schema, projection).expect("fields");
        measure(&format!("decode, {} of 6 fields", projection.len()), records.len(), || {
            for batch in records.chunks(ROWS) {
                black_box(decoder.decode(batch.iter().map(Vec::as_slice)));
            }
        });
    }

    let extractor = Extractor::new(&schema, &["id", "card", "time"]).expect("fields");
    measure("extract id, key and time", records.len(), || {
        for record in &records {
            let mut values = [Scalar::Null; 3];
            extractor.extract(record, &mut values).expect("a good record");
            black_box(values);
        }
    });

    let mut encoder = Encoder::new(&schema);
    let mut out = Vec::new();
    measure("JSON into Avro", records.len(), || {
        for event in &json {
            out.clear();
            encoder.encode(event, &mut out).expect("it fits");
            black_box(&out);
        }
    });
    measure("JSON, only parsed", records.len(), || {
        for event in &json {
            black_box(serde_json::from_slice::<serde::de::IgnoredAny>(event).expect("JSON"));
        }
    });
    measure("Avro into JSON", records.len(), || {
        for record in &records {
            black_box(to_json(&schema, record).expect("a good record"));
        }
    });
}

/// Reports the best of fifteen rounds, to exclude the influence of other processes.
fn measure(name: &str, records: usize, mut round: impl FnMut()) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let best = (0..15)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / records as f64
        })
        .fold(f64::INFINITY, f64::min);
    println!("{name:<28}{best:>8.1} ns");
}

fn payment(index: usize) -> String {
    let card = index * 7919 % 100_000;
    let country = ["DE", "FR", "US", "JP", "BR"][index % 5];
    let amount = (index * 31 % 100_000) as f64 / 100.0;
    let time = 1_700_000_000_000 + index * 13;
    format!(
        r#"{{"id":"p-{index:010}","card":"card-{card:06}","merchant":"merchant-{:04}","country":"{country}","amount":{amount},"time":{time}}}"#,
        index % 5000
    )
}
