//! Compiles one stream with its views and rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::rule::{Mode, RuleDef};
use assay_core::schema::{FieldError, History, Schema};
use assay_core::stream::{ORIGIN, StreamDef};
use assay_core::types::Type;
use assay_core::verdict::RuleStamp;
use assay_core::view::ViewDef;

use super::compile::{Defined, Plugins, Problems};
use super::scope::Slots;
use super::{
    DefinitionVersion, MAX_PARTITIONS, RulePlan, StreamPlan, ViewPlan, common_subexpressions, dependency_order, rule,
    view,
};
use crate::ports::catalog::Kind;

pub(super) fn compile(
    stream: &Defined<'_, StreamDef>,
    views: &[&Defined<'_, ViewDef>],
    rules: &[&Defined<'_, RuleDef>],
    derived: Vec<String>,
    plugins: &Plugins<'_>,
    problems: &mut Problems,
) -> Option<StreamPlan> {
    let def = stream.def;
    check_complete(def, problems)?;
    let schema = problems.ok_or_add(Kind::Stream, &def.stream, "schema", Schema::parse_value(&def.schema))?;
    let history = history(def, &schema, problems)?;
    check_fields(def, &schema, problems)?;
    if def.from.is_some() && !def.max_ahead.is_default() {
        let message = "a derived stream has the events that its source takes: leave it out";
        problems.add(Kind::Stream, &def.stream, "max_ahead", message);
    }
    let partitions = def.partitions.unwrap_or(1);
    if !(1..=MAX_PARTITIONS).contains(&(partitions as usize)) {
        let message = format!("expected 1 to {MAX_PARTITIONS}, got {partitions}");
        problems.add(Kind::Stream, &def.stream, "partitions", message);
    }
    let mut fields = vec![def.key.clone(), def.time.clone()];
    fields.extend(def.id.clone());
    let place = fields.len();
    if def.from.is_some() {
        fields.extend(["partition", "offset"].map(|part| format!("{ORIGIN}.{part}")));
    }
    let measures: usize = views.iter().map(|view| view.def.measures.0.len()).sum();
    let slots = Slots::new(&schema, fields, measures + rules.len() + 1);
    let mut compiled_views: Vec<ViewPlan> =
        views.iter().filter_map(|defined| view::compile(defined, def, &slots, problems)).collect();
    for rule in rules {
        slots.declare(format!("scores.{}", rule.def.rule), Type::Double);
    }
    let mut states = Vec::new();
    let mut compiled: BTreeMap<&str, RulePlan> = BTreeMap::new();
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for defined in rules {
        if let Some((plan, used)) = rule::compile(defined, &slots, plugins, &mut states, problems) {
            check_shadows(defined.def, &used, rules, problems);
            let used = rules.iter().map(|rule| rule.def.rule.as_str()).filter(|name| used.contains(*name)).collect();
            uses.insert(&defined.def.rule, used);
            compiled.insert(&defined.def.rule, plan);
        }
    }
    let order = match dependency_order::sort_by_dependency(&uses) {
        Ok(order) => order,
        Err(circle) => {
            problems.add(Kind::Rule, circle[0], "", format!("scores go in a circle: {}", circle.join(" -> ")));
            return None;
        }
    };
    let all = order.iter().filter_map(|name| compiled.remove(name));
    let (paused, mut running): (Vec<RulePlan>, Vec<RulePlan>) = all.partition(|rule| rule.stamp.mode == Mode::Paused);
    let shared =
        common_subexpressions::mark_common_subexpressions(&mut compiled_views, &mut running, slots.computed_len() - 1);
    let mut compiled_from = vec![DefinitionVersion::of(Kind::Stream, &def.stream, stream)];
    compiled_from.extend(views.iter().map(|view| DefinitionVersion::of(Kind::View, &view.def.view, view)));
    compiled_from.extend(rules.iter().map(|rule| DefinitionVersion::of(Kind::Rule, &rule.def.rule, rule)));
    let stamps: Vec<Arc<RuleStamp>> = running.iter().map(|rule| rule.stamp.clone()).collect();
    Some(StreamPlan {
        def: def.clone(),
        partitions,
        origin: def.from.is_some().then_some(slots.computed_len() + place),
        derived,
        computed: slots.computed_len(),
        projection: slots.into_fields(),
        schema: schema.clone(),
        history,
        views: compiled_views,
        paused_score_slots: paused.iter().map(|rule| rule.slot).collect(),
        rules: running,
        shared,
        stamps: RuleStamp::stamps_json(&stamps),
        states,
        compiled_from,
    })
}

/// How events of the schemas before are read. A change was checked before, and says more of what does not fit.
fn history(def: &StreamDef, schema: &Schema, problems: &mut Problems) -> Option<History> {
    let earlier = def.earlier.iter().map(Schema::parse_value).collect::<Result<Vec<_>, _>>();
    let earlier = problems.ok_or_add(Kind::Stream, &def.stream, "earlier", earlier)?;
    let history = History::new(&earlier, schema)
        .map_err(|(number, why)| format!("events of its schema number {number} could not be read: {why}"));
    problems.ok_or_add(Kind::Stream, &def.stream, "schema", history)
}

/// What a derived stream takes from its source, every other one has to say.
fn check_complete(def: &StreamDef, problems: &mut Problems) -> Option<()> {
    let before = problems.0.len();
    if def.time.is_empty() {
        problems.add(Kind::Stream, &def.stream, "time", "missing: the path of the field with the event's time");
    }
    if def.schema.is_null() {
        problems.add(Kind::Stream, &def.stream, "schema", "missing: the Avro schema of the events, a record");
    }
    (problems.0.len() == before).then_some(())
}

/// Key, time and id must be there and of a fitting type.
fn check_fields(def: &StreamDef, schema: &Schema, problems: &mut Problems) -> Option<()> {
    let before = problems.0.len();
    let mut wanted: Vec<(&str, &str, &[Type])> =
        vec![("key", &def.key, &[Type::Text, Type::Int]), ("time", &def.time, &[Type::Timestamp])];
    if let Some(id) = &def.id {
        wanted.push(("id", id, &[Type::Text, Type::Int]));
    }
    for (at, path, types) in wanted {
        let Some(column) = problems.ok_or_add(Kind::Stream, &def.stream, at, schema.field(path)) else { continue };
        if !types.contains(&column.kind) {
            let types = types.iter().map(Type::to_string).collect::<Vec<_>>().join(" or ");
            let advice = if at == "time" { "; give the field the logicalType timestamp-millis" } else { "" };
            let message = format!("'{path}' is of type {}, expected {types}{advice}", column.kind);
            problems.add(Kind::Stream, &def.stream, at, message);
        }
    }
    let series = def.series.iter().flat_map(|series| series.tags.iter().chain(&series.fields));
    for path in series {
        let field = problems.ok_or_add(Kind::Stream, &def.stream, "series", schema.field(path));
        if let Some(field) = field.filter(|field| matches!(field.kind, Type::List(_) | Type::Map(_))) {
            let message = format!("'{path}' is of type {}, expected a single value", field.kind);
            problems.add(Kind::Stream, &def.stream, "series", message);
        }
    }
    if def.series.as_ref().is_some_and(|series| series.fields.is_empty()) {
        let message = "'fields' is empty: a point needs at least one field".to_owned();
        problems.add(Kind::Stream, &def.stream, "series", message);
    }
    for name in ["views", "scores", "tables", "event"] {
        if !matches!(schema.field(name), Err(FieldError::Unknown { .. })) {
            let message = format!("a field must not be called '{name}': expressions use that name for something else");
            problems.add(Kind::Stream, &def.stream, "schema", message);
        }
    }
    (problems.0.len() == before).then_some(())
}

/// What does not count must not decide: only shadow rules see the scores of shadow rules.
fn check_shadows(
    def: &RuleDef,
    used: &std::collections::BTreeSet<String>,
    rules: &[&Defined<'_, RuleDef>],
    problems: &mut Problems,
) {
    for other in rules {
        if def.mode == Mode::Active && other.def.mode == Mode::Shadow && used.contains(&other.def.rule) {
            let name = &other.def.rule;
            let message =
                format!("it uses scores.{name}, but '{name}' is a shadow rule, whose scores do not count yet");
            problems.add(Kind::Rule, &def.rule, "", message);
        }
    }
}
