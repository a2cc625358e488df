//! The definition of a rule, as its author uploads it. The engine compiles it against streams, views and plugins.

mod plugin_ref;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::size::Size;
use crate::source;
use crate::span::Span;

pub use plugin_ref::{ParsePluginRefError, PluginRef};

/// Binds a stream, a filter and inputs to a plugin, or to an expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDef {
    /// Its name.
    pub rule: String,
    /// A description in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The stream whose events it scores.
    pub stream: String,
    /// The filter of the events that it scores: an expression of type bool. Without it, it scores all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub when: Option<String>,
    /// The inputs of the plugin: name -> expression.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "source::by_name")]
    pub inputs: BTreeMap<String, String>,
    /// The plugin that scores. A rule has either this or `score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
    /// The version that `plugin` resolved to when this revision was created. The server sets it and ignores a value in
    /// an uploaded definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_plugin: Option<PluginRef>,
    /// The expression that scores, of type double or int.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub score: Option<String>,
    /// The plugin's config: a JSON object that fits the plugin's JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
    /// Tags beside the plugin's own: tag -> expression of type bool, which may use `score`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "source::by_name")]
    pub tags: BTreeMap<String, String>,
    /// The time, in event time, for which the tags of a verdict, also those of its plugin, are tags of the entity.
    /// Without it they last until the rule's next verdict on the entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<Span>,
    /// Edges of the graph that its verdicts make, beside the plugin's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graph: Vec<EdgeDef>,
    /// The treatment of events that it cannot score.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_error: OnError,
    /// Selects the verdicts that record the values of the rule's inputs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record: Record,
    /// Limits on its plugin that are lower than those of the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: RuleLimits,
    /// The mode: it decides if the rule runs and if its verdicts count.
    #[serde(default)]
    pub mode: Mode,
    /// For a paused rule: the mode in which it resumes, if that is not the mode in which it ran last. A rollback of a
    /// paused rule sets it. The server removes it from a rule that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_mode: Option<Mode>,
}

impl RuleDef {
    /// The mode in which it runs or, if it is paused, resumes; none if the definition does not say it.
    pub fn running_mode(&self) -> Option<Mode> {
        Some(self.mode).filter(|mode| *mode != Mode::Paused).or(self.resume_mode).filter(|mode| *mode != Mode::Paused)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An edge of the graph that each verdict of a rule makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeDef {
    /// Its name.
    pub edge: String,
    /// The node where it begins: an expression of type string or int. Without a value there is no edge.
    #[serde(deserialize_with = "source::one")]
    pub from: String,
    /// The node where it ends.
    #[serde(deserialize_with = "source::one")]
    pub to: String,
    /// The filter of the verdicts that add it: an expression of type bool, which may use `score`. Without it, all do.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub when: Option<String>,
    /// Values that are stored with it, beside score, time and rule: name -> expression, which may use `score`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "source::by_name")]
    pub facets: BTreeMap<String, String>,
}

/// The treatment of an event that a rule cannot score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The event becomes a dead letter.
    #[default]
    DeadLetter,
    /// The event has no verdict of the rule, and nothing is stored.
    Skip,
    /// The partition stops before the event until the rule or its plugin is changed.
    Halt,
}

/// Selects the verdicts that record the values of the rule's inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// All verdicts.
    #[default]
    All,
    /// Verdicts with a tag.
    Tagged,
    /// No verdict.
    None,
}

/// Limits on the plugin of a rule. An absent limit is that of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleLimits {
    /// CPU time per event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_per_event: Option<Span>,
    /// Memory of an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// State of one entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Size>,
}

/// The effect of a rule: it may run, and its verdicts may count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It runs and counts.
    #[default]
    Active,
    /// It runs on live events. Its verdicts are stored and shown, but profiles and other rules do not use them.
    Shadow,
    /// It does not run.
    Paused,
}

impl Mode {
    /// All modes, as definitions name them.
    pub const NAMES: [&str; 3] = ["active", "shadow", "paused"];

    /// Its name in definitions and stores.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_named_as_definitions_name_them() {
        let modes = [Mode::Active, Mode::Shadow, Mode::Paused];
        let names = modes.map(|mode| serde_json::to_value(mode).unwrap());
        assert_eq!(names, Mode::NAMES);
        assert_eq!(names, modes.map(Mode::name));
    }
}
