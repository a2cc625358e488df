//! One rule's answer to a batch: which rows it judges, what scores them, and its own tags.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array};
use assay_core::expr::{CseCache, EvalError, Expr};
use assay_core::failure_code::FailureCode;
use assay_core::rule::OnError;
use assay_core::verdict::RuleRows;
use assay_runtime::Unfinished;

use super::batch::score_column;
use super::entities::Entities;
use super::judged_rows::JudgedRows;
use super::plugin::PluginRows;
use super::prepare::Batch;
use super::recorded::RecordedFailures;
use super::{Instances, graph, plugin};
use crate::plan::{RulePlan, Scorer, StreamPlan};
use crate::rule_stats::PluginTime;

/// A rule's answer to a batch.
pub(super) struct RuleAnswer {
    pub(super) rows: RuleRows,
    /// Its scores over all rows of the batch.
    pub(super) scores: ArrayRef,
    pub(super) time: PluginTime,
}

/// Why a rule has no answer to a batch.
pub(super) enum RuleError {
    /// The plan does not fit its columns.
    Plan(EvalError),
    /// A call was stopped.
    Unfinished(Unfinished),
}

impl From<EvalError> for RuleError {
    fn from(error: EvalError) -> Self {
        Self::Plan(error)
    }
}

impl From<Unfinished> for RuleError {
    fn from(cause: Unfinished) -> Self {
        Self::Unfinished(cause)
    }
}

/// What the rule says of a batch.
pub(super) fn score(
    plan: &StreamPlan,
    rule: &RulePlan,
    batch: &Batch,
    slots: &[u32],
    entities: &mut Entities,
    instances: &mut Instances,
    cse_cache: &CseCache<'_>,
) -> Result<RuleAnswer, RuleError> {
    let mut time = PluginTime::default();
    let judged = match &rule.when {
        Some(when) => JudgedRows::by(&when.filter_with(&batch.columns, batch.rows(), Some(cse_cache))?),
        None => JudgedRows::All(batch.rows()),
    };
    let cache_of_some;
    let cse_cache = match &judged {
        JudgedRows::All(_) => cse_cache,
        JudgedRows::Some { rows, .. } => {
            cache_of_some = cse_cache.of_rows(&batch.columns, batch.rows(), rows);
            &cache_of_some
        }
    };
    let used = rule.exprs().flat_map(|expr| expr.columns().iter().copied()).filter(|slot| *slot != plan.score_slot());
    let mut columns = judged.select_columns(&batch.columns, used);
    let mut answer = if judged.len() == 0 {
        RuleRows::default()
    } else {
        match &rule.scorer {
            Scorer::Plugin(scorer) => {
                let slots: Vec<u32> = match &judged {
                    JudgedRows::All(_) => slots.to_vec(),
                    JudgedRows::Some { rows, .. } => rows.iter().map(|row| slots[*row as usize]).collect(),
                };
                let instance = instances.get(plan, rule);
                let offsets = (0..judged.len()).map(|row| batch.offsets[judged.row(row)]);
                let recorded = batch.recorded.of_rows(&rule.stamp.rule, offsets);
                let rows = PluginRows { columns: &columns, slots: &slots, recorded };
                plugin::score(plan, scorer, rows, entities, instance, cse_cache, &mut time)?
            }
            Scorer::Expression { score, reads } => by_expression(score, reads, &columns, judged.len(), cse_cache)?,
        }
    };
    if judged.len() > 0 && !(rule.tags.is_empty() && rule.graph.is_empty()) {
        columns[plan.score_slot()] = own_scores(&answer, judged.len());
        add_tags(rule, &columns, judged.len(), &mut answer, cse_cache)?;
        graph::add_edges(&rule.graph, &columns, judged.len(), &mut answer, cse_cache)?;
    }
    answer.record = rule.record;
    answer.hides_failures = rule.on_error == OnError::Skip;
    if answer.hides_failures {
        answer.hidden_failures = RecordedFailures::select(&answer.failures);
    }
    let scores = answer.scores.iter().enumerate().map(|(row, score)| (judged.row(row), *score));
    let column = score_column(batch.rows(), scores);
    answer.rows = judged.into_rows();
    Ok(RuleAnswer { rows: answer, scores: column, time })
}

fn by_expression(
    score: &Expr,
    reads: &[usize],
    columns: &[ArrayRef],
    rows: usize,
    cse_cache: &CseCache<'_>,
) -> Result<RuleRows, EvalError> {
    let column = score.eval_with(columns, rows, Some(cse_cache))?;
    let doubles: Vec<f64> = match column.as_primitive_opt::<Int64Type>() {
        Some(ints) => ints.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect(),
        None => column.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
    };
    let mut answer = RuleRows { scores: doubles, ..RuleRows::default() };
    for (row, score) in answer.scores.iter_mut().enumerate().filter(|(_, score)| score.is_infinite()) {
        let message = format!("the expression gave {score}, but a score is a finite number");
        answer.failures.push((row as u32, FailureCode::ScoreInfinite.as_str(), message));
        *score = f64::NAN;
    }
    answer.inputs = reads.iter().map(|slot| columns[*slot].clone()).collect();
    Ok(answer)
}

/// The rule's scores over the judged rows, as its tags see them.
fn own_scores(answer: &RuleRows, rows: usize) -> ArrayRef {
    let score = |row: usize| answer.scores.get(row).copied().filter(|score| !score.is_nan());
    Arc::new(Float64Array::from((0..rows).map(score).collect::<Vec<_>>()))
}

fn add_tags(
    rule: &RulePlan,
    columns: &[ArrayRef],
    rows: usize,
    answer: &mut RuleRows,
    cse_cache: &CseCache<'_>,
) -> Result<(), EvalError> {
    let before = answer.tags.len();
    for (tag, expr) in &rule.tags {
        let holds = expr.filter_with(columns, rows, Some(cse_cache))?;
        answer.tags.extend(holds.values().set_indices().map(|row| (row as u32, *tag)));
    }
    if answer.tags.len() > before {
        answer.tags.retain(|(row, _)| answer.failures.binary_search_by_key(row, |failure| failure.0).is_err());
        answer.tags.sort_unstable();
        answer.tags.dedup();
    }
    Ok(())
}
