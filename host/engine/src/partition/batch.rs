//! The second step of a batch, when all of its entities are in memory: views, rules, verdicts.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, BooleanArray, StringArray, new_null_array};
use arrow_schema::DataType;
use assay_core::expr::{CseCache, EvalError, Expr};
use assay_core::names::Offset;
use assay_core::rule::OnError;
use assay_core::verdict::{BlockHead, EventColumns, RuleRows, write_block};
use assay_core::view::Rows;

use super::prepare::{Batch, PreparedBatch, Unreadable};
use super::rule::{self, RuleAnswer, RuleError};
use super::{BatchStats, FoldContext, Halt, PartitionError, PartitionState};
use crate::plan::RulePlan;
use crate::ports::log::Refused;
use crate::rule_stats::{LastFailure, LastVerdict, PluginTime, RuleBatchStats};

/// Folds a batch whose entities are all in memory, and appends the block of its verdicts to `out`. Fails only where it
/// cannot be tried again on the same state.
pub(super) fn fold(
    state: &mut PartitionState,
    prepared: PreparedBatch,
    context: &mut FoldContext<'_>,
    out: &mut Vec<u8>,
) -> Result<BatchStats, PartitionError> {
    let PreparedBatch { mut batch, unreadable, records, from, last, forwarded, origins, mut slots, .. } = prepared;
    state.origins = origins;
    let repeated = forwarded + drop_repeated_rows(state, &mut batch, &mut slots);
    let mut stats = BatchStats { events: records, unreadable: unreadable.len(), repeated, ..BatchStats::default() };
    let plan = state.plan.clone();
    let cse_cache = CseCache::new(plan.shared);
    stats.late = fold_views(state, &mut batch, &slots, &cse_cache)?;
    for slot in &plan.paused_score_slots {
        batch.columns[*slot] = new_null_array(&DataType::Float64, batch.rows());
    }
    let answers = judge(state, &mut batch, &slots, &cse_cache, context, &mut stats)?;
    for (slot, offset) in slots.iter().zip(&batch.offsets) {
        state.entities.advance(*slot, Offset(offset + 1));
    }
    state.slots = slots;

    let head = BlockHead { catalog: state.catalog, from, next: last.next(), rules: &plan.stamps };
    let times = batch.times.as_primitive::<TimestampMillisecondType>();
    let events = EventColumns {
        offsets: &batch.offsets,
        times: times.values(),
        keys: &batch.keys,
        ids: batch.ids.as_ref(),
        unreadable: &unreadable,
    };
    write_block(out, &head, &events, &answers);
    Ok(stats)
}

/// Asks the rules of the batch's rows, in the plan's order.
fn judge(
    state: &mut PartitionState,
    batch: &mut Batch,
    slots: &[u32],
    cse_cache: &CseCache<'_>,
    context: &mut FoldContext<'_>,
    stats: &mut BatchStats,
) -> Result<Vec<RuleRows>, PartitionError> {
    let plan = state.plan.clone();
    let mut answers: Vec<RuleRows> = Vec::with_capacity(plan.rules.len());
    for rule_plan in &plan.rules {
        let started = context.clock.now();
        let answer = rule::score(&plan, rule_plan, batch, slots, &mut state.entities, context.instances, cse_cache);
        let RuleAnswer { rows: answer, scores, time } = answer.map_err(|why| rule_error(rule_plan, why))?;
        let elapsed = context.clock.now().saturating_duration_since(started);
        let stats_of_rule = rule_batch_stats(rule_plan, &answer, batch, (elapsed, time));
        if let (OnError::Halt, Some(failure)) = (rule_plan.on_error, answer.failures.first()) {
            return Err(PartitionError::Halt(halt(rule_plan, &answer, batch, failure)));
        }
        stats.failures += stats_of_rule.failed;
        stats.verdicts += stats_of_rule.judged - stats_of_rule.failed;
        stats.rules.push(stats_of_rule);
        batch.columns[rule_plan.slot] = scores;
        answers.push(answer);
    }
    Ok(answers)
}

/// Appends a block to `out` that only says of events which are judged already why they cannot be folded any more. It
/// scores no event itself; all events before `next` are done.
pub(crate) fn write_refused(out: &mut Vec<u8>, catalog: u64, next: Offset, refused: &[(Offset, &Refused)]) {
    let unreadable: Unreadable =
        refused.iter().map(|(offset, refused)| (offset.0, refused.code, refused.message.clone())).collect();
    let keys = StringArray::new_null(0);
    let events = EventColumns { offsets: &[], times: &[], keys: &keys, ids: None, unreadable: &unreadable };
    write_block(out, &BlockHead { catalog, from: next, next, rules: "[]" }, &events, &[]);
}

