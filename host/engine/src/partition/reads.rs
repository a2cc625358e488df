//! Reads of an entity's views. An entity that is not in memory is loaded.

use std::ops::Range;

use assay_core::time_range::TimeRange;
use assay_core::value::Value;
use assay_core::view::{Bucket, NotKept};

use super::PartitionState;
use crate::ports::StoreError;
use crate::ports::state::StateStore;

/// A view's values of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The time of its newest event that was counted, ms since 1970; none before the first.
    pub as_of: Option<i64>,
    /// Values by measure, in the order of the definition.
    pub values: Vec<(String, Value)>,
    /// Of a tumbling view: the begin and the end of the bucket that the values are of, ms since 1970.
    pub bucket: Option<Range<i64>>,
}

/// The answer of a view that was asked for an entity.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewAnswer {
    /// There is no such view.
    Unknown,
    /// Some of what the value of that time covers is not kept any more.
    NotKept(NotKept),
    /// The values.
    Measured(Measured),
}

/// The buckets that a tumbling view keeps of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptBuckets {
    /// The time of its newest event that was counted, ms since 1970; none before the first.
    pub as_of: Option<i64>,
    /// The names of the measures, in the order of the buckets' values.
    pub measures: Vec<String>,
    /// Those that have events, oldest first.
    pub buckets: Vec<Bucket>,
}

impl PartitionState {
    /// A view's values of an entity at a time, or as of its newest event.
    ///
    /// # Errors
    /// The state store failed.
    pub fn view(
        &mut self,
        view: &str,
        key: &str,
        at: Option<i64>,
        store: &dyn StateStore,
    ) -> Result<ViewAnswer, StoreError> {
        let plan = self.plan.clone();
        let Some((index, slot)) = self.find(view, key, store)? else { return Ok(ViewAnswer::Unknown) };
        let view = &plan.views[index];
        let windows = self.entities.windows(index);
        let seen = match at.map(|at| windows.value_at(slot, at)) {
            None => windows.newest_value(slot),
            Some(Ok(seen)) => seen,
            Some(Err(not_kept)) => return Ok(ViewAnswer::NotKept(not_kept)),
        };
        let values = view.measures.iter().map(|(name, _)| name.clone()).zip(seen.values).collect();
        let bucket =
            at.or(seen.as_of).filter(|_| view.layout.window().has_buckets()).and_then(|at| view.layout.bucket_of(at));
        Ok(ViewAnswer::Measured(Measured { as_of: seen.as_of, values, bucket }))
    }

    /// The buckets that a tumbling view keeps of an entity and that have some of these times; none for an unknown view.
    ///
    /// # Errors
    /// The state store failed.
    pub fn buckets(
        &mut self,
        view: &str,
        key: &str,
        times: TimeRange,
        store: &dyn StateStore,
    ) -> Result<Option<KeptBuckets>, StoreError> {
        let Some((index, slot)) = self.find(view, key, store)? else { return Ok(None) };
        let measures = self.plan.views[index].measures.iter().map(|(name, _)| name.clone()).collect();
        let windows = self.entities.windows(index);
        let as_of = windows.newest_time(slot);
        Ok(Some(KeptBuckets { as_of, measures, buckets: windows.buckets(slot, times) }))
    }

    /// The place of a view in the plan, and the slot of an entity, which is loaded if it is not in memory.
    fn find(&mut self, view: &str, key: &str, store: &dyn StateStore) -> Result<Option<(usize, u32)>, StoreError> {
        let Some(index) = self.plan.views.iter().position(|plan| plan.def.view == view) else { return Ok(None) };
        Ok(Some((index, self.entities.load_slot(key, store)?)))
    }
}
