//! Reads definitions from JSON or YAML, with messages that say where, and which name was probably meant.

use assay_core::rule::RuleDef;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use assay_engine::Problem;
use assay_engine::ports::catalog::Kind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::{BodyFormat, nearest};

/// Reads a definition as it was sent, and checks that it carries the name that it was sent to.
pub(super) fn read_text(kind: Kind, name: &str, format: BodyFormat, text: &[u8]) -> Result<Value, Problem> {
    let result = match kind {
        Kind::Stream => typed::<StreamDef>(format, text),
        Kind::View => typed::<ViewDef>(format, text),
        Kind::Rule => typed::<RuleDef>(format, text),
        Kind::Plugin | Kind::Key | Kind::Schema => Err(not_by_hand(kind)),
    };
    named(kind, name, result)
}

/// The same for a definition that is part of something larger.
pub(super) fn read_value(kind: Kind, name: &str, value: Value) -> Result<Value, Problem> {
    let result = match kind {
        Kind::Stream => normal::<StreamDef>(serde_json::from_value(value)),
        Kind::View => normal::<ViewDef>(serde_json::from_value(value)),
        Kind::Rule => normal::<RuleDef>(serde_json::from_value(value)),
        Kind::Plugin | Kind::Key | Kind::Schema => Err(not_by_hand(kind)),
    };
    named(kind, name, result)
}

fn typed<T: DeserializeOwned + Serialize>(format: BodyFormat, text: &[u8]) -> Result<Value, String> {
    match format {
        BodyFormat::Yaml => {
            let text = std::str::from_utf8(text).map_err(|error| format!("the body is not UTF-8: {error}"))?;
            // Without strict booleans a field `n` or a country `no` would be false, as in YAML 1.1.
            let options = serde_saphyr::options! { strict_booleans: true };
            let read = serde_saphyr::from_str_with_options(text, options);
            normal::<T>(read.map_err(|error| first_line(&error.to_string())))
        }
        _ => normal::<T>(serde_json::from_slice(text)),
    }
}

/// The YAML reader's message without its drawing of the text around: one line with line and column.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The definition as the catalog keeps it.
fn normal<T: Serialize>(read: Result<T, impl std::fmt::Display>) -> Result<Value, String> {
    let definition = read.map_err(|error| with_suggestion(error.to_string()))?;
    serde_json::to_value(&definition).map_err(|error| error.to_string())
}

fn not_by_hand(kind: Kind) -> String {
    let place =
        if kind == Kind::Schema { "/registry/subjects/{subject}/versions".to_owned() } else { format!("/v1/{kind}s") };
    format!("a {kind} is not changed here: it has a resource of its own, {place}")
}

fn named(kind: Kind, name: &str, result: Result<Value, String>) -> Result<Value, Problem> {
    let problem = |at: String, message| Problem { kind, name: name.to_owned(), at, message };
    let definition = result.map_err(|message| problem(String::new(), message))?;
    // A definition's own name stands in the field that is called like its kind.
    let field = kind.to_string();
    match definition.get(&field).and_then(Value::as_str) {
        Some(own) if own != name => {
            let message = format!("the definition calls itself '{own}', but it was sent as '{name}'");
            Err(problem(field, message))
        }
        _ => Ok(definition),
    }
}

/// Adds the nearest known name to a message of serde about an unknown one.
fn with_suggestion(message: String) -> String {
    match suggestion(&message) {
        Some(known) => format!("{message} (did you mean '{known}'?)"),
        None => message,
    }
}

/// The known name nearest to the unknown one, out of "unknown field `scoer`, expected one of `rule`, `score`".
fn suggestion(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field ").or_else(|| message.split_once("unknown variant "))?;
    let (unknown, rest) = rest.strip_prefix('`')?.split_once('`')?;
    let (_, known) = rest.split_once("expected ")?;
    let words = known.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let known = words.skip_while(|word| matches!(*word, "one" | "of")).take_while(|word| *word != "at");
    nearest(unknown, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "rule: high\nstream: payments\nscore: amount / 10.0\ntags: { big: score >= 0.9 }\n";

    #[test]
    fn yaml_and_json_become_the_same_definition() {
        let yaml = read_text(Kind::Rule, "high", BodyFormat::Yaml, RULE.as_bytes()).unwrap();
        let json = serde_json::to_vec(&yaml).unwrap();
        assert_eq!(read_text(Kind::Rule, "high", BodyFormat::Json, &json).unwrap(), yaml);
        assert_eq!(read_value(Kind::Rule, "high", yaml.clone()).unwrap(), yaml);
        assert_eq!(yaml["mode"], "active");
    }

    #[test]
    fn a_schema_in_yaml_keeps_its_types() {
        let text = "stream: s\nkey: k\ntime: t\nschema:\n  type: record\n  name: S\n  fields:\n    - { name: k, type: string, default: '1' }\n    - { name: n, type: ['null', int], default: null }\n    - { name: d, type: double, default: 1.5 }\n";
        let definition = read_text(Kind::Stream, "s", BodyFormat::Yaml, text.as_bytes()).unwrap();
        let fields = definition["schema"]["fields"].clone();
        let expected = serde_json::json!([
            {"name": "k", "type": "string", "default": "1"},
            {"name": "n", "type": ["null", "int"], "default": null},
            {"name": "d", "type": "double", "default": 1.5},
        ]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest_known() {
        for format in [BodyFormat::Yaml, BodyFormat::Json] {
            let text = match format {
                BodyFormat::Yaml => RULE.replace("score:", "scoer:"),
                _ => r#"{"rule": "high", "stream": "payments", "scoer": "1.0"}"#.to_owned(),
            };
            let problem = read_text(Kind::Rule, "high", format, text.as_bytes()).unwrap_err();
            assert!(problem.message.contains("did you mean 'score'?"), "{}", problem.message);
            assert!(problem.message.contains("line"), "{}", problem.message);
        }
        let text = r#"{"rule": "high", "stream": "payments", "colour": "red"}"#;
        let problem = read_text(Kind::Rule, "high", BodyFormat::Json, text.as_bytes()).unwrap_err();
        assert!(!problem.message.contains("did you mean"), "{}", problem.message);
    }

    #[test]
    fn a_definition_sent_to_another_name_is_refused() {
        let problem = read_text(Kind::Rule, "low", BodyFormat::Yaml, RULE.as_bytes()).unwrap_err();
        assert_eq!(problem.at, "rule");
        assert_eq!(problem.message, "the definition calls itself 'high', but it was sent as 'low'");
    }

    #[test]
    fn a_broken_text_says_where() {
        let problem = read_text(Kind::Rule, "high", BodyFormat::Json, b"{\n  \"rule\": }").unwrap_err();
        assert!(problem.message.contains("line 2 column"), "{}", problem.message);
        let problem = read_text(Kind::Rule, "high", BodyFormat::Yaml, b"rule: high\nstream: [").unwrap_err();
        assert!(problem.message.contains("line"), "{}", problem.message);
    }
}