/// The offset of a judged row's event.
fn offset_of(answer: &RuleRows, batch: &Batch, judged: u32) -> Offset {
    let row = answer.rows.as_ref().map_or(judged, |rows| rows[judged as usize]);
    Offset(batch.offsets[row as usize])
}

fn rule_error(rule: &RulePlan, why: RuleError) -> PartitionError {
    match why {
        RuleError::Plan(error) => error.into(),
        RuleError::Unfinished(cause) => PartitionError::Unfinished { rule: rule.stamp.clone(), cause },
    }
}

/// What one rule did with the batch.
fn rule_batch_stats(
    rule: &RulePlan,
    answer: &RuleRows,
    batch: &Batch,
    times: (Duration, PluginTime),
) -> RuleBatchStats {
    let judged = answer.rows.as_ref().map_or(batch.rows(), Vec::len);
    let has_failed = |row: &u32| answer.failures.binary_search_by_key(row, |failure| failure.0).is_ok();
    let last = (0..judged as u32).rev().find(|row| !has_failed(row)).map(|row| LastVerdict {
        offset: offset_of(answer, batch, row),
        score: answer.scores.get(row as usize).copied().filter(|score| !score.is_nan()),
    });
    let of_plugin = answer.failures.iter().filter(|failure| failure.1.starts_with("plugin-")).count();
    let failure = answer.failures.last().map(|(row, code, message)| LastFailure {
        offset: offset_of(answer, batch, *row),
        code,
        message: message.clone(),
    });
    let (elapsed, time) = times;
    let (rule, failed) = (rule.stamp.clone(), answer.failures.len());
    RuleBatchStats { rule, judged, failed, of_plugin, elapsed, time, last, failure }
}

fn halt(rule: &RulePlan, answer: &RuleRows, batch: &Batch, failure: &(u32, &'static str, String)) -> Halt {
    let (row, code, message) = failure;
    let (rule, message) = (rule.stamp.rule.clone(), message.clone());
    Halt { before: offset_of(answer, batch, *row), rule, code, message }
}

/// Drops rows whose entity holds them already: their verdicts are in the log. Returns how many.
fn drop_repeated_rows(state: &PartitionState, batch: &mut Batch, slots: &mut Vec<u32>) -> usize {
    let is_new = |(slot, offset): (&u32, &u64)| *offset >= state.entities.mark(*slot).0;
    if slots.iter().zip(&batch.offsets).all(is_new) {
        return 0;
    }
    let keep: BooleanArray = slots.iter().zip(&batch.offsets).map(|pair| Some(is_new(pair))).collect();
    let before = batch.rows();
    batch.keep(&keep, &state.plan);
    let mut row = 0;
    slots.retain(|_| {
        row += 1;
        keep.value(row - 1)
    });
    before - batch.rows()
}

/// Folds the events into every view and puts the values into the batch's columns. Returns how many were late.
fn fold_views(
    state: &mut PartitionState,
    batch: &mut Batch,
    slots: &[u32],
    cse_cache: &CseCache<'_>,
) -> Result<usize, PartitionError> {
    let plan = state.plan.clone();
    let rows = batch.rows();
    let mut late = 0;
    for (index, view) in plan.views.iter().enumerate() {
        let counted =
            view.when.as_ref().map(|when| when.filter_with(&batch.columns, rows, Some(cse_cache))).transpose()?;
        let argument = |argument: &Option<Expr>| match argument {
            Some(argument) => Ok(Some(argument.eval_with(&batch.columns, rows, Some(cse_cache))?)),
            None => Ok(None),
        };
        let arguments: Vec<Option<ArrayRef>> = view.arguments.iter().map(argument).collect::<Result<_, EvalError>>()?;
        let times = batch.times.as_primitive::<TimestampMillisecondType>().values();
        let rows = Rows { slots, times, counted: counted.as_ref(), arguments: &arguments };
        let folded = state.entities.windows(index).fold(&rows)?;
        late += folded.late as usize;
        for (measure, column) in folded.columns.into_iter().enumerate() {
            batch.columns[view.first_slot + measure] = column;
        }
    }
    Ok(late)
}

/// A column of scores for `scores.R`: NaN becomes missing.
pub(super) fn score_column(rows: usize, scores: impl Iterator<Item = (usize, f64)>) -> ArrayRef {
    let mut values = vec![None; rows];
    for (row, score) in scores.filter(|(_, score)| !score.is_nan()) {
        values[row] = Some(score);
    }
    Arc::new(arrow_array::Float64Array::from(values))
}
