//! Events with lists and maps, from JSON through Avro to columns, and the values of expressions for them.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use assay_core::expr::{Columns, Expr};
use assay_core::schema::{Decoder, Encoder, Schema};
use serde_json::Value as Json;

/// A batch of events.
pub(crate) struct Events {
    scope: Columns,
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Events {
    /// Events of a schema with these fields. Fields that an event does not have are missing.
    pub(crate) fn new(fields: &Json, events: &[Json]) -> Self {
        let schema = serde_json::json!({ "type": "record", "name": "Event", "fields": fields });
        let schema = Schema::parse_value(&schema).unwrap_or_else(|error| panic!("{error}"));
        let mut encoder = Encoder::new(&schema);
        let records: Vec<Vec<u8>> = events
            .iter()
            .map(|event| {
                let mut record = Vec::new();
                encoder.encode_value(event, &mut record).unwrap_or_else(|error| panic!("{event}: {error}"));
                record
            })
            .collect();
        let paths: Vec<&str> = schema.fields().iter().map(|field| field.path.as_str()).collect();
        let decoded = Decoder::new(&schema, &paths).unwrap().decode(records.iter().map(Vec::as_slice));
        assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        let scope = Columns::new(schema.fields().iter().map(|field| (field.path.clone(), field.kind.clone())));
        Self { scope, columns: decoded.columns, rows: events.len() }
    }

    /// The value of each event, as `show` formats it, or the compile error.
    pub(crate) fn values(&self, source: &str) -> Result<Vec<String>, String> {
        let expr = Expr::compile(source, &self.scope).map_err(|error| error.message)?;
        let array = expr.eval(&self.columns, self.rows).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!((array.len(), array.data_type()), (self.rows, &expr.ty().arrow()), "{source}");
        Ok((0..self.rows).map(|row| show(&array, row)).collect())
    }

    /// Checks the values of expressions. The values of several events are separated by a bar.
    #[track_caller]
    #[allow(dead_code, reason = "each test uses a part")]
    pub(crate) fn check(&self, table: &[(&str, &str)]) {
        for (source, expected) in table {
            let found = self.values(source).unwrap_or_else(|error| panic!("{source}: {error}"));
            assert_eq!(found.join(" | "), *expected, "{source}");
        }
    }
}

/// A value, a missing one as `-`.
pub(crate) fn show(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => format!("'{}'", array.as_string::<i32>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            format!("@{}", array.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::Duration(_) => format!("{}ms", array.as_primitive::<DurationMillisecondType>().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<String> = (0..items.len()).map(|item| show(&items, item)).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Struct(_) => {
            let parts = array.as_struct().columns().iter().map(|part| show(part, row));
            format!("({})", parts.collect::<Vec<_>>().join(", "))
        }
        other => panic!("{other} is no type of an expression"),
    }
}
