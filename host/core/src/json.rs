//! Parses JSON texts to trees. serde_json keeps the last of two values under one name silently; here a duplicate name
//! is an error.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a JSON text. Arrays and objects may be nested 128 levels deep.
///
/// # Errors
/// The text is no JSON, something follows the value, or an object has a name twice. The error has the line and the
/// column.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = StrictVisitor.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Deserializes a [`Value`] and refuses duplicate names: for `deserialize_with` on fields of request bodies.
///
/// # Errors
/// As [`parse`].
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    StrictVisitor.deserialize(deserializer)
}

/// As [`deserialize`], for a field that may be left out or null.
///
/// # Errors
/// As [`parse`].
pub fn deserialize_option<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    struct StrictValue(Value);

    impl<'de> Deserialize<'de> for StrictValue {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            StrictVisitor.deserialize(deserializer).map(Self)
        }
    }

    Ok(Option::<StrictValue>::deserialize(deserializer)?.map(|strict| strict.0))
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(StrictVisitor)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                let shown: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format!("the name '{shown}' is there twice")));
            }
            let value = entries.next_value_seed(StrictVisitor)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_duplicates_is_parsed_as_by_serde_json() {
        let text = r#"{"b": [1, -2, 18446744073709551615, 0.1, true, null, "é\u0041"], "a": {"x": {}}, "": []}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_duplicate_name_is_refused_with_its_place() {
        for text in
            ["{\"a\": 1,\n \"a\": 1}", "[{\"x\": {\"a\": 1,\n \"b\": 2, \"a\": 3}}]", "{\"a\": 1,\n \"\\u0061\": 2}"]
        {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the name 'a' is there twice at line 2 column"), "{error}");
        }
        assert!(parse(b"{} {}").is_err());
    }

    #[test]
    fn nesting_without_end_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(parse(text.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
        }
    }
}
