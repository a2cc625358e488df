//! Which definitions of a list are wanted. Several filters narrow it together.

use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::http::ApiError;

/// Which streams are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamFilter {
    /// Only those whose name has this in it.
    #[param(example = "payments")]
    name: Option<String>,
    /// Only those that have the events of this stream under another key.
    pub(super) from: Option<String>,
}

/// Which views are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ViewFilter {
    /// Only those whose name has this in it.
    #[param(example = "card")]
    name: Option<String>,
    /// Only those of this stream.
    #[param(example = "payments")]
    pub(super) stream: Option<String>,
}

/// Which rules are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RuleFilter {
    /// Only those whose name has this in it.
    #[param(example = "card")]
    name: Option<String>,
    /// Only those of this stream.
    #[param(example = "payments")]
    pub(super) stream: Option<String>,
    /// Only those in this mode.
    #[param(example = "active")]
    mode: Option<String>,
    /// Only those with this plugin: by name, or as the rule has it, such as `velocity@1`.
    #[param(example = "velocity")]
    plugin: Option<String>,
}

impl StreamFilter {
    pub(super) fn takes(&self, stream: &Value) -> bool {
        contains(stream, "stream", &self.name) && is(stream, "from", &self.from)
    }
}

impl ViewFilter {
    pub(super) fn takes(&self, view: &Value) -> bool {
        contains(view, "view", &self.name) && is(view, "stream", &self.stream)
    }
}

/// The modes that a rule may have.
const MODES: [&str; 3] = ["active", "shadow", "paused"];

impl RuleFilter {
    /// Refuses a mode that no rule can have.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match self.mode.as_deref().filter(|mode| !MODES.contains(mode)) {
            Some(mode) => Err(ApiError::bad_request(format!("mode: expected {}, got '{mode}'", MODES.join(" or ")))),
            None => Ok(()),
        }
    }

    pub(crate) fn takes(&self, rule: &Value) -> bool {
        let plugin = text(rule, "plugin");
        let mode = text(rule, "mode");
        contains(rule, "rule", &self.name)
            && is(rule, "stream", &self.stream)
            && self.mode.as_deref().is_none_or(|wanted| mode.split(':').next() == Some(wanted))
            && self
                .plugin
                .as_deref()
                .is_none_or(|wanted| plugin == wanted || plugin.split_once('@').is_some_and(|(name, _)| name == wanted))
    }
}

fn text<'a>(definition: &'a Value, field: &str) -> &'a str {
    definition.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is(definition: &Value, field: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| text(definition, field) == wanted)
}

fn contains(definition: &Value, field: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| text(definition, field).contains(wanted))
}
