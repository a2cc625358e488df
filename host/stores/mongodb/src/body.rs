//! JSON as BSON without loss: the kind of each number, the order of fields and every name are read as they were written.
//!
//! A value that BSON or some server would alter is stored as its JSON text in a document of its own: `{__json: "..."}`.

use ::mongodb::bson::{Bson, Document};
use serde_json::{Map, Number, Value};

/// The only field of a document that holds a value as JSON text.
const TEXT: &str = "__json";
/// Deeper values are stored as text. MongoDB refuses documents of more than 100 levels, and a body is some levels deep
/// in its document.
const MAX_BODY_DEPTH: usize = 80;

/// Converts JSON to BSON.
pub(super) fn to_bson(value: &Value) -> Bson {
    convert_at_depth(value, 0)
}

fn convert_at_depth(value: &Value, depth: usize) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::String(text) => Bson::String(text.clone()),
        Value::Number(number) => from_number(number),
        Value::Array(_) | Value::Object(_) if depth == MAX_BODY_DEPTH => wrap_as_text(value),
        Value::Array(values) => values.iter().map(|value| convert_list_item(value, depth + 1)).collect(),
        Value::Object(fields) if !fields.keys().all(|name| is_plain(name)) => wrap_as_text(value),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), convert_at_depth(value, depth + 1)));
            Bson::Document(fields.collect())
        }
    }
}

fn convert_list_item(value: &Value, depth: usize) -> Bson {
    match value {
        // Some servers refuse lists of lists.
        Value::Array(_) => wrap_as_text(value),
        _ => convert_at_depth(value, depth),
    }
}

/// Returns whether MongoDB has no special meaning for a field's name, and it is not [`TEXT`].
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != TEXT && !name.starts_with('$') && !name.contains(['.', '\0'])
}

fn from_number(number: &Number) -> Bson {
    if let Some(int) = number.as_i64() {
        // The smaller type where it fits: shells write it, and queries of people compare with it.
        return i32::try_from(int).map_or(Bson::Int64(int), Bson::Int32);
    }
    match number.as_f64() {
        // Some servers drop the sign of zero.
        Some(double) if number.is_f64() && (double != 0.0 || double.is_sign_positive()) => Bson::Double(double),
        _ => wrap_as_text(&Value::Number(number.clone())),
    }
}

fn wrap_as_text(value: &Value) -> Bson {
    let mut document = Document::new();
    document.insert(TEXT, value.to_string());
    Bson::Document(document)
}

/// Converts BSON to JSON.
///
/// # Errors
/// The path of the first value that has no JSON form, and its type.
pub(super) fn to_json(value: &Bson) -> Result<Value, String> {
    let no_json = |what: String| Err(format!("{what}, which JSON does not have: write it as a number or a text"));
    match value {
        Bson::Null => Ok(Value::Null),
        Bson::Boolean(value) => Ok(Value::Bool(*value)),
        Bson::String(text) => Ok(Value::String(text.clone())),
        Bson::Int32(number) => Ok(Value::from(*number)),
        Bson::Int64(number) => Ok(Value::from(*number)),
        Bson::Double(number) => match Number::from_f64(*number) {
            Some(number) => Ok(Value::Number(number)),
            None => no_json(format!("it is {number}")),
        },
        Bson::Array(values) => {
            let json = |(i, value)| to_json(value).map_err(|reason| format!("[{i}]{}", join_path(reason)));
            values.iter().enumerate().map(json).collect()
        }
        Bson::Document(document) => match document.get(TEXT) {
            Some(Bson::String(text)) if document.len() == 1 => {
                serde_json::from_str(text).map_err(|error| format!("the text in '{TEXT}' is not JSON: {error}"))
            }
            _ => {
                let json = |(name, value): (&String, &Bson)| match to_json(value) {
                    Ok(value) => Ok((name.clone(), value)),
                    Err(reason) => Err(format!(".{name}{}", join_path(reason))),
                };
                document.iter().map(json).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        },
        other => no_json(format!("it is of BSON's type {:?}", other.element_type())),
    }
}

/// The rest of an error after a step of its path: a further step as it is, the reason after a colon.
fn join_path(rest: String) -> String {
    if rest.starts_with(['.', '[']) { rest } else { format!(": {rest}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-3_i32..3).prop_map(|number| Value::from(f64::from(number))),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a.$\0_]{0,2}|__json", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Converts JSON to stored BSON and back. Returns text, which also shows the order of fields and the sign of zero.
    fn round_trip(value: &Value) -> String {
        let document = Document::from_iter([("body".to_owned(), to_bson(value))]);
        let stored = Document::from_reader(&document.to_vec().unwrap()[..]).unwrap();
        to_json(stored.get("body").unwrap()).unwrap().to_string()
    }

    proptest! {
        #[test]
        fn any_json_round_trips(value in json_value()) {
            prop_assert_eq!(round_trip(&value), value.to_string());
        }
    }

    #[test]
    fn plain_json_is_stored_as_native_bson() {
        let value = json!({ "rule": "a", "limit": 5, "high": 1.0, "far": 1_u64 << 40, "tags": { "x": ["score > 1"] } });
        let text = to_bson(&value).to_string();
        assert!(!text.contains(TEXT), "{text}");
        assert_eq!(round_trip(&value), value.to_string());
    }

    #[test]
    fn deep_json_round_trips() {
        let mut value = json!(1);
        for _ in 0..55 {
            value = json!([{ "in": value }]);
        }
        assert_eq!(round_trip(&value), value.to_string());
    }

    #[test]
    fn values_without_a_json_form_are_refused_with_their_path() {
        let document = ::mongodb::bson::doc! { "a": [1, { "b": ::mongodb::bson::DateTime::from_millis(0) }] };
        let why = to_json(&Bson::Document(document)).unwrap_err();
        assert!(why.starts_with(".a[1].b: it is of BSON's type DateTime"), "{why}");
        assert!(to_json(&Bson::Double(f64::NAN)).is_err());
    }
}
