//! The plan: the catalog's definitions compiled into what workers run. Immutable; a change makes a new plan.

mod common_subexpressions;
mod compile;
mod config;
mod dependency_order;
mod effects;
mod equivalence;
mod graph;
mod limits;
mod plugin_cache;
mod rule;
mod scope;
mod stored;
mod stream;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::event_time::MaxAhead;
use assay_core::expr::Expr;
use assay_core::rule::{Mode, OnError, Record};
use assay_core::schema::{History, Schema};
use assay_core::stream::StreamDef;
use assay_core::types::Type;
use assay_core::verdict::RuleStamp;
use assay_core::view::{Layout, ViewDef};
use assay_runtime::{Kind, Limits, Plugin};

use crate::ports::catalog::Snapshot;
use crate::problem::describe_unknown_stream;

pub(crate) use config::compile_schema;
pub use effects::Effect;
pub(crate) use effects::plan_effects;
pub(crate) use equivalence::DefinitionVersion;
pub use plugin_cache::{Artifacts, PluginCache, plugin_name};
pub(crate) use stored::{StoredPlugin, readable_plugins, resolve_plugin};

/// The largest number of partitions that a stream may have.
pub(crate) const MAX_PARTITIONS: usize = 1024;

/// Everything that is in effect at one version of the catalog.
#[derive(Debug)]
pub struct Plan {
    /// The definitions it was compiled from.
    pub snapshot: Arc<Snapshot>,
    /// Streams by name.
    pub streams: BTreeMap<String, Arc<StreamPlan>>,
}

/// A stream with its views and its rules.
#[derive(Debug)]
pub struct StreamPlan {
    /// Its definition.
    pub def: StreamDef,
    /// Its schema, compiled.
    pub schema: Schema,
    /// Reads events of the schemas that it had before.
    pub history: History,
    /// The number of its partitions.
    pub partitions: u32,
    /// The event fields that anything uses: first key, time and id (if there is one), then the rest. Their columns
    /// stand behind the computed ones: field i is at slot `computed + i`.
    pub projection: Vec<String>,
    /// The slot of `origin.partition`, in a derived stream; `origin.offset` is in the next.
    pub origin: Option<usize>,
    /// The streams that are derived from it.
    pub derived: Vec<String>,
    /// The number of slots before the event fields: one per measure of a view, one per rule's score, and one for `score`
    /// itself.
    pub computed: usize,
    /// Its views.
    pub views: Vec<ViewPlan>,
    /// The slots of scores that no running rule gives: those of paused rules. They are missing in every row.
    pub paused_score_slots: Vec<usize>,
    /// The rules that run, in an order in which each comes after those whose scores it uses.
    pub rules: Vec<RulePlan>,
    /// The number of values that its expressions share: see [`assay_core::expr::CommonSubexpressions`].
    pub shared: usize,
    /// The rules' stamps as a verdict block's head holds them.
    pub stamps: String,
    /// The states per entity of plugins with state, those of paused rules included.
    pub states: Vec<StatePlan>,
    /// The definitions that it was compiled from.
    pub(crate) compiled_from: Vec<DefinitionVersion>,
}

impl StreamPlan {
    /// The bound on how far event times may be ahead of the clock. A derived stream has none: its source has checked the
    /// events already, and its copies come later.
    pub fn max_ahead(&self) -> MaxAhead {
        if self.def.from.is_some() { MaxAhead::Unbounded } else { self.def.max_ahead }
    }

    /// The paths of key, time and id (if there is one), as they stand at the head of the projection.
    pub fn identity(&self) -> Vec<&str> {
        let id = self.def.id.as_deref();
        [self.def.key.as_str(), self.def.time.as_str()].into_iter().chain(id).collect()
    }

    /// An entity's key as events have it: a UUID may be asked for in capital letters.
    pub fn canonical_key(&self, key: &str) -> String {
        self.schema.canonical_text(&self.def.key, key)
    }

    /// An event's id as events have it.
    pub fn canonical_id(&self, id: &str) -> String {
        self.def.id.as_deref().map_or_else(|| id.to_owned(), |path| self.schema.canonical_text(path, id))
    }

    /// The slot of the verdict's own score, which only `tags` see.
    pub fn score_slot(&self) -> usize {
        self.computed - 1
    }
}

impl Plan {
    /// The message about an unknown stream, with those that there are.
    pub(crate) fn describe_unknown_stream(&self, stream: &str) -> String {
        describe_unknown_stream(stream, self.streams.keys())
    }
}

/// A view, compiled.
#[derive(Debug)]
pub struct ViewPlan {
    /// Its definition.
    pub def: ViewDef,
    /// The first of its revisions since which it has not begun empty.
    pub state_revision: u32,
    /// The shape of its windows.
    pub layout: Layout,
    /// Names and types of its measures.
    pub measures: Vec<(String, Type)>,
    /// Selects the events that it counts; none: all.
    pub when: Option<Expr>,
    /// The argument of each measure; none for `count()`.
    pub arguments: Vec<Option<Expr>>,
    /// The slot of its first measure.
    pub first_slot: usize,
    /// Tells its saved values from those of another view, or of a revision with another meaning.
    pub fingerprint: u64,
}

