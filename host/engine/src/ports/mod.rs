//! The ports: what the engine needs of the world, as traits. The crates of `host/stores` have the adapters.
//!
//! All calls may block; those who are async call them on threads made for that. Every write says up to where it
//! carries its source, so that repeating it after a crash changes nothing. A write of what verdicts say, up to where the
//! store has them already, adds its items and leaves the position as it is: so a block is carried in parts.

pub mod archive;
pub mod buckets;
pub mod catalog;
pub mod dead_letters;
pub mod erasure;
pub mod graph;
mod guarded;
pub mod log;
pub mod membership;
pub mod outbox;
pub mod profiles;
pub mod series;
pub mod state;

use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};

/// A failure of a store. The text is for the operator: what was tried, on what, and what the store said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store does not answer, or not in time. Trying again later may help.
    #[error("{store} is unavailable: {message}")]
    Unavailable {
        /// The store.
        store: &'static str,
        /// Its message.
        message: String,
    },
    /// Stored data cannot be read, or a write was refused for good.
    #[error("{store}: {message}")]
    Broken {
        /// The store.
        store: &'static str,
        /// The problem and its place.
        message: String,
    },
    /// The store's adapter panicked: a bug of this program. Nobody knows which part of a write is in the store. Unlike the
    /// other failures, it may be about the data that was to be written.
    #[error("{store}: {message}")]
    Panicked {
        /// Which store.
        store: &'static str,
        /// Which call, and the panic with its place in the source.
        message: String,
    },
    /// The caller's fault, not the store's: a listing was asked to go on from something that it never handed out.
    #[error("the cursor is not one that this listing handed out: hand it back as it came, or begin without one")]
    BadCursor,
}

/// One partition of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The stream.
    pub stream: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.stream, self.partition)
    }
}

/// An event by its place: which partition and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset.
    pub offset: Offset,
}

/// One item of a write that its store refuses for good. The others of the write are stored, but its position is not: the
/// caller first keeps what was refused, then stores the position by a write without items. So a crash between the two loses
/// nothing: the items are written and refused again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedItem {
    /// The index of the item in the write, from 0.
    pub index: usize,
    /// The store's message.
    pub message: String,
}

/// One page of a listing, and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// Opaque; hand it back to go on. None: that was the last page.
    pub cursor: Option<String>,
}

/// All ports, as the composition root hands them to the engine.
#[derive(Clone)]
pub struct Ports {
    /// Events and verdicts.
    pub log: Arc<dyn log::Log>,
    /// The assignment of partitions to this process.
    pub membership: Arc<dyn membership::Membership>,
    /// Streams, views, rules, plugins, keys.
    pub catalog: Arc<dyn catalog::Catalog>,
    /// The saved state of entities: their views and their plugins' states.
    pub state: Arc<dyn state::StateStore>,
    /// The buckets of tumbling views, if there is a store in which others read them.
    pub buckets: Option<Arc<dyn buckets::Buckets>>,
    /// Events and verdicts by entity and by id.
    pub archive: Arc<dyn archive::Archive>,
    /// Latest scores and tags.
    pub profiles: Arc<dyn profiles::Profiles>,
    /// Edges between nodes.
    pub graph: Arc<dyn graph::Graph>,
    /// Events that could not be scored.
    pub dead_letters: Arc<dyn dead_letters::DeadLetters>,
    /// Points in time, if there is a store for them.
    pub series: Option<Arc<dyn series::TimeSeries>>,
    /// Verdicts and dead letters as messages, if somebody reads them.
    pub outbox: Option<Arc<dyn outbox::Outbox>>,
    /// The deletion of what the stores hold of one entity, if they can.
    pub erasure: Option<Arc<dyn erasure::Erasure>>,
}
