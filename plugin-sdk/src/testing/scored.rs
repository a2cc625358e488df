//! Verdicts for tests: per row, and with names instead of indexes.

use crate::bindings::{Manifest, Verdicts};

/// The verdict of a row, as the host reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// The score, if the row has one.
    pub score: Option<f64>,
    /// Tags.
    pub tags: Vec<String>,
    /// Reasons and their weights.
    pub reasons: Vec<(String, f64)>,
    /// Edges: name, source, target.
    pub edges: Vec<(String, String, String)>,
    /// Attributes and their values.
    pub attributes: Vec<(String, String)>,
}

/// Splits the answer to a batch into the verdicts of its rows.
pub(super) fn by_row(manifest: &Manifest, rows: usize, verdicts: &Verdicts) -> Vec<Scored> {
    let mut scored = vec![Scored::default(); rows];
    for (row, score) in scored.iter_mut().zip(&verdicts.scores) {
        row.score = (!score.is_nan()).then_some(*score);
    }
    for tag in &verdicts.tags {
        scored[tag.row as usize].tags.push(manifest.tags[tag.name as usize].clone());
    }
    for reason in &verdicts.reasons {
        let name = manifest.reasons[reason.code as usize].clone();
        scored[reason.row as usize].reasons.push((name, reason.weight));
    }
    for edge in &verdicts.edges {
        let name = manifest.edges[edge.name as usize].clone();
        scored[edge.row as usize].edges.push((name, edge.source.clone(), edge.target.clone()));
    }
    for attribute in &verdicts.attributes {
        let name = manifest.attributes[attribute.name as usize].clone();
        scored[attribute.row as usize].attributes.push((name, attribute.value.clone()));
    }
    scored
}
