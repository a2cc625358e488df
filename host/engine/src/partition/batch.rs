//! The way of a batch through a partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray, new_empty_array, new_null_array};
use arrow_schema::DataType;
use arrow_select::filter::FilterBuilder;
use assay_core::expr::{EvalError, Expr, Memo};
use assay_core::names::{KeyProblem, Offset, check_key};
use assay_core::rule::OnError;
use assay_core::schema::EventError;
use assay_core::verdict::{BlockHead, EventColumns, RuleRows, write_block};
use assay_core::view::Rows;

use super::event_times::refuse_times;
use super::rule::{self, Answer, NoAnswer};
use super::{BatchStats, Halt, Instances, Partition, PartitionError};
use crate::plan::{MOST_PARTITIONS, RulePlan, StreamPlan};
use crate::ports::log::Refused;
use crate::ports::state::StateStore;
use crate::standing::{LastFailure, LastVerdict, PluginTime, RuleTurn};

/// The events of a batch that can be scored.
pub(super) struct Batch {
    /// Per slot of the plan a column; those of views and scores are empty until they are computed.
    pub(super) columns: Vec<ArrayRef>,
    pub(super) offsets: Vec<u64>,
    pub(super) keys: StringArray,
    pub(super) ids: Option<StringArray>,
    pub(super) times: ArrayRef,
}

impl Batch {
    pub(super) fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Cuts it down to the rows to keep.
    fn keep(&mut self, keep: &BooleanArray, plan: &StreamPlan) {
        keep_rows(keep, &mut self.columns, &mut self.offsets);
        self.keys = as_texts(&self.columns[plan.computed]);
        self.times = self.columns[plan.computed + 1].clone();
        self.ids = plan.def.id.as_ref().map(|_| as_texts(&self.columns[plan.computed + 2]));
    }
}

