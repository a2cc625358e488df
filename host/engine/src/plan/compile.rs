//! Compiles a snapshot of the catalog into a plan, or says everything that is wrong with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::rule::RuleDef;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use assay_runtime::{Limits, Plugin};
use serde::de::DeserializeOwned;

use super::stored::{StoredPlugin, stored_plugins};
use super::{Artifacts, Plan, PluginCache};
use crate::ports::catalog::{Kind, Snapshot};
use crate::problem::Problem;

/// What went wrong so far, and how to say more.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, kind: Kind, name: &str, at: &str, message: impl ToString) {
        let (name, at, message) = (name.to_owned(), at.to_owned(), message.to_string());
        self.0.push(Problem { kind, name, at, message });
    }

    /// The value, or none and one more problem.
    pub(super) fn ok_or_add<T>(
        &mut self,
        kind: Kind,
        name: &str,
        at: &str,
        result: Result<T, impl std::fmt::Display>,
    ) -> Option<T> {
        result.map_err(|error| self.add(kind, name, at, error)).ok()
    }
}

/// A definition with its revision.
pub(super) struct Defined<T> {
    pub(super) revision: u32,
    /// The version since which there is a definition of this name without a break.
    pub(super) created_at_version: u64,
    pub(super) def: T,
}

/// What rules are compiled against.
pub(super) struct Plugins<'a> {
    pub(super) stored: Vec<StoredPlugin>,
    pub(super) plugin_cache: &'a PluginCache,
    pub(super) artifacts: Artifacts<'a>,
    pub(super) limits: &'a Limits,
}

impl Plugins<'_> {
    pub(super) fn load(&self, stored: &StoredPlugin) -> Result<Plugin, String> {
        self.plugin_cache.get_or_load(&stored.digest, self.artifacts).map_err(|error| error.to_string())
    }
}

impl Plan {
    /// Compiles a snapshot.
    ///
    /// # Errors
    /// Everything that is wrong with its definitions.
    pub fn compile(
        snapshot: Arc<Snapshot>,
        plugin_cache: &PluginCache,
        artifacts: Artifacts<'_>,
        limits: &Limits,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let streams: Vec<Defined<StreamDef>> =
            read(&snapshot, Kind::Stream, &mut problems, |def: &StreamDef| &def.stream);
        let views: Vec<Defined<ViewDef>> = read(&snapshot, Kind::View, &mut problems, |def: &ViewDef| &def.view);
        let rules: Vec<Defined<RuleDef>> = read(&snapshot, Kind::Rule, &mut problems, |def: &RuleDef| &def.rule);
        let stored = stored_plugins(&snapshot, &mut problems);
        let plugins = Plugins { stored, plugin_cache, artifacts, limits };
        let names: Vec<&str> = streams.iter().map(|stream| stream.def.stream.as_str()).collect();
        let used = views.iter().map(|view| (Kind::View, &view.def.view, &view.def.stream));
        let used = used.chain(rules.iter().map(|rule| (Kind::Rule, &rule.def.rule, &rule.def.stream)));
        let sources = streams.iter().filter_map(|stream| Some((&stream.def.stream, stream.def.from.as_ref()?)));
        let used = used.chain(sources.map(|(name, from)| (Kind::Stream, name, from)));
        for (kind, name, stream) in used {
            if !names.contains(&stream.as_str()) {
                let known = if names.is_empty() { "there is none yet".to_owned() } else { names.join(", ") };
                let at = if kind == Kind::Stream { "from" } else { "stream" };
                problems.add(kind, name, at, format!("there is no stream '{stream}' (streams: {known})"));
            }
        }
        let mut compiled = BTreeMap::new();
        for stream in &streams {
            let views: Vec<_> = views.iter().filter(|view| view.def.stream == stream.def.stream).collect();
            let rules: Vec<_> = rules.iter().filter(|rule| rule.def.stream == stream.def.stream).collect();
            let name = Some(&stream.def.stream);
            let derived = streams.iter().filter(|other| other.def.from.as_ref() == name);
            let derived = derived.map(|other| other.def.stream.clone()).collect();
            if let Some(plan) = super::stream::compile(stream, &views, &rules, derived, &plugins, &mut problems) {
                compiled.insert(stream.def.stream.clone(), Arc::new(plan));
            }
        }
        if problems.0.is_empty() { Ok(Self { snapshot, streams: compiled }) } else { Err(problems.0) }
    }
}

/// Reads all definitions of a kind. A definition must carry the name that the catalog has for it.
fn read<T: DeserializeOwned>(
    snapshot: &Snapshot,
    kind: Kind,
    problems: &mut Problems,
    name_of: impl Fn(&T) -> &String,
) -> Vec<Defined<T>> {
    let mut all = Vec::new();
    for revision in snapshot.of(kind) {
        let name = &revision.name;
        problems.ok_or_add(kind, name, "", assay_core::names::check_name(name));
        let body = revision.body.clone().unwrap_or_default();
        let Some(def) = problems.ok_or_add(kind, name, "", serde_json::from_value::<T>(body)) else { continue };
        if name_of(&def) != name {
            problems.add(kind, name, &kind.to_string(), format!("the definition calls itself '{}'", name_of(&def)));
        }
        all.push(Defined { revision: revision.revision, created_at_version: revision.created_at_version, def });
    }
    all
}
