//! The manifest of a plugin, and its checks: names, versions, the schema, and limits on all sizes.

use std::collections::BTreeSet;

use assay_core::names::check_name;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::component::{ComponentType, Lift};

use crate::error::ManifestError;

/// The most inputs of a manifest; likewise of tags, reasons, edges and attributes.
const MAX_NAMES: usize = 256;
/// The most bytes of a doc text or a config schema.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// The most bytes of an annotation's key or value.
const MAX_ANNOTATION_BYTES: usize = 4 << 10;

/// A plugin's description of itself: names, inputs, outputs and config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Lower-case letters, digits and dashes.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// A description for authors of rules, in Markdown.
    pub doc: String,
    /// In the order of a batch's columns.
    pub inputs: Vec<Input>,
    /// Names of tags; verdicts refer to them by index.
    pub tags: Vec<String>,
    /// Codes of reasons.
    pub reasons: Vec<String>,
    /// Names of edges.
    pub edges: Vec<String>,
    /// Names of attributes.
    pub attributes: Vec<String>,
    /// JSON Schema of the config: a JSON object.
    pub config_schema: Value,
    /// The version of the layout of states; none: the plugin keeps no state.
    pub state_version: Option<u32>,
    /// Other data as (key, value), which the host does not interpret.
    pub annotations: Vec<(String, String)>,
}

/// An input, which a rule binds to an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[component(record)]
pub struct Input {
    /// Unique in the manifest.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// False: rows may lack it, and a rule may leave it unbound.
    pub required: bool,
    /// A description for authors of rules, in Markdown.
    pub doc: String,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[component(enum)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A 64-bit float.
    #[component(name = "float")]
    Float,
    /// A signed 64-bit integer.
    #[component(name = "int")]
    Int,
    /// True or false.
    #[component(name = "boolean")]
    Boolean,
    /// UTF-8 text.
    #[component(name = "text")]
    Text,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[component(name = "timestamp")]
    Timestamp,
}

/// A manifest before the checks.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct RawManifest {
    name: String,
    version: String,
    doc: String,
    inputs: Vec<Input>,
    tags: Vec<String>,
    reasons: Vec<String>,
    edges: Vec<String>,
    attributes: Vec<String>,
    #[component(name = "config-schema")]
    config_schema: String,
    #[component(name = "state-version")]
    state_version: Option<u32>,
    annotations: Vec<(String, String)>,
}

impl RawManifest {
    /// Checks all rules of the contract for manifests.
    pub(crate) fn check(self) -> Result<Manifest, ManifestError> {
        check_plugin_name(&self.name)?;
        check_at_most("bytes of the doc", self.doc.len(), MAX_TEXT_BYTES)?;
        check_inputs(&self.inputs)?;
        check_names("tag", "tags", &self.tags)?;
        check_names("reason", "reasons", &self.reasons)?;
        check_names("edge", "edges", &self.edges)?;
        check_names("attribute", "attributes", &self.attributes)?;
        check_annotations(&self.annotations)?;
        Ok(Manifest {
            version: parse_version(&self.version)?,
            config_schema: parse_schema(&self.config_schema)?,
            name: self.name,
            doc: self.doc,
            inputs: self.inputs,
            tags: self.tags,
            reasons: self.reasons,
            edges: self.edges,
            attributes: self.attributes,
            state_version: self.state_version,
            annotations: self.annotations,
        })
    }
}

fn check_plugin_name(name: &str) -> Result<(), ManifestError> {
    check_form("plugin", name)?;
    if name.contains('_') {
        return Err(invalid_name("plugin", name, "it may hold only a-z, 0-9 and '-'"));
    }
    Ok(())
}

fn check_inputs(inputs: &[Input]) -> Result<(), ManifestError> {
    check_at_most("inputs", inputs.len(), MAX_NAMES)?;
    let mut seen = BTreeSet::new();
    for input in inputs {
        check_form("input", &input.name)?;
        if input.name.contains('-') {
            return Err(invalid_name("input", &input.name, "it may hold only a-z, 0-9 and '_'"));
        }
        if !seen.insert(input.name.as_str()) {
            return Err(ManifestError::Duplicate { what: "input", name: input.name.clone() });
        }
        check_at_most("bytes of an input's doc", input.doc.len(), MAX_TEXT_BYTES)?;
    }
    Ok(())
}

fn check_names(what: &'static str, plural: &'static str, names: &[String]) -> Result<(), ManifestError> {
    check_at_most(plural, names.len(), MAX_NAMES)?;
    let mut seen = BTreeSet::new();
    for name in names {
        check_form(what, name)?;
        if !seen.insert(name) {
            return Err(ManifestError::Duplicate { what, name: name.clone() });
        }
    }
    Ok(())
}

