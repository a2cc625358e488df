//! Taking events in, and waiting for the verdicts on them.
//!
//! A request's way: [`IngestService::begin`] -> [`Ingest`] (events checked one by one) -> [`Submitted`] (in the log, then
//! durable) -> [`IngestService::wait_scored`] -> [`OutcomeReader`].

mod events;
mod outcome_reader;
mod wait;

use std::sync::Arc;

use crate::backlog::Behind;
use crate::ports::StoreError;
use crate::problem::describe_unknown_stream;
use crate::shared::Shared;

pub use events::{Ingest, Submitted};
pub use outcome_reader::{OutcomeReader, VerdictMarks};
pub use wait::WaitError;

/// The reason why events cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The stream is unknown.
    #[error("{}", describe_unknown_stream(.name, .streams))]
    UnknownStream {
        /// The requested stream.
        name: String,
        /// The streams that exist.
        streams: Vec<String>,
    },
    /// The stream has the events of another one.
    #[error("'{name}' has the events of '{from}' under another key: send them there")]
    Derived {
        /// The requested stream.
        name: String,
        /// The source stream, which takes events in.
        from: String,
    },
    /// The stream's key, time or id is not in its schema, which compiling the stream rules out.
    #[error("{0}")]
    Plan(String),
    /// Too much waits to be scored. Nothing was stored; later it may be.
    #[error("{0}; nothing was stored, send it again in a moment")]
    Behind(#[from] Behind),
    /// The log fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes events in.
pub struct IngestService {
    shared: Arc<Shared>,
}

impl IngestService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Begins to take in the events of one request.
    ///
    /// # Errors
    /// The stream is unknown, or derived from another one.
    pub fn begin(&self, stream: &str) -> Result<Ingest, IngestError> {
        let plan = self.shared.plan();
        let Some(stream) = plan.streams.get(stream) else {
            let streams = plan.streams.keys().cloned().collect();
            return Err(IngestError::UnknownStream { name: stream.to_owned(), streams });
        };
        if let Some(from) = stream.def.from.clone() {
            return Err(IngestError::Derived { name: stream.def.stream.clone(), from });
        }
        Ingest::new(self.shared.clone(), stream.clone()).map_err(|error| IngestError::Plan(error.to_string()))
    }

    /// The number of rules that run on the events of a stream; 0 for an unknown stream.
    pub fn count_rules(&self, stream: &str) -> usize {
        self.shared.plan().streams.get(stream).map_or(0, |stream| stream.rules.len())
    }
}