/// A rule that runs, compiled.
#[derive(Debug)]
pub struct RulePlan {
    /// The stamp of its verdicts.
    pub stamp: Arc<RuleStamp>,
    /// Selects the events that it judges; none: all.
    pub when: Option<Expr>,
    /// The plugin or the expression that scores.
    pub scorer: Scorer,
    /// Its own tags.
    pub tags: Vec<TagPlan>,
    /// Its own edges.
    pub graph: Vec<EdgePlan>,
    /// The treatment of events that it cannot score.
    pub on_error: OnError,
    /// Selects the verdicts that record the values of the rule's inputs.
    pub record: Record,
    /// The slot of its score.
    pub slot: usize,
}

impl RulePlan {
    /// True if its verdicts count.
    pub fn is_active(&self) -> bool {
        self.stamp.mode == Mode::Active
    }

    /// All its expressions but `when`.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (inputs, score) = match &self.scorer {
            Scorer::Plugin(scorer) => (&scorer.inputs[..], None),
            Scorer::Expression { score, .. } => (&[][..], Some(score)),
        };
        let inputs = inputs.iter().filter_map(|input| input.expr.as_ref());
        let tags = self.tags.iter().map(|tag| &tag.when);
        inputs.chain(score).chain(tags).chain(self.graph.iter().flat_map(EdgePlan::exprs))
    }

    /// All its expressions, to be changed.
    fn all_exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let Self { when, scorer, tags, graph, .. } = self;
        let (inputs, score) = match scorer {
            Scorer::Plugin(scorer) => (&mut scorer.inputs[..], None),
            Scorer::Expression { score, .. } => (&mut [][..], Some(score)),
        };
        let inputs = inputs.iter_mut().filter_map(|input| input.expr.as_mut());
        let tags = tags.iter_mut().map(|tag| &mut tag.when);
        when.iter_mut().chain(inputs).chain(score).chain(tags).chain(graph.iter_mut().flat_map(EdgePlan::exprs_mut))
    }
}

/// A tag that a rule gives, compiled.
#[derive(Debug)]
pub struct TagPlan {
    /// Its name, as an index into the stamp's tags.
    pub name: u32,
    /// The verdicts that have it.
    pub when: Expr,
}

/// An edge of the graph that each verdict of a rule makes, compiled.
#[derive(Debug)]
pub struct EdgePlan {
    /// Its name, as an index into the stamp's edges.
    pub name: u32,
    /// The node where it begins; of type string or int.
    pub from: Expr,
    /// The node where it ends; of type string or int.
    pub to: Expr,
    /// Selects the verdicts that make it; none: all.
    pub when: Option<Expr>,
    /// The values that are kept with it, by name.
    pub facets: Vec<(String, Expr)>,
}

impl EdgePlan {
    /// All its expressions.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        [&self.from, &self.to].into_iter().chain(&self.when).chain(self.facets.iter().map(|(_, expr)| expr))
    }

    /// The same, to be changed.
    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let ends = [&mut self.from, &mut self.to].into_iter();
        ends.chain(&mut self.when).chain(self.facets.iter_mut().map(|(_, expr)| expr))
    }
}

/// The scorer of a rule.
#[derive(Debug)]
pub enum Scorer {
    /// A plugin.
    Plugin(PluginScorer),
    /// An expression of type double or int.
    Expression {
        /// The expression.
        score: Expr,
        /// The slots that it reads, to show what it saw; in the order of the stamp's inputs.
        reads: Vec<usize>,
    },
}

/// A plugin with what a rule gives it.
#[derive(Debug)]
pub struct PluginScorer {
    /// The plugin.
    pub plugin: Plugin,
    /// Its config, as JSON.
    pub config: String,
    /// Its limits.
    pub limits: Limits,
    /// One per input of the manifest, in its order.
    pub inputs: Vec<InputPlan>,
    /// The index of its state in [`StreamPlan::states`]; none: it has no state.
    pub state: Option<usize>,
}

/// The binding of a plugin's input.
#[derive(Debug)]
pub struct InputPlan {
    /// The input's type.
    pub kind: Kind,
    /// True if rows that lack it cannot be scored.
    pub required: bool,
    /// The expression; none: always missing.
    pub expr: Option<Expr>,
}

/// The state per entity of one rule's plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePlan {
    /// The rule.
    pub rule: String,
    /// Tells its saved states from those of another rule.
    pub fingerprint: u64,
    /// The version of the states' layout.
    pub version: u32,
}

/// The Arrow-side type that an input of a kind takes as it is.
pub fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Float => Type::Double,
        Kind::Int => Type::Int,
        Kind::Boolean => Type::Bool,
        Kind::Text => Type::Text,
        Kind::Timestamp => Type::Timestamp,
    }
}
