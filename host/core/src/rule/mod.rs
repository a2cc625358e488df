//! What a rule is: the definition that its author uploads. The engine compiles it against streams, views and plugins.

mod plugin_ref;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::size::Size;
use crate::source;
use crate::span::Span;

pub use plugin_ref::{NotAPlugin, PluginRef};

/// Binds a stream, a filter and inputs to a plugin, or to an expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDef {
    /// Its name.
    pub rule: String,
    /// What it is for. Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The stream whose events it judges.
    pub stream: String,
    /// Which events it judges: an expression of type bool; all, without it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub when: Option<String>,
    /// What the plugin gets: input's name -> expression.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "source::by_name")]
    pub inputs: BTreeMap<String, String>,
    /// The plugin that scores. A rule has either this or `score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
    /// The version that `plugin` meant when this revision was made. The server sets it, whatever a definition says.
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
    /// How long the tags of its verdicts, its plugin's too, are shown as tags of the entity: by the time of the event.
    /// Without it until its next verdict on the entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<Span>,
    /// Edges of the graph that its verdicts make, beside the plugin's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graph: Vec<EdgeDef>,
    /// What becomes of events that it cannot score.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_error: OnError,
    /// Which verdicts keep the values that the rule saw.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record: Record,
    /// What its plugin may use, where that is less than what the server allows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: RuleLimits,
    /// Whether it runs, and whether what it says counts.
    #[serde(default)]
    pub mode: Mode,
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
    /// Which verdicts make it: an expression of type bool, which may use `score`; all, without it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub when: Option<String>,
    /// What is kept with it beside score, time and rule: name -> expression, which may use `score`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "source::by_name")]
    pub facets: BTreeMap<String, String>,
}

/// What becomes of an event that a rule cannot score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is a dead letter.
    #[default]
    DeadLetter,
    /// The rule says nothing of it, and nothing is kept.
    Skip,
    /// Its partition waits before it until the rule, or its plugin, is changed.
    Halt,
}

/// Which verdicts keep the values that the rule saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// All.
    #[default]
    All,
    /// Those with a tag.
    Tagged,
    /// None.
    None,
}

/// What the plugin of a rule may use; what is not said is what the server allows.
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

/// Whether a rule runs, and whether what it says counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It runs and counts.
    #[default]
    Active,
    /// It runs on live events; its verdicts are kept and shown, but profiles and other rules do not see them.
    Shadow,
    /// It does not run.
    Paused,
}
