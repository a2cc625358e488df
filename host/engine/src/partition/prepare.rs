//! The first step of a batch: its records are decoded, what cannot be scored is left out with the reason, and its entities
//! are looked for in memory. Nothing is folded yet, so all of it can be done again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray, new_empty_array};
use arrow_schema::DataType;
use arrow_select::filter::FilterBuilder;
use assay_core::failure_code::FailureCode;
use assay_core::names::{KeyProblem, Offset, check_key};
use assay_core::schema::EventError;
use compact_str::CompactString;

use super::PartitionState;
use super::entities::MissingEntities;
use super::event_times::refuse_times;
use super::recorded::RecordedFailures;
use crate::plan::{MAX_PARTITIONS, StreamPlan};
use crate::ports::StoreError;
use crate::ports::log::Refused;

/// The events of a batch that can be scored.
pub(super) struct Batch {
    /// Per slot of the plan a column; those of views and scores are empty until they are computed.
    pub(super) columns: Vec<ArrayRef>,
    pub(super) offsets: Vec<u64>,
    pub(super) keys: StringArray,
    pub(super) ids: Option<StringArray>,
    pub(super) times: ArrayRef,
    /// Failures that are known already.
    pub(super) recorded: Arc<RecordedFailures>,
}

impl Batch {
    pub(super) fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Cuts it down to the rows to keep.
    pub(super) fn keep(&mut self, keep: &BooleanArray, plan: &StreamPlan) {
        keep_rows(keep, &mut self.columns, &mut self.offsets);
        self.keys = as_texts(&self.columns[plan.computed]);
        self.times = self.columns[plan.computed + 1].clone();
        self.ids = plan.def.id.as_ref().map(|_| as_texts(&self.columns[plan.computed + 2]));
    }
}

pub(super) type Unreadable = Vec<(u64, &'static str, String)>;

/// A batch that is decoded. It can be folded once all of its entities are in memory.
pub(crate) struct PreparedBatch {
    pub(super) batch: Batch,
    pub(super) unreadable: Unreadable,
    /// How many records it was made from.
    pub(super) records: usize,
    /// The first offset that the batch covers; the last one is `last`.
    pub(super) from: Offset,
    pub(super) last: Offset,
    /// Rows that were forwarded again by the source of a derived stream, and are left out.
    pub(super) forwarded: usize,
    pub(super) origins: Vec<Offset>,
    /// The rows' entities, by the generation of slots that they were found in.
    pub(super) slots: Vec<u32>,
    missing: MissingEntities,
    generation: u64,
}

impl PreparedBatch {
    /// The entities that have to be loaded before it can be folded.
    pub(crate) fn missing_keys(&self) -> &[CompactString] {
        &self.missing.keys
    }

    /// The offset behind its last record.
    pub(crate) fn next(&self) -> Offset {
        self.last.next()
    }
}

/// Decodes records and finds their entities. Nothing is folded by this. None: there are no records.
pub(super) fn prepare(
    state: &mut PartitionState,
    from: Offset,
    records: &[(Offset, &[u8])],
    refused: &[(Offset, &Refused)],
) -> Option<PreparedBatch> {
    let last = last_of(records, refused)?;
    let (mut batch, mut unreadable) = decode(state, records);
    if !refused.is_empty() {
        unreadable.extend(refused.iter().map(|(offset, refused)| (offset.0, refused.code, refused.message.clone())));
        unreadable.sort_unstable_by_key(|event| event.0);
    }
    let forwarded = batch.rows();
    let origins = drop_forwarded_rows(state, &mut batch);
    let forwarded = forwarded - batch.rows();
    let mut slots = std::mem::take(&mut state.slots);
    let missing = state.entities.find_slots(batch.keys.iter().flatten(), &mut slots);
    let (records, generation) = (records.len() + refused.len(), state.entities.generation());
    Some(PreparedBatch { batch, unreadable, records, from, last, forwarded, origins, slots, missing, generation })
}

/// Takes the states of the entities that a batch lacks, in the order of its missing keys.
pub(super) fn insert_states(
    state: &mut PartitionState,
    prepared: &mut PreparedBatch,
    states: Vec<Option<Vec<u8>>>,
) -> Result<(), StoreError> {
    state.entities.insert_loaded(&prepared.missing.keys, states)?;
    if prepared.generation == state.entities.generation() {
        let missing = std::mem::take(&mut prepared.missing);
        for row in missing.rows {
            prepared.slots[row] = state.entities.slot(prepared.batch.keys.value(row)).unwrap_or(u32::MAX);
        }
    } else {
        // Entities were evicted meanwhile, some of the batch perhaps.
        prepared.missing = state.entities.find_slots(prepared.batch.keys.iter().flatten(), &mut prepared.slots);
        prepared.generation = state.entities.generation();
    }
    Ok(())
}

/// The offset of a batch's last record, readable or refused.
fn last_of(records: &[(Offset, &[u8])], refused: &[(Offset, &Refused)]) -> Option<Offset> {
    let ends = [records.last().map(|(offset, _)| *offset), refused.last().map(|(offset, _)| *offset)];
    ends.into_iter().flatten().max()
}

fn decode(state: &mut PartitionState, records: &[(Offset, &[u8])]) -> (Batch, Unreadable) {
    let plan = &state.plan;
    let decoded = state.decoder.decode(records.iter().map(|(_, bytes)| *bytes));
    let mut unreadable: Unreadable = decoded
        .bad
        .iter()
        .map(|(record, error)| (records[*record].0.0, FailureCode::EventMalformed.as_str(), error.to_string()))
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
                unreadable.push((*offset, FailureCode::EventIncomplete.as_str(), message));
            }
        }
        let keep = BooleanArray::new(nulls.into_inner(), None);
        keep_rows(&keep, &mut fields, &mut offsets);
    }
    // Key and id, where they are texts.
    for index in [0, 2].into_iter().take(needed - 1) {
        drop_invalid_keys(index, &plan.projection[index], &mut fields, &mut offsets, &mut unreadable);
    }
    if let Some(keep) = refuse_times(plan, &state.stored, &fields[1], &offsets, &mut unreadable) {
        keep_rows(&keep, &mut fields, &mut offsets);
    }
    unreadable.sort_unstable_by_key(|event| event.0);
    let keys = as_texts(&fields[0]);
    let times = fields[1].clone();
    let ids = plan.def.id.as_ref().map(|_| as_texts(&fields[2]));
    let mut columns = vec![new_empty_array(&DataType::Boolean); plan.computed];
    columns.append(&mut fields);
    (Batch { columns, offsets, keys, ids, times, recorded: state.recorded.clone() }, unreadable)
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
            unreadable.push((*offset, error.code().as_str(), error.to_string()));
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
fn drop_forwarded_rows(state: &PartitionState, batch: &mut Batch) -> Vec<Offset> {
    let plan = &state.plan;
    let mut origins = state.origins.clone();
    let Some(slot) = plan.origin else { return origins };
    let [partitions, offsets] = [slot, slot + 1].map(|slot| batch.columns[slot].as_primitive::<Int64Type>().clone());
    let mut is_new = |(partition, offset): (&i64, &i64)| {
        // The host alone writes to the stream: another's place would be of no stream.
        let (Ok(partition @ ..MAX_PARTITIONS), Ok(offset)) = (usize::try_from(*partition), u64::try_from(*offset))
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
