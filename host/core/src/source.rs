//! Deserializes the sources of expressions in definitions: texts, and also numbers and booleans, which are their own
//! source in YAML and JSON. So `score: 0.5` is the expression `0.5`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The source of an expression.
struct Source(String);

/// Reads the source of an expression.
pub(crate) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Source::deserialize(deserializer).map(|source| source.0)
}

/// Reads a source that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Source>::deserialize(deserializer)?.map(|source| source.0))
}

/// Reads a list of sources.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Source>::deserialize(deserializer)?.into_iter().map(|source| source.0).collect())
}

/// Reads sources by name.
pub(crate) fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let sources = BTreeMap::<String, Source>::deserialize(deserializer)?;
    Ok(sources.into_iter().map(|(name, source)| (name, source.0)).collect())
}

/// The advice for an expression without quotes that YAML has parsed as a list or a map.
const QUOTES: &str = "put the expression in quotes, as in 'a ? 1 : 0'";

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;

        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expression")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Source, E> {
                Ok(Source(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Source, E> {
                Ok(Source(text))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Source, E> {
                Ok(Source(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Source, E> {
                Ok(Source(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Source, E> {
                Ok(Source(value.to_string()))
            }

            fn visit_i128<E: Error>(self, value: i128) -> Result<Source, E> {
                Ok(Source(value.to_string()))
            }

            fn visit_u128<E: Error>(self, value: u128) -> Result<Source, E> {
                Ok(Source(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Source, E> {
                if value.is_finite() {
                    // The debug form keeps the point: 1.0 is a double, 1 an int.
                    return Ok(Source(format!("{value:?}")));
                }
                Err(E::custom("expected an expression, found a number that is not finite"))
            }

            fn visit_unit<E: Error>(self) -> Result<Source, E> {
                Err(E::custom("expected an expression, found nothing; leave the field out, or write 'null' in quotes"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Source, A::Error> {
                Err(A::Error::custom(format!("expected an expression, found a list; {QUOTES}")))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Source, A::Error> {
                Err(A::Error::custom(format!("expected an expression, found a map; {QUOTES}")))
            }
        }

        deserializer.deserialize_any(SourceVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Definition {
        #[serde(deserialize_with = "by_name")]
        sources: BTreeMap<String, String>,
    }

    #[test]
    fn numbers_and_booleans_are_their_own_sources_in_yaml_and_json() {
        let texts = [
            ("0.5", "0.5"),
            ("1", "1"),
            ("1.0", "1.0"),
            ("-3", "-3"),
            ("true", "true"),
            ("1e300", "1e300"),
            ("\"a\"", "a"),
        ];
        for (written, source) in texts {
            let text = format!("{{\"sources\": {{\"x\": {written}}}}}");
            let json: Definition = serde_json::from_str(&text).unwrap();
            let yaml: Definition = serde_saphyr::from_str(&text).unwrap();
            let value: Definition = serde_json::from_value(serde_json::from_str(&text).unwrap()).unwrap();
            for definition in [json, yaml, value] {
                assert_eq!(definition.sources["x"], source, "{text}");
            }
        }
        for (written, reason) in [("[1]", "found a list"), ("{\"a\": 1}", "found a map"), ("null", "found nothing")] {
            let text = format!("{{\"sources\": {{\"x\": {written}}}}}");
            let error = serde_json::from_str::<Definition>(&text).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
