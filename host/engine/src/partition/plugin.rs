//! Hands a rule's rows to its plugin: inputs as columns, states by entity, verdicts back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_select::filter::FilterBuilder;
use assay_core::expr::CseCache;
use assay_core::failure_code::FailureCode;
use assay_core::verdict::{EdgeRow, RuleRows};
use assay_runtime::{Batch, Blobs, Instance, ScoreError, Scored, Unfinished, thread_cpu_time};

use super::columns::InputColumn;
use super::entities::{Entities, PluginState};
use super::recorded::{Failures, STATE_MIGRATION};
use super::rule::RuleError;
use crate::plan::{PluginScorer, StreamPlan};
use crate::rule_stats::PluginTime;

/// Rows of which at most so many are migrated however long that takes: a batch that was given up is scored again in
/// batches as small as that.
const MIN_ROWS_TO_GIVE_UP: usize = 4;

/// The rows that a rule asks its plugin about.
pub(super) struct PluginRows<'a> {
    /// The stream's columns, cut down to these rows.
    pub(super) columns: &'a [ArrayRef],
    /// Per row its entity.
    pub(super) slots: &'a [u32],
    /// Rows that are known to fail, rising: the plugin is not called for them.
    pub(super) recorded: Failures,
}

/// The plugin's answer to the judged rows.
pub(super) fn score(
    plan: &StreamPlan,
    scorer: &PluginScorer,
    PluginRows { columns, slots, recorded }: PluginRows<'_>,
    entities: &mut Entities,
    instance: Option<&mut Instance>,
    cse_cache: &CseCache<'_>,
    time: &mut PluginTime,
) -> Result<RuleRows, RuleError> {
    let rows = slots.len();
    let mut inputs: Vec<InputColumn> = Vec::with_capacity(scorer.inputs.len());
    for input in &scorer.inputs {
        inputs.push(match &input.expr {
            Some(expr) => InputColumn::new(input.kind, expr.eval_with(columns, rows, Some(cse_cache))?),
            None => InputColumn::missing(input.kind, rows),
        });
    }
    let shown: Vec<ArrayRef> = inputs.iter().map(|input| input.array.clone()).collect();
    let Some(instance) = instance else {
        // Workers equip themselves whenever a plan is adopted.
        let missing = (0..rows as u32)
            .map(|row| (row, FailureCode::PluginMissing.as_str(), "the plugin has no instance".to_owned()));
        return Ok(RuleRows { failures: missing.collect(), inputs: shown, ..RuleRows::default() });
    };
    let is_unmigrated = |failure: &&(u32, &str, String)| failure.1 == STATE_MIGRATION;
    let unmigrated: Vec<u32> = recorded.iter().filter(is_unmigrated).map(|failure| failure.0).collect();
    let mut failures = recorded;
    refuse_incomplete(scorer, plan, &inputs, &mut failures);
    if let Some(state) = scorer.state {
        let current = plan.states[state].version;
        time.exhausted += migrate(current, (slots, &unmigrated), entities.states(state), instance, &mut failures)?;
    }
    let mut answer = if failures.is_empty() {
        call(scorer, &inputs, slots, entities, instance, time)?
    } else {
        failures.sort_unstable_by_key(|failure| failure.0);
        failures.dedup_by_key(|failure| failure.0);
        call_without(&failures, scorer, &inputs, slots, entities, instance, time)?
    };
    answer.failures.append(&mut failures);
    answer.failures.sort_unstable_by_key(|failure| failure.0);
    answer.inputs = shown;
    Ok(answer)
}

/// Rows that lack an input which the plugin requires cannot be scored.
fn refuse_incomplete(scorer: &PluginScorer, plan: &StreamPlan, inputs: &[InputColumn], failures: &mut Failures) {
    for (index, input) in inputs.iter().enumerate() {
        let Some(nulls) = input.array.nulls().filter(|nulls| nulls.null_count() > 0) else { continue };
        if scorer.inputs[index].required {
            let name = &scorer.plugin.manifest().inputs[index].name;
            for row in (0..nulls.len()).filter(|row| nulls.is_null(*row)) {
                let stream = &plan.def.stream;
                let message =
                    format!("input '{name}', which the plugin requires, is missing in this event of '{stream}'");
                failures.push((row as u32, FailureCode::InputMissing.as_str(), message));
            }
        }
    }
}

/// Carries the states of these entities over to the plugin's version. Where the plugin refuses, the row fails; rows of
/// `unmigrated` are known to, and are left out. Returns the time of calls that ran out of time or memory.
fn migrate(
    current: u32,
    (slots, unmigrated): (&[u32], &[u32]),
    states: &mut [PluginState],
    instance: &mut Instance,
    failures: &mut Failures,
) -> Result<Duration, Unfinished> {
    let (began, mut exhausted) = (thread_cpu_time(), Duration::ZERO);
    for (row, slot) in slots.iter().enumerate() {
        let state = &mut states[*slot as usize];
        if state.version == current || unmigrated.binary_search(&(row as u32)).is_ok() {
            continue;
        }
        if state.bytes.is_empty() {
            state.version = current;
            continue;
        }
        let ends = [state.bytes.len() as u32];
        let (started, spent) = (Instant::now(), thread_cpu_time().saturating_sub(began));
        if slots.len() > MIN_ROWS_TO_GIVE_UP && instance.max_batch_time().is_some_and(|most| spent > most) {
            return Err(Unfinished::TooSlow { spent, exhausted });
        }
        match instance.migrate(state.version, Blobs { ends: &ends, data: &state.bytes }) {
            Ok(migrated) => *state = PluginState { version: current, bytes: migrated.data },
            Err(ScoreError::Interrupted) => return Err(Unfinished::Interrupted),
            Err(error) => {
                if error.is_exhaustion() {
                    exhausted += started.elapsed();
                }
                let message = format!("the state of version {} cannot become one of {current}: {error}", state.version);
                failures.push((row as u32, STATE_MIGRATION, message));
            }
        }
    }
    Ok(exhausted)
}

