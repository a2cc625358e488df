//! Streams: logs of events of one Avro schema.

use assay_core::stream::StreamDef;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::filters::{contains, is};
use super::resource::{Filter, Resource};

/// Which streams are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamFilter {
    /// Only those whose name has this in it.
    #[param(example = "payments")]
    name: Option<String>,
    /// Only those that have the events of this stream under another key.
    from: Option<String>,
}

impl Filter<StreamDef> for StreamFilter {
    fn stream(&self) -> Option<&str> {
        self.from.as_deref()
    }

    fn takes(&self, def: &StreamDef) -> bool {
        contains(&def.stream, &self.name) && is(def.from.as_deref().unwrap_or_default(), &self.from)
    }
}

impl Resource for StreamDef {
    type Filter = StreamFilter;

    const EXAMPLE_NAME: &'static str = "payments";

    fn example() -> Value {
        let schema = json!({"type": "record", "name": "Payment", "fields": [
            {"name": "id", "type": "string"},
            {"name": "card", "type": "string"},
            {"name": "amount", "type": "double"},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ]});
        json!({"stream": "payments", "key": "card", "time": "time", "id": "id", "schema": schema})
    }
}
