//! Compiles a snapshot of the catalog into a plan, or says everything that is wrong with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::rule::RuleDef;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use assay_runtime::{Limits, Plugin};

use super::stored::{StoredPlugin, stored_plugins};
use super::{Artifacts, Plan, PluginCache};
use crate::definition::{Definition, DefinitionType};
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
pub(super) struct Defined<'a, T> {
    pub(super) revision: u32,
    /// The version since which there is a definition of this name without a break.
    pub(super) created_at_version: u64,
    pub(super) def: &'a T,
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
        let streams: Vec<Defined<'_, StreamDef>> = read(&snapshot, &mut problems);
        let views: Vec<Defined<'_, ViewDef>> = read(&snapshot, &mut problems);
        let rules: Vec<Defined<'_, RuleDef>> = read(&snapshot, &mut problems);
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

/// All definitions of a type. A definition must carry the name that the catalog has for it.
fn read<'a, T: DefinitionType>(snapshot: &'a Snapshot, problems: &mut Problems) -> Vec<Defined<'a, T>> {
    let mut all = Vec::new();
    let kind = T::KIND;
    for revision in snapshot.of(kind) {
        let name = &revision.name;
        problems.ok_or_add(kind, name, "", assay_core::names::check_name(name));
        let Some(def) = problems.ok_or_add(kind, name, "", revision.read()) else { continue };
        if let Some(own) = revision.definition.as_ref().and_then(Definition::own_name).filter(|own| own != name) {
            problems.add(kind, name, kind.properties().name, format!("the definition calls itself '{own}'"));
        }
        all.push(Defined { revision: revision.revision, created_at_version: revision.created_at_version, def });
    }
    all
}
