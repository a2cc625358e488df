//! Definitions of streams for tests.

use assay_core::stream::StreamDef;

/// The definition of a stream, as far as a log needs it.
pub(crate) fn stream(name: &str, partitions: u32) -> StreamDef {
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
