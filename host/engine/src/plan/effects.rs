//! The side effects of a change of the plan: state that begins anew, rules that get another plugin.

use std::collections::BTreeMap;

use assay_core::verdict::PluginStamp;

use super::{Plan, StatePlan, StreamPlan, ViewPlan};
use crate::ports::catalog::Kind;

/// A side effect of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The kind of the definition.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The effect, for the author of the change.
    pub effect: String,
}

/// The side effects of a switch from one plan to another.
pub(crate) fn plan_effects(before: &Plan, after: &Plan) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (name, now) in &after.streams {
        let Some(then) = before.streams.get(name) else { continue };
        add_view_effects(then, now, &mut effects);
        add_plugin_effects(then, now, &mut effects);
        add_state_effects(then, now, &mut effects);
    }
    effects
}

fn add_view_effects(then: &StreamPlan, now: &StreamPlan, effects: &mut Vec<Effect>) {
    let before: BTreeMap<&str, &ViewPlan> = then.views.iter().map(|view| (view.def.view.as_str(), view)).collect();
    for view in &now.views {
        let effect = match before.get(view.def.view.as_str()) {
            None => "it counts events from now on; what the log holds is not counted",
            Some(before) if before.fingerprint != view.fingerprint => "it begins anew, with empty windows",
            Some(_) => continue,
        };
        effects.push(Effect { kind: Kind::View, name: view.def.view.clone(), effect: effect.to_owned() });
    }
}

fn add_plugin_effects(then: &StreamPlan, now: &StreamPlan, effects: &mut Vec<Effect>) {
    let called = |plugin: &Option<PluginStamp>| match plugin {
        Some(plugin) => format!("{} {}", plugin.name, plugin.version),
        None => "an expression".to_owned(),
    };
    for rule in &now.rules {
        let before = then.rules.iter().find(|before| before.stamp.rule == rule.stamp.rule);
        let Some(before) = before.filter(|before| before.stamp.plugin != rule.stamp.plugin) else { continue };
        let (old, new) = (called(&before.stamp.plugin), called(&rule.stamp.plugin));
        let effect = format!("it is scored by {new} instead of {old}");
        effects.push(Effect { kind: Kind::Rule, name: rule.stamp.rule.clone(), effect });
    }
}

fn add_state_effects(then: &StreamPlan, now: &StreamPlan, effects: &mut Vec<Effect>) {
    let after: BTreeMap<&str, &StatePlan> = now.states.iter().map(|state| (state.rule.as_str(), state)).collect();
    for before in &then.states {
        let effect = match after.get(before.rule.as_str()) {
            Some(state) if state.fingerprint != before.fingerprint => "what its plugin remembers is dropped".to_owned(),
            Some(state) if state.version != before.version => format!(
                "what its plugin remembers of an entity goes over from layout {} to {} with its next event",
                before.version, state.version
            ),
            Some(_) => continue,
            None => "what its plugin remembers is dropped".to_owned(),
        };
        effects.push(Effect { kind: Kind::Rule, name: before.rule.clone(), effect });
    }
}
