//! Checks of a schema's JSON before it is parsed as Avro, which find the place of mistakes: duplicate names, and
//! defaults that do not fit.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::SchemaError;

fn describe_place(path: &str) -> String {
    if path.is_empty() { "the schema itself".to_owned() } else { format!("`{path}`") }
}

/// Checks that all fields of each record, and all symbols of each enum, have different names.
pub(super) fn check_names(json: &Value) -> Result<(), SchemaError> {
    check_names_in(json, "")
}

fn check_names_in(json: &Value, path: &str) -> Result<(), SchemaError> {
    let parts = match json {
        Value::Object(parts) => parts,
        Value::Array(branches) => {
            let mut branches = branches.iter().enumerate();
            return branches.try_for_each(|(index, branch)| check_names_in(branch, &format!("{path}[{index}]")));
        }
        _ => return Ok(()),
    };
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let twice = |what, names: Vec<&str>, inside: &str| match first_duplicate(&names) {
        Some(name) => Err(SchemaError::Twice { what, name: name.to_owned(), place: describe_place(&below(inside)) }),
        None => Ok(()),
    };
    let list = |name: &str| parts.get(name).and_then(Value::as_array).into_iter().flatten();
    twice("symbol", list("symbols").filter_map(Value::as_str).collect(), "symbols")?;
    twice("field", list("fields").filter_map(|field| field["name"].as_str()).collect(), "fields")?;
    for inside in ["type", "items", "values"] {
        parts.get(inside).map_or(Ok(()), |part| check_names_in(part, &below(inside)))?;
    }
    let fields = below("fields");
    let mut numbered = list("fields").enumerate();
    numbered.try_for_each(|(index, field)| check_names_in(field, &format!("{fields}[{index}]")))
}

fn first_duplicate<'n>(names: &[&'n str]) -> Option<&'n str> {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().find(|name| !seen.insert(**name)).copied()
}

/// The path and the reason of a default that does not fit its field's type, if a schema cannot be parsed because of it
/// alone. The parser does not report the place of all such defaults.
pub(super) fn find_misfit_default(json: &Value) -> Option<(String, String)> {
    let parses = |defaults: usize| {
        let mut json = json.clone();
        let mut left = defaults;
        keep_defaults(&mut json, &mut left);
        apache_avro::Schema::parse(&json).is_ok()
    };
    if !parses(0) {
        return None;
    }
    let (mut good, mut bad) = (0, count_defaults(json));
    // A binary search for the smallest number of leading defaults that does not parse: its last one is wrong.
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if parses(middle) { good = middle } else { bad = middle }
    }
    let mut left = bad;
    let (path, default) = find_default(json, String::new(), &mut left)?;
    Some((path, format!("no type of the field takes {default}")))
}

/// True for a field with a default. An enum may also have a default, but has symbols.
fn is_field_with_default(parts: &Map<String, Value>) -> bool {
    parts.contains_key("default") && parts.contains_key("type") && !parts.contains_key("symbols")
}

fn inner_parts(parts: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    ["type", "items", "values", "fields"].into_iter().filter_map(|name| parts.get(name))
}

fn count_defaults(json: &Value) -> usize {
    match json {
        Value::Array(parts) => parts.iter().map(count_defaults).sum(),
        Value::Object(parts) => {
            usize::from(is_field_with_default(parts)) + inner_parts(parts).map(count_defaults).sum::<usize>()
        }
        _ => 0,
    }
}

/// Removes all defaults but the first `left` ones.
fn keep_defaults(json: &mut Value, left: &mut usize) {
    match json {
        Value::Array(parts) => parts.iter_mut().for_each(|part| keep_defaults(part, left)),
        Value::Object(parts) => {
            if is_field_with_default(parts) {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => drop(parts.remove("default")),
                }
            }
            for name in ["type", "items", "values", "fields"] {
                if let Some(part) = parts.get_mut(name) {
                    keep_defaults(part, left);
                }
            }
        }
        _ => {}
    }
}

/// The path and the default of the `left`-th field with a default, counted from 1.
fn find_default(json: &Value, path: String, left: &mut usize) -> Option<(String, Value)> {
    match json {
        Value::Array(parts) => parts.iter().find_map(|part| find_default(part, path.clone(), left)),
        Value::Object(parts) => {
            let is_field = parts.contains_key("type") && parts.contains_key("name") && !parts.contains_key("fields");
            let path = match parts.get("name").and_then(Value::as_str).filter(|_| is_field) {
                Some(name) if path.is_empty() => name.to_owned(),
                Some(name) => format!("{path}.{name}"),
                None => path,
            };
            if is_field_with_default(parts) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return Some((path, parts["default"].clone()));
                }
            }
            inner_parts(parts).find_map(|part| find_default(part, path.clone(), left))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Schema;

    fn refused(json: &str) -> String {
        Schema::parse(json).unwrap_err().to_string()
    }

    #[test]
    fn duplicate_names_are_refused_with_their_place() {
        let field = |kind: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#);
        let named_twice = r#"{"type":"record","name":"R","name":"S","fields":[]}"#;
        assert!(refused(named_twice).starts_with("not a valid Avro schema: the name 'name' is there twice at line 1"));
        let typed_twice = refused(&field(r#"{"type":"int","type":"long"}"#));
        assert!(typed_twice.contains("the name 'type' is there twice at line 1"), "{typed_twice}");
        assert_eq!(
            refused(&field(r#"{"type":"enum","name":"E","symbols":["A","B","A"]}"#)),
            "not a valid Avro schema: the symbol `A` is there twice in `fields[0].type.symbols`"
        );
        let twice = r#"[{"name":"x","type":"int"},{"name":"x","type":"long"}]"#;
        assert_eq!(
            refused(&format!(r#"{{"type":"record","name":"R","fields":{twice}}}"#)),
            "not a valid Avro schema: the field `x` is there twice in `fields`"
        );
        assert_eq!(
            refused(&field(&format!(r#"["null",{{"type":"record","name":"I","fields":{twice}}}]"#))),
            "not a valid Avro schema: the field `x` is there twice in `fields[0].type[1].fields`"
        );
        let annotated_twice = refused(&field(r#"{"type":"int","x":[{"a":1,"a":2}]}"#));
        assert!(annotated_twice.contains("the name 'a' is there twice at line 1"), "{annotated_twice}");
    }

    #[test]
    fn defaults_may_be_of_any_branch_and_others_are_refused_with_their_field() {
        let fields = |last: &str| {
            format!(
                r#"{{"type":"record","name":"R","fields":[
                {{"name":"a","type":["int","null"],"default":null}}, {{"name":"b","type":["null","string"],"default":"x"}},
                {{"name":"in","type":{{"type":"record","name":"I","fields":[{{"name":"c","type":["null","int"],"default":7}}]}}}},
                {last}, {{"name":"z","type":"int","default":1}}]}}"#
            )
        };
        assert!(Schema::parse(&fields(r#"{"name":"d","type":["string","null"],"default":"y"}"#)).is_ok());
        for (bad, told) in [
            (
                r#"{"name":"d","type":["null","int"],"default":"seven"}"#,
                "`d` does not fit its type: no type of the field takes \"seven\"",
            ),
            (r#"{"name":"d","type":"int","default":true}"#, "`d` does not fit"),
            (
                r#"{"name":"d","type":{"type":"record","name":"J","fields":[{"name":"e","type":["null","long"],"default":"n"}]}}"#,
                "`d.e` does not fit",
            ),
        ] {
            let message = refused(&fields(bad));
            assert!(message.contains(told), "{message}");
        }
    }
}
