//! Reads definitions from JSON or YAML, with messages that say where, and which name was probably meant.

use assay_core::plain_words::in_plain_words;
use assay_core::shape::check_shape;
use assay_core::{json, yaml};
use assay_engine::Problem;
use assay_engine::definition::{Definition, DefinitionType, Kind, WithType};
use serde_json::Value;

use crate::http::{BodyFormat, nearest};

/// Reads a definition as it was sent, and checks that it carries the name that it was sent to.
pub(super) fn read_text(kind: Kind, name: &str, format: BodyFormat, text: &[u8]) -> Result<Definition, Problem> {
    struct Text<'a>(BodyFormat, &'a [u8]);

    impl WithType for Text<'_> {
        type Output = Result<Definition, String>;

        fn call<T: DefinitionType>(self) -> Self::Output {
            typed::<T>(self.0, self.1)
        }
    }

    check_editable(kind, name)?;
    named(kind, name, kind.with_type(Text(format, text)))
}

/// The same for a definition that is part of something larger.
pub(super) fn read_value(kind: Kind, name: &str, value: &Value) -> Result<Definition, Problem> {
    struct Tree<'a>(&'a Value);

    impl WithType for Tree<'_> {
        type Output = Result<Definition, String>;

        fn call<T: DefinitionType>(self) -> Self::Output {
            of_tree::<T>(self.0)
        }
    }

    check_editable(kind, name)?;
    named(kind, name, kind.with_type(Tree(value)))
}

/// Refuses a kind that has a resource of its own.
pub(super) fn check_editable(kind: Kind, name: &str) -> Result<(), Problem> {
    let properties = kind.properties();
    if properties.is_editable {
        return Ok(());
    }
    let message = format!("a {kind} is not changed here: it has a resource of its own, {}", properties.path);
    Err(Problem { kind, name: name.to_owned(), at: String::new(), message })
}

fn typed<T: DefinitionType>(format: BodyFormat, text: &[u8]) -> Result<Definition, String> {
    match format {
        BodyFormat::Yaml => {
            let text = std::str::from_utf8(text).map_err(|error| {
                format!("the body is not UTF-8: the byte at {} begins no character", error.valid_up_to())
            })?;
            let definition = yaml::parse::<T>(text).map_err(with_suggestion)?;
            checked(definition, &yaml::parse::<Value>(text)?)
        }
        _ => {
            let tree = json::parse(text).map_err(|error| in_plain_words(&error.to_string()))?;
            // From the text, so that mistakes have their line.
            let definition = serde_json::from_slice::<T>(text);
            checked(definition.map_err(|error| with_suggestion(in_plain_words(&error.to_string())))?, &tree)
        }
    }
}

/// Reads a definition of a tree, where mistakes are told with their path.
fn of_tree<T: DefinitionType>(tree: &Value) -> Result<Definition, String> {
    let definition = serde_path_to_error::deserialize::<_, T>(tree).map_err(|error| {
        let message = with_suggestion(in_plain_words(&error.inner().to_string()));
        match error.path().to_string() {
            path if path == "." => message,
            path => format!("{path}: {message}"),
        }
    })?;
    checked(definition, tree)
}

/// The definition, if it has the shape of what was sent.
fn checked<T: DefinitionType>(definition: T, sent: &Value) -> Result<Definition, String> {
    let definition: Definition = definition.into();
    check_shape(sent, &definition.to_json())?;
    Ok(definition)
}

fn named(kind: Kind, name: &str, result: Result<Definition, String>) -> Result<Definition, Problem> {
    let problem = |at: &str, message| Problem { kind, name: name.to_owned(), at: at.to_owned(), message };
    let definition = result.map_err(|message| problem("", message))?;
    match definition.own_name() {
        Some(own) if own != name => {
            let message = format!("the definition calls itself '{own}', but it was sent as '{name}'");
            Err(problem(kind.properties().name, message))
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
