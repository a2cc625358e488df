//! Whether an answer is as the page shows it: it has all fields that are shown, of the same kinds.

use serde_json::Value;

/// What an answer lacks of what is shown; none: nothing. `...` stands for what is left out.
pub(crate) fn lacks(shown: &Value, answer: &Value, at: &str) -> Option<String> {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => {
            shown.iter().filter(|(name, _)| *name != "...").find_map(|(name, shown)| match answer.get(name) {
                None => Some(format!("{at}.{name} is not there")),
                Some(answer) => lacks(shown, answer, &format!("{at}.{name}")),
            })
        }
        (Value::Array(shown), Value::Array(answer)) => {
            // One of the items is as shown.
            let shown = shown.first().filter(|item| item.is_object())?;
            let all: Vec<_> = answer.iter().map(|item| lacks(shown, item, &format!("{at}[]"))).collect();
            if all.iter().any(Option::is_none) { None } else { all.into_iter().flatten().next() }
        }
        (Value::Object(_), other) if !other.is_null() => Some(format!("{at} is {other}, no object")),
        (Value::Array(_), other) => Some(format!("{at} is {other}, no list")),
        (Value::String(_), Value::Number(_) | Value::Bool(_)) => Some(format!("{at} is {answer}, no text")),
        (Value::Number(_), Value::String(_)) => Some(format!("{at} is {answer}, no number")),
        _ => None,
    }
}

#[test]
fn shown_fields_must_be_in_the_answer() {
    let shown = serde_json::json!({"a": 1, "b": [{"c": "x", "...": "..."}], "d": {"e": []}});
    let good = serde_json::json!({"a": 7, "b": [{"c": "y", "f": 1}], "d": {"e": [1]}, "g": 0});
    assert_eq!(lacks(&shown, &good, ""), None);
    for (bad, said) in [
        (serde_json::json!({"a": 7, "b": [], "d": {}}), ".d.e is not there"),
        (serde_json::json!({"a": 7, "b": [{}], "d": {"e": []}}), ".b[].c is not there"),
        (serde_json::json!({"a": "7", "b": [], "d": {"e": []}}), ".a is \"7\", no number"),
    ] {
        assert_eq!(lacks(&shown, &bad, "").as_deref(), Some(said));
    }
}
