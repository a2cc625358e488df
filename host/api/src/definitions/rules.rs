//! Rules as definitions: which of them a list shows, and how the document shows one.

use assay_core::rule::{Mode, PluginRef, RuleDef};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::filters::{contains, is};
use super::resource::{Filter, Resource};

/// Which rules are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RuleFilter {
    /// Only those whose name has this in it.
    #[param(example = "card")]
    name: Option<String>,
    /// Only those of this stream.
    #[param(example = "payments")]
    stream: Option<String>,
    /// Only those in this mode.
    #[param(inline, example = "active")]
    mode: Option<RuleMode>,
    /// Only those with this plugin: by name, or as the rule has it, such as `velocity@1`.
    #[param(example = "velocity")]
    plugin: Option<String>,
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

impl Filter<RuleDef> for RuleFilter {
    fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    fn takes(&self, def: &RuleDef) -> bool {
        contains(&def.rule, &self.name)
            && is(&def.stream, &self.stream)
            && self.mode.is_none_or(|wanted| def.mode == wanted.into())
            && self.plugin.as_deref().is_none_or(|wanted| has_plugin(def, wanted))
    }
}

/// True if a rule has a plugin, by name or as the rule has it. No rule with an expression has one.
fn has_plugin(def: &RuleDef, wanted: &str) -> bool {
    match &def.plugin {
        Some(reference @ PluginRef::Version { name, .. }) => name == wanted || reference.to_string() == wanted,
        Some(reference) => reference.to_string() == wanted,
        None => wanted.is_empty(),
    }
}

impl Resource for RuleDef {
    type Filter = RuleFilter;

    const EXAMPLE_NAME: &'static str = "card-velocity";

    fn example() -> Value {
        let inputs = json!({"amount": "amount", "spent_1h": "views.card_spend.spent"});
        json!({"rule": "card-velocity", "stream": "payments", "when": "amount > 0.0", "inputs": inputs,
            "plugin": "velocity@1", "config": {"high": 0.9}, "tags": {"review": "score >= 0.95"}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_of_rules_can_be_asked_for() {
        for name in Mode::NAMES {
            let filter: RuleFilter = serde_json::from_value(serde_json::json!({ "mode": name })).unwrap();
            for mode in Mode::NAMES {
                let rule = serde_json::json!({ "rule": "r", "stream": "s", "score": "1.0", "mode": mode });
                assert_eq!(filter.takes(&serde_json::from_value(rule).unwrap()), mode == name);
            }
        }
    }
}
