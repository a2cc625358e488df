//! Compiles one rule: its filter, its plugin with bound inputs or its expression, and its tags.

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_core::expr::Expr;
use assay_core::rule::{PluginRef, RuleDef, RuleLimits};
use assay_core::span::Span;
use assay_core::types::Type;
use assay_core::verdict::{PluginStamp, RuleStamp};
use assay_runtime::{Manifest, Plugin};

use super::compile::{Defined, Plugins, Problems};
use super::config::check_config;
use super::limits::limits;
use super::scope::{NameVisibility, Slots};
use super::stored::{StoredPlugin, resolve_plugin};
use super::view::compile_filter;
use super::{InputPlan, PluginScorer, RulePlan, Scorer, StatePlan, graph, type_of};
use crate::ports::catalog::Kind;

/// The compiled rule, and the names of the rules whose scores it uses.
pub(super) fn compile(
    defined: &Defined<'_, RuleDef>,
    slots: &Slots<'_>,
    plugins: &Plugins<'_>,
    states: &mut Vec<StatePlan>,
    problems: &mut Problems,
) -> Option<(RulePlan, BTreeSet<String>)> {
    let def = defined.def;
    let before = problems.0.len();
    let scope = slots.scope(NameVisibility::Rule);
    let when = match &def.when {
        Some(source) => problems.ok_or_add(Kind::Rule, &def.rule, "when", compile_filter(source, &scope)),
        None => None,
    };
    let (scorer, mut stamp) = match (&def.plugin, &def.score) {
        (Some(reference), None) => plugin_scorer(defined, reference, slots, plugins, states, problems)?,
        (None, Some(source)) => expression_scorer(def, source, slots, problems)?,
        _ => {
            let message = "expected either 'plugin' or 'score': a rule is scored by one of them";
            problems.add(Kind::Rule, &def.rule, "", message);
            return None;
        }
    };
    let mut tags = Vec::new();
    for (tag, source) in &def.tags {
        let at = format!("tags.{tag}");
        if tag.is_empty() || tag.len() > 64 {
            problems.add(Kind::Rule, &def.rule, &at, "a tag has 1 to 64 characters");
        }
        let expr =
            problems.ok_or_add(Kind::Rule, &def.rule, &at, compile_filter(source, &slots.scope(NameVisibility::Tag)));
        let index = stamp.tags.iter().position(|have| have == tag).unwrap_or_else(|| {
            stamp.tags.push(tag.clone());
            stamp.tags.len() - 1
        });
        // A manifest and a definition are far smaller than a u32.
        tags.extend(expr.map(|expr| (index as u32, expr)));
    }
    if def.expire == Some(Span(0)) {
        problems.add(Kind::Rule, &def.rule, "expire", "expected a span of at least 1ms, such as 30d");
    }
    let graph = graph::edges(def, slots, &mut stamp.edges, problems);
    stamp.revision = defined.revision;
    let slot = slots.slot_of(&format!("scores.{}", def.rule))?;
    if problems.0.len() > before {
        return None;
    }
    let (on_error, record) = (def.on_error, def.record);
    let plan = RulePlan { stamp: Arc::new(stamp), when, scorer, tags, graph, on_error, record, slot };
    let read = plan.when.iter().chain(plan.exprs()).flat_map(|expr| expr.columns());
    let paths = read.map(|slot| slots.path_of(*slot));
    let used = paths.filter_map(|path| path.strip_prefix("scores.").map(str::to_owned)).collect();
    Some((plan, used))
}

fn empty_stamp(def: &RuleDef) -> RuleStamp {
    RuleStamp {
        rule: def.rule.clone(),
        revision: 0,
        mode: def.mode,
        plugin: None,
        tags: Vec::new(),
        reasons: Vec::new(),
        edges: Vec::new(),
        attributes: Vec::new(),
        inputs: Vec::new(),
    }
}

fn expression_scorer(
    def: &RuleDef,
    source: &str,
    slots: &Slots<'_>,
    problems: &mut Problems,
) -> Option<(Scorer, RuleStamp)> {
    if def.config.is_some() || !def.inputs.is_empty() || def.limits != RuleLimits::default() {
        let message = "'inputs', 'config' and 'limits' are for plugins: an expression uses fields, views and scores by \
                       name, and has limits of its own";
        problems.add(Kind::Rule, &def.rule, "", message);
    }
    let score = problems.ok_or_add(
        Kind::Rule,
        &def.rule,
        "score",
        Expr::compile(source, &slots.scope(NameVisibility::Rule)),
    )?;
    if !matches!(score.ty(), Type::Double | Type::Int) {
        let message = format!("a score is of type double or int, this one is of type {}: {source}", score.ty());
        problems.add(Kind::Rule, &def.rule, "score", message);
    }
    let reads = score.columns().to_vec();
    let stamp = RuleStamp { inputs: reads.iter().map(|slot| slots.path_of(*slot)).collect(), ..empty_stamp(def) };
    Some((Scorer::Expression { score, reads }, stamp))
}