/// Calls the plugin for all rows but those that failed already, and puts the answer back on the judged rows.
fn call_without(
    failures: &Failures,
    scorer: &PluginScorer,
    inputs: &[InputColumn],
    slots: &[u32],
    entities: &mut Entities,
    instance: &mut Instance,
    time: &mut PluginTime,
) -> Result<RuleRows, Unfinished> {
    let failed = |row: usize| failures.binary_search_by_key(&(row as u32), |failure| failure.0).is_ok();
    let keep: BooleanArray = (0..slots.len()).map(|row| Some(!failed(row))).collect();
    let predicate = FilterBuilder::new(&keep).build();
    let kept: Vec<u32> = (0..slots.len()).filter(|row| !failed(*row)).map(|row| row as u32).collect();
    let mut scores = vec![f64::NAN; slots.len()];
    if kept.is_empty() {
        return Ok(RuleRows { scores, ..RuleRows::default() });
    }
    let inputs: Vec<InputColumn> = inputs
        .iter()
        .zip(&scorer.inputs)
        // A predicate of the batch's length fits every input.
        .filter_map(|(input, plan)| Some(InputColumn::new(plan.kind, predicate.filter(&input.array).ok()?)))
        .collect();
    let slots: Vec<u32> = kept.iter().map(|row| slots[*row as usize]).collect();
    let mut answer = call(scorer, &inputs, &slots, entities, instance, time)?;
    for (row, score) in kept.iter().zip(&answer.scores) {
        scores[*row as usize] = *score;
    }
    answer.scores = scores;
    answer.tags.iter_mut().for_each(|tag| tag.0 = kept[tag.0 as usize]);
    answer.reasons.iter_mut().for_each(|reason| reason.0 = kept[reason.0 as usize]);
    answer.edges.iter_mut().for_each(|edge| edge.row = kept[edge.row as usize]);
    answer.attributes.iter_mut().for_each(|attribute| attribute.0 = kept[attribute.0 as usize]);
    answer.failures.iter_mut().for_each(|failure| failure.0 = kept[failure.0 as usize]);
    Ok(answer)
}

fn call(
    scorer: &PluginScorer,
    inputs: &[InputColumn],
    slots: &[u32],
    entities: &mut Entities,
    instance: &mut Instance,
    time: &mut PluginTime,
) -> Result<RuleRows, Unfinished> {
    let mut entity_of_row = Vec::new();
    let mut distinct: Vec<u32> = Vec::new();
    let (mut ends, mut data) = (Vec::new(), Vec::new());
    if let Some(state) = scorer.state {
        let states = entities.states(state);
        let mut seen: HashMap<u32, u32, foldhash::fast::FixedState> = HashMap::default();
        for slot in slots {
            let entity = *seen.entry(*slot).or_insert_with(|| {
                distinct.push(*slot);
                data.extend_from_slice(&states[*slot as usize].bytes);
                ends.push(data.len() as u32);
                distinct.len() as u32 - 1
            });
            entity_of_row.push(entity);
        }
    }
    let batch = Batch {
        rows: slots.len() as u32,
        columns: inputs.iter().map(InputColumn::as_column).collect(),
        entities: &entity_of_row,
        states: Blobs { ends: &ends, data: &data },
    };
    let scored = instance.score(&batch)?;
    time.cpu += scored.cpu_time;
    time.elapsed += scored.elapsed;
    time.exhausted += scored.exhausted_time;
    if let Some(state) = scorer.state {
        let states = entities.states(state);
        let mut start = 0;
        for (slot, end) in distinct.iter().zip(&scored.states.ends) {
            let bytes = &mut states[*slot as usize].bytes;
            bytes.clear();
            bytes.extend_from_slice(&scored.states.data[start..*end as usize]);
            start = *end as usize;
        }
    }
    Ok(into_rows(scored, slots.len()))
}

fn into_rows(scored: Scored, rows: usize) -> RuleRows {
    let verdicts = scored.verdicts;
    let mut scores = verdicts.scores;
    if scores.is_empty() {
        scores = vec![f64::NAN; rows];
    }
    RuleRows {
        rows: None,
        scores,
        tags: verdicts.tags.into_iter().map(|tag| (tag.row, tag.name)).collect(),
        reasons: verdicts.reasons.into_iter().map(|reason| (reason.row, reason.code, reason.weight)).collect(),
        edges: verdicts.edges.into_iter().map(edge_row).collect(),
        attributes: verdicts.attributes.into_iter().map(|item| (item.row, item.name, item.value)).collect(),
        failures: scored
            .failures
            .into_iter()
            .map(|failure| (failure.row, failure.error.code(), failure.error.to_string()))
            .collect(),
        ..RuleRows::default()
    }
}

fn edge_row(edge: assay_runtime::Edge) -> EdgeRow {
    let assay_runtime::Edge { row, name, source, target } = edge;
    EdgeRow { row, name, source, target, facets: String::new() }
}
