//! Cells of CSV as JSON, by the stream's schema. A cell that does not fit its field's type is sent as text, so that the
//! server refuses it with its line.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Number, Value};

use super::csv::Cell;

/// The JSON type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellType {
    Text,
    Number,
    Boolean,
    /// A list, a map or a record, written as JSON.
    Json,
    /// A number if it is one, else a text: times, and unions of several types.
    Any,
}

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Columns(Vec<(Vec<String>, CellType)>);

impl Columns {
    /// Finds the fields that a header names, those of nested records by `outer.inner`.
    ///
    /// # Errors
    /// A column is not a field of the schema, or occurs twice.
    pub(super) fn new(header: &[Cell], schema: &Value) -> Result<Self> {
        let mut named = BTreeMap::new();
        collect_names(schema, &mut named);
        let mut fields = BTreeMap::new();
        collect_fields(schema, "", &named, &mut fields);
        let mut columns = Vec::new();
        for cell in header {
            let name = cell.text.trim();
            let Some(ty) = fields.get(name) else {
                let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                bail!("the column '{name}' is no field of the stream's schema (fields: {known})");
            };
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            ensure!(columns.iter().all(|(other, _)| *other != path), "the column '{name}' is there twice");
            columns.push((path, *ty));
        }
        Ok(Self(columns))
    }

    /// A record as an event.
    ///
    /// # Errors
    /// It has another number of cells than the header.
    pub(super) fn event(&self, cells: &[Cell]) -> Result<Value, String> {
        if cells.len() != self.0.len() {
            return Err(format!("it has {} cells, and the header has {}", cells.len(), self.0.len()));
        }
        let mut event = Map::new();
        for ((path, ty), cell) in self.0.iter().zip(cells) {
            if let Some(value) = value_of(cell, *ty) {
                insert(&mut event, path, value);
            }
        }
        Ok(Value::Object(event))
    }
}

fn insert(into: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            into.insert(name.clone(), value);
        }
        [outer, rest @ ..] => {
            let inner = into.entry(outer.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// A cell as JSON; none if it has no value.
fn value_of(cell: &Cell, ty: CellType) -> Option<Value> {
    let text = cell.text.as_str();
    if text.is_empty() && !cell.is_quoted {
        return None;
    }
    let typed = match ty {
        CellType::Text => None,
        CellType::Number | CellType::Any => number(text.trim()),
        CellType::Boolean => match text.trim() {
            "true" | "TRUE" | "True" | "1" => Some(Value::Bool(true)),
            "false" | "FALSE" | "False" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        CellType::Json => serde_json::from_str(text).ok(),
    };
    Some(typed.unwrap_or_else(|| Value::String(text.to_owned())))
}

fn number(text: &str) -> Option<Value> {
    let exact = serde_json::from_str::<Number>(text).ok();
    // Numbers that are not JSON, such as +1 or .5. A text that begins with a zero stays a text: it may be a name.
    let other = || text.parse::<f64>().ok().filter(|_| text.starts_with(['+', '.', '-'])).and_then(Number::from_f64);
    exact.or_else(other).map(Value::Number)
}

/// The named types of a schema, by their names.
fn collect_names<'a>(schema: &'a Value, named: &mut BTreeMap<&'a str, &'a Value>) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| collect_names(branch, named)),
        Value::Object(parts) => {
            if let Some(name) = parts.get("name").and_then(Value::as_str) {
                // The first definition of a type counts.
                named.entry(name).or_insert(schema);
            }
            for field in parts.get("fields").and_then(Value::as_array).into_iter().flatten() {
                collect_names(&field["type"], named);
            }
            for part in ["type", "items", "values"] {
                parts.get(part).into_iter().for_each(|part| collect_names(part, named));
            }
        }
        _ => {}
    }
}

