//! Compares a definition as it was sent with the result of parsing it, because serde accepts more than a definition may
//! contain.

use serde_json::Value;

/// Checks that no list was read as a map (serde also reads the fields of a struct from a list), and no text as a number
/// (some YAML parsers read `1_000` as one).
///
/// # Errors
/// The path of the value, what was expected and what was sent.
pub fn check_shape(sent: &Value, kept: &Value) -> Result<(), String> {
    match find_mismatch(sent, kept) {
        None => Ok(()),
        Some((path, expected)) if path.is_empty() => Err(expected),
        Some((path, expected)) => Err(format!("{path}: {expected}")),
    }
}

/// The recursion is bounded: the parsers allow at most 128 levels.
fn find_mismatch(sent: &Value, kept: &Value) -> Option<(String, String)> {
    match (sent, kept) {
        (Value::Array(_), Value::Object(_)) => Some((String::new(), "expected a map, found a list".to_owned())),
        (Value::String(text), Value::Number(_)) => {
            Some((String::new(), format!("expected a number, found the text '{text}'")))
        }
        (Value::Object(sent), Value::Object(kept)) => sent.iter().find_map(|(name, sent)| {
            let (path, expected) = find_mismatch(sent, kept.get(name)?)?;
            Some((if path.is_empty() { name.clone() } else { format!("{name}.{path}") }, expected))
        }),
        (Value::Array(sent), Value::Array(kept)) => {
            sent.iter().zip(kept).enumerate().find_map(|(index, (sent, kept))| {
                let (path, expected) = find_mismatch(sent, kept)?;
                Some((if path.is_empty() { index.to_string() } else { format!("{index}.{path}") }, expected))
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_was_read_as_another_type_is_named() {
        let kept = json!({ "rule": "r", "limits": { "memory": "1MiB" }, "graph": [{ "edge": "e" }], "tiles": 1000, "extra": 1 });
        let refusal = |sent: Value| check_shape(&sent, &kept).unwrap_err();
        assert_eq!(refusal(json!(["r"])), "expected a map, found a list");
        assert_eq!(refusal(json!({ "limits": ["1MiB"] })), "limits: expected a map, found a list");
        assert_eq!(refusal(json!({ "graph": [["e"]] })), "graph.0: expected a map, found a list");
        assert_eq!(refusal(json!({ "tiles": "1_000" })), "tiles: expected a number, found the text '1_000'");
        assert_eq!(check_shape(&kept, &kept), Ok(()));
    }
}