pub(super) type Unreadable = Vec<(u64, &'static str, String)>;

/// The offset of a batch's last record, readable or refused.
pub(crate) fn last_of(records: &[(Offset, &[u8])], refused: &[(Offset, &Refused)]) -> Option<Offset> {
    let ends = [records.last().map(|(offset, _)| *offset), refused.last().map(|(offset, _)| *offset)];
    ends.into_iter().flatten().max()
}

pub(super) fn score(
    partition: &mut Partition,
    records: &[(Offset, &[u8])],
    refused: &[(Offset, &Refused)],
    instances: &mut Instances,
    store: &dyn StateStore,
    out: &mut Vec<u8>,
) -> Result<BatchStats, PartitionError> {
    let Some(last) = last_of(records, refused) else { return Ok(BatchStats::default()) };
    let (mut batch, mut unreadable) = decode(partition, records);
    if !refused.is_empty() {
        unreadable.extend(refused.iter().map(|(offset, refused)| (offset.0, refused.code, refused.message.clone())));
        unreadable.sort_unstable_by_key(|event| event.0);
    }
    let forwarded = batch.rows();
    let origins = pass_over_forwarded(partition, &mut batch);
    let forwarded = forwarded - batch.rows();
    let mut slots = std::mem::take(&mut partition.slots);
    partition.entities.resolve(batch.keys.iter().flatten(), store, &mut slots)?;
    // Nothing fails from here on that the batch could be tried again after.
    partition.origins = origins;
    let repeated = forwarded + pass_over_repeated(partition, &mut batch, &mut slots);
    let mut stats = BatchStats {
        events: records.len() + refused.len(),
        unreadable: unreadable.len(),
        repeated,
        ..BatchStats::default()
    };

    let plan = partition.plan.clone();
    let memo = Memo::new(plan.shared);
    stats.late = fold_views(partition, &mut batch, &slots, &memo)?;
    for slot in &plan.silent {
        batch.columns[*slot] = new_null_array(&DataType::Float64, batch.rows());
    }
    let mut answers: Vec<RuleRows> = Vec::with_capacity(plan.rules.len());
    for rule_plan in &plan.rules {
        let started = Instant::now();
        let answer = rule::score(&plan, rule_plan, &batch, &slots, &mut partition.entities, instances, &memo);
        let Answer { rows: answer, scores, time } = answer.map_err(|why| no_answer(rule_plan, why))?;
        let turn = turn_of(rule_plan, &answer, &batch, (started.elapsed(), time));
        if let (OnError::Halt, Some(failure)) = (rule_plan.on_error, answer.failures.first()) {
            return Err(PartitionError::Halt(halt(rule_plan, &answer, &batch, failure)));
        }
        stats.failures += turn.failed;
        stats.verdicts += turn.judged - turn.failed;
        stats.rules.push(turn);
        batch.columns[rule_plan.slot] = scores;
        answers.push(answer);
    }
    for (slot, offset) in slots.iter().zip(&batch.offsets) {
        partition.entities.advance(*slot, Offset(offset + 1));
    }
    partition.slots = slots;

    let head = BlockHead { catalog: partition.catalog, next: last.next(), rules: &plan.stamps };
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

/// Appends a block to `out` that only says of events which are judged already why they cannot be folded any more. All
/// events before `next` are done.
pub(crate) fn write_refused(out: &mut Vec<u8>, catalog: u64, next: Offset, refused: &[(Offset, &Refused)]) {
    let unreadable: Unreadable =
        refused.iter().map(|(offset, refused)| (offset.0, refused.code, refused.message.clone())).collect();
    let keys = StringArray::new_null(0);
    let events = EventColumns { offsets: &[], times: &[], keys: &keys, ids: None, unreadable: &unreadable };
    write_block(out, &BlockHead { catalog, next, rules: "[]" }, &events, &[]);
}

/// The offset of a judged row's event.
fn offset_of(answer: &RuleRows, batch: &Batch, judged: u32) -> Offset {
    let row = answer.rows.as_ref().map_or(judged, |rows| rows[judged as usize]);
    Offset(batch.offsets[row as usize])
}

fn no_answer(rule: &RulePlan, why: NoAnswer) -> PartitionError {
    match why {
        NoAnswer::Plan(error) => error.into(),
        NoAnswer::Unfinished(cause) => PartitionError::Unfinished { rule: rule.stamp.clone(), cause },
    }
}

/// What one rule did with the batch.
fn turn_of(rule: &RulePlan, answer: &RuleRows, batch: &Batch, times: (Duration, PluginTime)) -> RuleTurn {
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
    RuleTurn { rule, judged, failed, of_plugin, elapsed, time, last, failure }
}

fn halt(rule: &RulePlan, answer: &RuleRows, batch: &Batch, failure: &(u32, &'static str, String)) -> Halt {
    let (row, code, message) = failure;
    let (rule, message) = (rule.stamp.rule.clone(), message.clone());
    Halt { before: offset_of(answer, batch, *row), rule, code, message }
}

fn decode(partition: &mut Partition, records: &[(Offset, &[u8])]) -> (Batch, Unreadable) {
    let plan = &partition.plan;
    let decoded = partition.decoder.decode(records.iter().map(|(_, bytes)| *bytes));
    let mut unreadable: Unreadable = decoded
        .bad
        .iter()
        .map(|(record, error)| (records[*record].0.0, "event-malformed", error.to_string()))
        .collect();
    let mut offsets: Vec<u64> = decoded.rows.iter().map(|record| records[*record].0.0).collect();
    let mut fields = decoded.columns;
    // Key, time and id are never missing in what came through ingest; whatever else wrote to the log is checked here.
    let needed = 2 + usize::from(plan.def.id.is_some());
    for (index, path) in plan.projection.iter().take(needed).enumerate() {
        let Some(nulls) = fields[index].nulls().filter(|nulls| nulls.null_count() > 0).cloned() else { continue };
        for (offset, is_there) in offsets.iter().zip(nulls.iter()) {
            if !is_there {
                let message = format!("field '{path}', which the stream needs of every event, is missing");
                unreadable.push((*offset, "event-incomplete", message));
            }
        }
        let keep = BooleanArray::new(nulls.into_inner(), None);
        keep_rows(&keep, &mut fields, &mut offsets);
    }
    // Key and id, where they are texts.
    for index in [0, 2].into_iter().take(needed - 1) {
        drop_invalid_keys(index, &plan.projection[index], &mut fields, &mut offsets, &mut unreadable);
    }
    if let Some(keep) = refuse_times(plan, &partition.stored, &fields[1], &offsets, &mut unreadable) {
        keep_rows(&keep, &mut fields, &mut offsets);
    }
    unreadable.sort_unstable_by_key(|event| event.0);
    let keys = as_texts(&fields[0]);
    let times = fields[1].clone();
    let ids = plan.def.id.as_ref().map(|_| as_texts(&fields[2]));
    let mut columns = vec![new_empty_array(&DataType::Boolean); plan.computed];
    columns.append(&mut fields);
    (Batch { columns, offsets, keys, ids, times }, unreadable)
}

/// Drops rows whose text in a column cannot be a key or an id: no store could keep it, or nobody ask for it.
fn drop_invalid_keys(
    column: usize,
    path: &str,
    fields: &mut [ArrayRef],
    offsets: &mut Vec<u64>,
    unreadable: &mut Unreadable,
) {
    let Some(texts) = fields[column].as_string_opt::<i32>() else { return };
    let problems: Vec<Option<KeyProblem>> = match texts.iter().flatten().all(|text| check_key(text).is_ok()) {
        true => return,
        false => texts.iter().map(|text| check_key(text.unwrap_or_default()).err()).collect(),
    };
    for (offset, problem) in offsets.iter().zip(&problems) {
        if let Some(problem) = *problem {
            let error = EventError::Key { path: path.to_owned(), problem };
            unreadable.push((*offset, error.code(), error.to_string()));
        }
    }
    let keep: BooleanArray = problems.iter().map(|problem| Some(problem.is_none())).collect();
    keep_rows(&keep, fields, offsets);
}

/// Cuts columns and offsets down to the rows to keep.
fn keep_rows(keep: &BooleanArray, columns: &mut [ArrayRef], offsets: &mut Vec<u64>) {
    let predicate = FilterBuilder::new(keep).build();
    for column in columns.iter_mut().filter(|column| column.len() == keep.len()) {
        // A predicate of a batch's length fits every column of the batch.
        if let Ok(kept) = predicate.filter(column) {
            *column = kept;
        }
    }
    let mut row = 0;
    offsets.retain(|_| {
        row += 1;
        keep.value(row - 1)
    });
}

fn as_texts(column: &ArrayRef) -> StringArray {
    match column.as_primitive_opt::<Int64Type>() {
        Some(ints) => ints.iter().map(|value| value.map(|value| value.to_string())).collect(),
        None => column.as_string::<i32>().clone(),
    }
}

/// Drops rows of a derived stream that were appended again: their source's partition is farther than that already.
/// Returns how far each is with this batch.
fn pass_over_forwarded(partition: &Partition, batch: &mut Batch) -> Vec<Offset> {
    let plan = &partition.plan;
    let mut origins = partition.origins.clone();
    let Some(slot) = plan.origin else { return origins };
    let [partitions, offsets] = [slot, slot + 1].map(|slot| batch.columns[slot].as_primitive::<Int64Type>().clone());
    let mut is_new = |(partition, offset): (&i64, &i64)| {
        // The host alone writes to the stream: another's place would be of no stream.
        let (Ok(partition @ ..MOST_PARTITIONS), Ok(offset)) = (usize::try_from(*partition), u64::try_from(*offset))
        else {
            return false;
        };
        if origins.len() <= partition {
            origins.resize(partition + 1, Offset(0));
        }
        let is_new = offset >= origins[partition].0;
        if is_new {
            origins[partition] = Offset(offset + 1);
        }
        is_new
    };
    let keep: Vec<bool> = partitions.values().iter().zip(offsets.values()).map(&mut is_new).collect();
    if keep.contains(&false) {
        batch.keep(&BooleanArray::from(keep), plan);
    }
    origins
}

/// Drops rows whose entity holds them already: their verdicts are in the log. Returns how many.
fn pass_over_repeated(partition: &Partition, batch: &mut Batch, slots: &mut Vec<u32>) -> usize {
    let is_new = |(slot, offset): (&u32, &u64)| *offset >= partition.entities.mark(*slot).0;
    if slots.iter().zip(&batch.offsets).all(is_new) {
        return 0;
    }
    let keep: BooleanArray = slots.iter().zip(&batch.offsets).map(|pair| Some(is_new(pair))).collect();
    let before = batch.rows();
    batch.keep(&keep, &partition.plan);
    let mut row = 0;
    slots.retain(|_| {
        row += 1;
        keep.value(row - 1)
    });
    before - batch.rows()
}

/// Folds the events into every view and puts the values into the batch's columns. Returns how many were late.
fn fold_views(
    partition: &mut Partition,
    batch: &mut Batch,
    slots: &[u32],
    memo: &Memo<'_>,
) -> Result<usize, PartitionError> {
    let plan = partition.plan.clone();
    let rows = batch.rows();
    let mut late = 0;
    for (index, view) in plan.views.iter().enumerate() {
        let counted = view.when.as_ref().map(|when| when.filter_with(&batch.columns, rows, Some(memo))).transpose()?;
        let argument = |argument: &Option<Expr>| match argument {
            Some(argument) => Ok(Some(argument.eval_with(&batch.columns, rows, Some(memo))?)),
            None => Ok(None),
        };
        let arguments: Vec<Option<ArrayRef>> = view.arguments.iter().map(argument).collect::<Result<_, EvalError>>()?;
        let times = batch.times.as_primitive::<TimestampMillisecondType>().values();
        let rows = Rows { slots, times, counted: counted.as_ref(), arguments: &arguments };
        let folded = partition.entities.windows(index).fold(&rows)?;
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
