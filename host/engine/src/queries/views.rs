//! Values and buckets of views, as the worker that owns the entity has them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use assay_core::event_time::MAX_EVENT_TIME_MS;
use assay_core::time_range::TimeRange;
use assay_core::value::Value;
use assay_core::view::{Bucket, NotKept};
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::QueryService;
use crate::partition::{PartitionState, ViewAnswer};
use crate::plan::StreamPlan;
use crate::ports::state::StateStore;
use crate::ports::{PartitionId, StoreError};
use crate::problem::ReadError;
use crate::worker::Request;

/// The longest wait for the answer of a worker, which comes between two batches.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A view's values of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewValues {
    /// The view.
    pub view: String,
    /// The entity.
    pub key: String,
    /// The time that the values are of, ms since 1970; none for an entity without events.
    pub as_of: Option<i64>,
    /// Values by measure.
    pub measures: Vec<(String, Value)>,
    /// Of a tumbling view: the begin and the end of the bucket that the values are of, ms since 1970.
    pub bucket: Option<Range<i64>>,
}

/// The buckets that a tumbling view keeps of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewBuckets {
    /// The view.
    pub view: String,
    /// The entity.
    pub key: String,
    /// The time of the newest event that was counted, ms since 1970; none for an entity without events.
    pub as_of: Option<i64>,
    /// The names of the measures, in the order of the buckets' values.
    pub measures: Vec<String>,
    /// Those that have events, oldest first.
    pub buckets: Vec<Bucket>,
}

impl QueryService {
    /// A view's values of an entity at a time, or as of its newest event. Blocks: the worker that owns the entity
    /// answers between two batches. When another process owns it, the values are those of its last checkpoint.
    ///
    /// # Errors
    /// The view is unknown, it does not keep all that its value at that time covers, or the state store fails.
    pub fn view(&self, view: &str, key: &str, at: Option<i64>) -> Result<ViewValues, ReadError> {
        if let Some(at) = at.filter(|at| !(-MAX_EVENT_TIME_MS..=MAX_EVENT_TIME_MS).contains(at)) {
            let message = format!("at: no event has the time {at}: expected -2^60 to 2^60 ms since 1970");
            return Err(ReadError::Bad(message));
        }
        let stream = self.stream_of(view)?;
        let key = &stream.canonical_key(key);
        let asked = (view.to_owned(), key.clone());
        let read =
            move |partition: &mut PartitionState, state: &dyn StateStore| partition.view(&asked.0, &asked.1, at, state);
        let seen = match self.read_from_owner(&stream, key, read)? {
            ViewAnswer::Measured(seen) => seen,
            ViewAnswer::Unknown => return Err(unknown(view)),
            ViewAnswer::NotKept(NotKept { from }) => {
                let (view, key, at) = (view.to_owned(), key.to_owned(), at.unwrap_or_default());
                return Err(ReadError::NotKept { view, key, at, from });
            }
        };
        Ok(ViewValues {
            view: view.to_owned(),
            key: key.to_owned(),
            as_of: seen.as_of,
            measures: seen.values,
            bucket: seen.bucket,
        })
    }

    /// The buckets that a tumbling view keeps of an entity and that have some of these times. Blocks, and comes from
    /// where [`QueryService::view`] does.
    ///
    /// # Errors
    /// The view is unknown or has no buckets, or the state store fails.
    pub fn buckets(&self, view: &str, key: &str, times: TimeRange) -> Result<ViewBuckets, ReadError> {
        let stream = self.stream_of(view)?;
        if !stream.views.iter().any(|plan| plan.def.view == view && plan.layout.window().has_buckets()) {
            let message = format!("view '{view}' has no buckets: only views with 'every' do");
            return Err(ReadError::Bad(message));
        }
        let key = &stream.canonical_key(key);
        let asked = (view.to_owned(), key.clone());
        let read = move |partition: &mut PartitionState, state: &dyn StateStore| {
            partition.buckets(&asked.0, &asked.1, times, state)
        };
        let kept = self.read_from_owner(&stream, key, read)?.ok_or_else(|| unknown(view))?;
        Ok(ViewBuckets {
            view: view.to_owned(),
            key: key.to_owned(),
            as_of: kept.as_of,
            measures: kept.measures,
            buckets: kept.buckets,
        })
    }

    /// The stream of a view.
    fn stream_of(&self, view: &str) -> Result<Arc<StreamPlan>, ReadError> {
        let plan = self.plan();
        let has = |stream: &&Arc<StreamPlan>| stream.views.iter().any(|plan| plan.def.view == view);
        plan.streams.values().find(has).cloned().ok_or_else(|| unknown(view))
    }

    /// Reads from the partition that has an entity: the worker's, or what was saved if another process owns it.
    fn read_from_owner<T: Send + 'static>(
        &self,
        stream: &Arc<StreamPlan>,
        key: &str,
        read: impl Fn(&mut PartitionState, &dyn StateStore) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, ReadError> {
        let partition = self.ports().log.partition_of(key, stream.partitions);
        let partition_id = PartitionId { stream: stream.def.stream.as_str().into(), partition };
        let state = self.ports().state.clone();
        let (answer, answered) = bounded(1);
        if let Some(worker) = self.ownership.worker_of(&partition_id) {
            let (state, read) = (state.clone(), read.clone());
            let read = move |partition: &mut PartitionState| drop(answer.send(read(partition, &*state)));
            worker.send(Request::Read(partition_id.clone(), Box::new(read)));
        } else {
            drop(answer);
        }
        match answered.recv_timeout(ANSWER_TIMEOUT) {
            Ok(seen) => Ok(seen?),
            Err(RecvTimeoutError::Disconnected) => {
                let saved = PartitionState::new(partition_id, stream.clone(), self.plan().snapshot.version);
                Ok(read(&mut saved.map_err(|error| ReadError::Bad(error.to_string()))?, &*state)?)
            }
            Err(RecvTimeoutError::Timeout) => {
                let message = "the worker that owns the entity does not answer".to_owned();
                Err(StoreError::Unavailable { store: "engine", message }.into())
            }
        }
    }
}

fn unknown(view: &str) -> ReadError {
    ReadError::NotFound(format!("there is no view '{view}'"))
}
