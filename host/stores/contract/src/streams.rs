//! Definitions of streams for tests.

use assay_core::stream::StreamDef;

/// A stream definition with the key `card` (string) and the time `time` (timestamp-millis).
pub fn stream(name: &str, partitions: u32) -> StreamDef {
    serde_json::from_value(serde_json::json!({
        "stream": name,
        "key": "card",
        "time": "time",
        "partitions": partitions,
        "schema": {
            "type": "record",
            "name": "payment",
            "fields": [
                { "name": "card", "type": "string" },
                { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
            ],
        },
    }))
    .unwrap()
}
