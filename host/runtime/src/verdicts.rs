//! The output of a plugin: verdicts in columns, new states, and the rows that failed.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift};

use crate::error::ScoreError;
use crate::states::States;

/// The result of a batch: each of its rows is scored or has failed.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// The verdicts. A row that failed has none: its score is NaN and no list names it.
    pub verdicts: Verdicts,
    /// Each entity's new state, in the batch's order. An entity whose row failed has the state from before that row.
    pub states: States,
    /// The rows that failed, in order.
    pub failures: Vec<RowFailure>,
    /// The wall time of all calls, with the time to rebuild guests.
    pub elapsed: Duration,
    /// The CPU time of the same.
    pub cpu_time: Duration,
    /// The wall time of the calls that ran out of time or memory.
    pub exhausted_time: Duration,
}

/// Verdicts of a batch's rows. The lists are ordered by row and sparse; names are indices into the manifest's lists.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// One per row; NaN: the row has no score. Never infinite.
    pub scores: Vec<f64>,
    /// Tags of rows.
    pub tags: Vec<Tag>,
    /// Reasons of rows.
    pub reasons: Vec<Reason>,
    /// Edges of rows.
    pub edges: Vec<Edge>,
    /// Attributes of rows.
    pub attributes: Vec<Attribute>,
}

/// A row that the plugin cannot score: it fails alone on a fresh instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFailure {
    /// Index of the row.
    pub row: u32,
    /// The error of that call.
    pub error: ScoreError,
}

/// A tag of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Tag {
    /// Index of the row.
    pub row: u32,
    /// Index into the manifest's tags.
    pub name: u32,
}

/// A reason for the score of a row.
#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift)]
#[component(record)]
pub struct Reason {
    /// Index of the row.
    pub row: u32,
    /// Index into the manifest's reasons.
    pub code: u32,
    /// Its contribution to the score, in the plugin's unit. It is finite.
    pub weight: f64,
}

/// An edge of the graph between two nodes that a row connects.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Edge {
    /// Index of the row.
    pub row: u32,
    /// Index into the manifest's edges.
    pub name: u32,
    /// The node where it begins.
    pub source: String,
    /// The node where it ends.
    pub target: String,
}

/// A fact about a row.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Attribute {
    /// Index of the row.
    pub row: u32,
    /// Index into the manifest's attributes.
    pub name: u32,
    /// Its value.
    pub value: String,
}

impl Verdicts {
    /// Appends the verdicts of a part of the batch that begins at row `first`. Parts must be appended in order.
    pub(crate) fn append(&mut self, part: Self, first: u32) {
        self.scores.extend(part.scores);
        self.tags.extend(part.tags.into_iter().map(|tag| Tag { row: tag.row + first, ..tag }));
        self.reasons.extend(part.reasons.into_iter().map(|reason| Reason { row: reason.row + first, ..reason }));
        self.edges.extend(part.edges.into_iter().map(|edge| Edge { row: edge.row + first, ..edge }));
        let attributes = part.attributes.into_iter();
        self.attributes.extend(attributes.map(|attribute| Attribute { row: attribute.row + first, ..attribute }));
    }
}
