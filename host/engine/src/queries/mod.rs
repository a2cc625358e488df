//! Reads: entities, views, events, profiles, dead letters, edges of the graph.
//!
//! Values of views come from the worker that owns the entity's partition, everything else from the stores. Definitions
//! are read from [`crate::CatalogService`], verdicts as they come from [`crate::LiveVerdictService`].

mod entities;
mod events;
mod profiles;
mod views;

use std::sync::Arc;

use crate::plan::Plan;
use crate::ports::graph::GraphEdge;
use crate::ports::{Page, Ports, StoreError};
use crate::shared::Shared;
use crate::worker::Ownership;
use profiles::FirstRevisions;

pub use events::{Explained, ExplainedPage};
pub use profiles::{EntityProfile, EntityTag, WantedScores};
pub use views::{ViewBuckets, ViewValues};

/// Reads of one engine. All of them block, unless they say that they need the plan only.
pub struct QueryService {
    shared: Arc<Shared>,
    ownership: Arc<Ownership>,
    first_revisions: FirstRevisions,
}

impl QueryService {
    pub(crate) fn new(shared: Arc<Shared>, ownership: Arc<Ownership>) -> Self {
        Self { shared, ownership, first_revisions: FirstRevisions::default() }
    }

    /// The edges that begin or end at a node, by name and then by the other end.
    ///
    /// # Errors
    /// The cursor is not one of this listing, or the store fails.
    pub fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        self.ports().graph.neighbours(node, limit, cursor)
    }

    fn ports(&self) -> &Ports {
        &self.shared.ports
    }

    fn plan(&self) -> Arc<Plan> {
        self.shared.plan()
    }
}