/// The fields of a record, with those of records in it.
fn collect_fields(
    record: &Value,
    before: &str,
    named: &BTreeMap<&str, &Value>,
    fields: &mut BTreeMap<String, CellType>,
) {
    // A record may contain itself.
    if before.matches('.').count() > 8 {
        return;
    }
    for field in record["fields"].as_array().into_iter().flatten() {
        let name = format!("{before}{}", field["name"].as_str().unwrap_or_default());
        let ty = bare_type(&field["type"], named);
        if let Some(inner) = ty.filter(|ty| ty["type"] == "record") {
            collect_fields(inner, &format!("{name}."), named, fields);
        }
        fields.insert(name, ty.map_or(CellType::Any, cell_type));
    }
}

/// A type without the null of a union, with its name resolved; none for a union of several types.
fn bare_type<'a>(ty: &'a Value, named: &BTreeMap<&str, &'a Value>) -> Option<&'a Value> {
    match ty {
        Value::Array(branches) => {
            let mut others = branches.iter().filter(|branch| *branch != "null");
            let only = others.next()?;
            if others.next().is_some() { None } else { bare_type(only, named) }
        }
        Value::String(name) => Some(named.get(name.rsplit('.').next().unwrap_or(name)).copied().unwrap_or(ty)),
        // Some writers nest types: { "type": { "type": ... } }.
        Value::Object(parts) if parts.get("type").is_some_and(|inner| inner.is_object()) => {
            parts.get("type").and_then(|inner| bare_type(inner, named))
        }
        other => Some(other),
    }
}

fn cell_type(ty: &Value) -> CellType {
    let name = ty.as_str().or_else(|| ty["type"].as_str()).unwrap_or_default();
    let is_logical = !ty["logicalType"].is_null();
    match name {
        "int" | "long" if is_logical => CellType::Any,
        "int" | "long" | "float" | "double" => CellType::Number,
        "boolean" => CellType::Boolean,
        "array" | "map" | "record" => CellType::Json,
        _ => CellType::Text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cells(texts: &[&str]) -> Vec<Cell> {
        texts.iter().map(|text| Cell { text: (*text).to_owned(), is_quoted: false }).collect()
    }

    fn schema() -> Value {
        json!({"type": "record", "name": "S", "fields": [
            {"name": "id", "type": "string"},
            {"name": "n", "type": ["null", "long"]},
            {"name": "x", "type": "double"},
            {"name": "ok", "type": "boolean"},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "lat", "type": "double"}]}},
            {"name": "other", "type": "Place"},
            {"name": "either", "type": ["null", "string", "long"]},
        ]})
    }

    #[test]
    fn cells_are_typed_by_the_schema() {
        let header = ["id", "n", "x", "ok", "time", "tags", "place.lat", "other.lat", "either"];
        let columns = Columns::new(&cells(&header), &schema()).unwrap();
        let event = |texts: &[&str]| columns.event(&cells(texts)).unwrap();
        let full = event(&["007", "9007199254740993", "+.5", "TRUE", "2026-01-01T00:00:00Z", "[\"a\"]", "1", "2", "x"]);
        let expected = json!({"id": "007", "n": 9_007_199_254_740_993_i64, "x": 0.5, "ok": true, "time": "2026-01-01T00:00:00Z",
            "tags": ["a"], "place": {"lat": 1}, "other": {"lat": 2}, "either": "x"});
        assert_eq!(full, expected);
        let sparse = event(&["1", "", "", "", "5", "", "", "", ""]);
        assert_eq!(sparse, json!({"id": "1", "time": 5}));
        // The server says what is wrong with these.
        let odd = event(&["1", "many", "1,5", "maybe", "", "a;b", "", "", ""]);
        assert_eq!(odd, json!({"id": "1", "n": "many", "x": "1,5", "ok": "maybe", "tags": "a;b"}));
        assert!(columns.event(&cells(&["1"])).unwrap_err().contains("it has 1 cells, and the header has 9"));
    }

    #[test]
    fn columns_are_fields() {
        let refused = |header: &[&str]| Columns::new(&cells(header), &schema()).unwrap_err().to_string();
        assert!(
            refused(&["id", "color"])
                .starts_with("the column 'color' is no field of the stream's schema (fields: either, id")
        );
        assert_eq!(refused(&["id", "id"]), "the column 'id' is there twice");
    }
}
