//! Reads definitions from JSON or YAML, with messages that say where, and which name was probably meant.

use assay_core::plain_words::in_plain_words;
use assay_core::rule::RuleDef;
use assay_core::shape::check_shape;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use assay_core::{json, yaml};
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
        Kind::Stream => of_tree::<StreamDef>(&value),
        Kind::View => of_tree::<ViewDef>(&value),
        Kind::Rule => of_tree::<RuleDef>(&value),
        Kind::Plugin | Kind::Key | Kind::Schema => Err(not_by_hand(kind)),
    };
    named(kind, name, result)
}

fn typed<T: DeserializeOwned + Serialize>(format: BodyFormat, text: &[u8]) -> Result<Value, String> {
    match format {
        BodyFormat::Yaml => {
            let text = std::str::from_utf8(text).map_err(|error| {
                format!("the body is not UTF-8: the byte at {} begins no character", error.valid_up_to())
            })?;
            let definition = yaml::parse::<T>(text).map_err(with_suggestion)?;
            normal(&definition, &yaml::parse::<Value>(text)?)
        }
        _ => {
            let tree = json::parse(text).map_err(|error| in_plain_words(&error.to_string()))?;
            // From the text, so that mistakes have their line.
            let definition = serde_json::from_slice::<T>(text);
            normal(&definition.map_err(|error| with_suggestion(in_plain_words(&error.to_string())))?, &tree)
        }
    }
}

/// Reads a definition of a tree, where mistakes are told with their path.
fn of_tree<T: DeserializeOwned + Serialize>(tree: &Value) -> Result<Value, String> {
    let definition = serde_path_to_error::deserialize::<_, T>(tree).map_err(|error| {
        let message = with_suggestion(in_plain_words(&error.inner().to_string()));
        match error.path().to_string() {
            path if path == "." => message,
            path => format!("{path}: {message}"),
        }
    })?;
    normal(&definition, tree)
}

/// The definition as the catalog keeps it.
fn normal<T: Serialize>(definition: &T, sent: &Value) -> Result<Value, String> {
    let kept = serde_json::to_value(definition).map_err(|error| error.to_string())?;
    check_shape(sent, &kept)?;
    Ok(kept)
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

/// The known name nearest to the unknown one, out of "unknown field 'scoer', expected one of 'rule', 'score'".
fn suggestion(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field ").or_else(|| message.split_once("unknown value "))?;
    let (unknown, rest) = rest.strip_prefix('\'')?.split_once('\'')?;
    let (_, known) = rest.split_once("expected ")?;
    let words = known.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let known = words.skip_while(|word| matches!(*word, "one" | "of")).take_while(|word| *word != "at");
    nearest(unknown, known)
}

#[cfg(test)]
mod tests;