fn check_annotations(annotations: &[(String, String)]) -> Result<(), ManifestError> {
    check_at_most("annotations", annotations.len(), MAX_NAMES)?;
    let mut seen = BTreeSet::new();
    for (key, value) in annotations {
        check_at_most("bytes of an annotation", key.len().max(value.len()), MAX_ANNOTATION_BYTES)?;
        if key.is_empty() {
            return Err(invalid_name("annotation", key, "it is empty"));
        }
        if !seen.insert(key) {
            return Err(ManifestError::Duplicate { what: "annotation", name: shorten(key) });
        }
    }
    Ok(())
}

fn parse_version(version: &str) -> Result<Version, ManifestError> {
    let refused = |why| ManifestError::Version { version: shorten(version), why };
    if version.len() > 64 {
        return Err(refused("it is longer than 64 characters".to_owned()));
    }
    Version::parse(version).map_err(|error| refused(error.to_string()))
}

fn parse_schema(schema: &str) -> Result<Value, ManifestError> {
    check_at_most("bytes of the config schema", schema.len(), MAX_TEXT_BYTES)?;
    let value: Value = serde_json::from_str(schema).map_err(|error| ManifestError::Schema(error.to_string()))?;
    if !value.is_object() {
        return Err(ManifestError::Schema(format!("expected an object, found {}", shorten(schema))));
    }
    Ok(value)
}

fn check_form(what: &'static str, name: &str) -> Result<(), ManifestError> {
    check_name(name).map_err(|error| invalid_name(what, name, error.why))
}

fn invalid_name(what: &'static str, name: &str, why: &'static str) -> ManifestError {
    ManifestError::Name { what, name: shorten(name), why }
}

fn check_at_most(what: &'static str, found: usize, max: usize) -> Result<(), ManifestError> {
    if found > max { Err(ManifestError::TooMuch { what, found, max }) } else { Ok(()) }
}

/// Shortens a text of a plugin for an error message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawManifest {
        let input = |name: &str| Input { name: name.into(), kind: Kind::Float, required: true, doc: String::new() };
        RawManifest {
            name: "card-velocity".into(),
            version: "1.2.0".into(),
            doc: "Scores".into(),
            inputs: vec![input("amount"), input("spent_1h")],
            tags: vec!["review".into()],
            reasons: vec!["amount-unusual".into()],
            edges: vec!["paid".into()],
            attributes: vec!["speed-kmh".into()],
            config_schema: r#"{"type":"object"}"#.into(),
            state_version: Some(1),
            annotations: vec![("licence".into(), "MIT".into())],
        }
    }

    fn refusal(change: impl FnOnce(&mut RawManifest)) -> String {
        let mut manifest = raw();
        change(&mut manifest);
        manifest.check().expect_err("the manifest breaks a rule").to_string()
    }

    #[test]
    fn a_manifest_that_follows_the_rules_is_accepted() {
        let manifest = raw().check().expect("it follows the rules");
        assert_eq!(manifest.name, "card-velocity");
        assert_eq!(manifest.version, Version::new(1, 2, 0));
        assert_eq!(manifest.inputs[1].name, "spent_1h");
        assert_eq!(manifest.config_schema["type"], "object");
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(refusal(|m| m.name = "Card".into()), "plugin 'Card' is not a name: it must begin with a letter a-z");
        assert!(refusal(|m| m.name = "card_velocity".into()).contains("only a-z, 0-9 and '-'"));
        assert!(refusal(|m| m.version = "1.2".into()).starts_with("version '1.2' is not a semantic version"));
        assert!(refusal(|m| m.inputs[0].name = "spent-1h".into()).contains("input 'spent-1h'"));
        assert_eq!(refusal(|m| m.inputs[0].name = "spent_1h".into()), "input 'spent_1h' appears twice");
        assert_eq!(refusal(|m| m.tags.push("review".into())), "tag 'review' appears twice");
        assert!(refusal(|m| m.reasons[0] = String::new()).contains("it is empty"));
        assert!(refusal(|m| m.edges[0] = "a b".into()).contains("edge 'a b'"));
        assert!(refusal(|m| m.config_schema = "{".into()).contains("JSON Schema object"));
        assert!(refusal(|m| m.config_schema = "[]".into()).contains("found []"));
        assert_eq!(
            refusal(|m| m.attributes = (0..300).map(|i| format!("a{i}")).collect()),
            "attributes: 300 found, at most 256 are allowed"
        );
        assert!(refusal(|m| m.doc = "x".repeat(70_000)).contains("bytes of the doc"));
    }
}