fn plugin_scorer(
    defined: &Defined<'_, RuleDef>,
    reference: &PluginRef,
    slots: &Slots<'_>,
    plugins: &Plugins<'_>,
    states: &mut Vec<StatePlan>,
    problems: &mut Problems,
) -> Option<(Scorer, RuleStamp)> {
    let def = defined.def;
    let plugin = problems.ok_or_add(Kind::Rule, &def.rule, "plugin", find_plugin(reference, plugins))?;
    let manifest = plugin.manifest();
    let inputs = bind_inputs(def, manifest, slots, problems);
    let config = def.config.clone().unwrap_or_else(|| serde_json::json!({}));
    let limits = limits(def, plugins.limits, problems);
    let config = problems.ok_or_add(Kind::Rule, &def.rule, "config", check_config(&config, manifest, &plugin, &limits));
    let state = manifest.state_version.map(|version| {
        // Another plugin cannot read what this one remembers (another version of it migrates), and a rule that was
        // deleted and made again remembers nothing.
        let identity = format!("{}@{}/{}", def.rule, defined.created_at_version, manifest.name);
        let fingerprint = xxhash_rust::xxh3::xxh3_64(identity.as_bytes());
        states.push(StatePlan { rule: def.rule.clone(), fingerprint, version });
        states.len() - 1
    });
    let stamp = RuleStamp {
        plugin: Some(PluginStamp {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            digest: plugin.digest(),
        }),
        tags: manifest.tags.clone(),
        reasons: manifest.reasons.clone(),
        edges: manifest.edges.clone(),
        attributes: manifest.attributes.clone(),
        inputs: manifest.inputs.iter().map(|input| input.name.clone()).collect(),
        ..empty_stamp(def)
    };
    Some((Scorer::Plugin(PluginScorer { plugin, config: config?, limits, inputs, state }), stamp))
}

/// The plugin that the reference means.
fn find_plugin(reference: &PluginRef, plugins: &Plugins<'_>) -> Result<Plugin, String> {
    let found = resolve_plugin(reference, &plugins.stored).ok_or_else(|| {
        let have: Vec<String> = plugins.stored.iter().map(ToString::to_string).collect();
        let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
        let is_yanked = |plugin: &&StoredPlugin| reference.matches(&plugin.name, &plugin.version, &plugin.digest);
        let advice = match plugins.stored.iter().find(is_yanked) {
            Some(yanked) => format!("offer one again: assay plugin yank {} --undo", yanked.exact_reference()),
            None => "upload it first: assay plugin push FILE.wasm".to_owned(),
        };
        format!("no uploaded plugin is '{reference}' (uploaded: {have}); {advice}")
    })?;
    plugins.load(found)
}

fn bind_inputs(def: &RuleDef, manifest: &Manifest, slots: &Slots<'_>, problems: &mut Problems) -> Vec<InputPlan> {
    let scope = slots.scope(NameVisibility::Rule);
    for name in def.inputs.keys() {
        if !manifest.inputs.iter().any(|input| input.name == *name) {
            let known: Vec<&str> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
            let message = format!("plugin '{}' has no such input; it has: {}", manifest.name, known.join(", "));
            problems.add(Kind::Rule, &def.rule, &format!("inputs.{name}"), message);
        }
    }
    let mut inputs = Vec::new();
    for input in &manifest.inputs {
        let at = format!("inputs.{}", input.name);
        let expr = match def.inputs.get(&input.name) {
            Some(source) => problems.ok_or_add(Kind::Rule, &def.rule, &at, Expr::compile(source, &scope)),
            None => {
                if input.required {
                    let message = format!("plugin '{}' requires this input: bind it to an expression", manifest.name);
                    problems.add(Kind::Rule, &def.rule, &at, message);
                }
                None
            }
        };
        if let Some(expr) = &expr {
            let expected = type_of(input.kind);
            let widens = expected == Type::Double && *expr.ty() == Type::Int;
            if *expr.ty() != expected && !widens {
                let message = format!("the plugin expects {expected}, this expression is of type {}", expr.ty());
                problems.add(Kind::Rule, &def.rule, &at, message);
            }
        }
        inputs.push(InputPlan { kind: input.kind, required: input.required, expr });
    }
    inputs
}
