//! Which definitions of a list are wanted. Several filters narrow it together.

use assay_core::rule::Mode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

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
    #[param(inline, example = "active")]
    mode: Option<RuleMode>,
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

/// A rule's mode.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RuleMode {
    Active,
    Shadow,
    Paused,
}

impl From<RuleMode> for Mode {
    fn from(mode: RuleMode) -> Self {
        match mode {
            RuleMode::Active => Self::Active,
            RuleMode::Shadow => Self::Shadow,
            RuleMode::Paused => Self::Paused,
        }
    }
}

impl RuleFilter {
    pub(crate) fn takes(&self, rule: &Value) -> bool {
        let plugin = text(rule, "plugin");
        let mode = || rule.get("mode").and_then(|mode| Mode::deserialize(mode).ok());
        contains(rule, "rule", &self.name)
            && is(rule, "stream", &self.stream)
            && self.mode.is_none_or(|wanted| mode() == Some(wanted.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_of_rules_can_be_asked_for() {
        for name in Mode::NAMES {
            let filter: RuleFilter = serde_json::from_value(serde_json::json!({ "mode": name })).unwrap();
            for mode in Mode::NAMES {
                assert_eq!(filter.takes(&serde_json::json!({ "rule": "r", "mode": mode })), mode == name);
            }
        }
    }
}
