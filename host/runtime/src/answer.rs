//! The answer of a guest to a batch, and the check that it follows the contract and the limits.

use wasmtime::component::{ComponentType, Lift};

use crate::error::ScoreError;
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::states::States;
use crate::verdicts::{Attribute, Edge, Reason, Tag, Verdicts};

/// An answer before the check.
#[derive(Clone, Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Answer {
    scores: Vec<f64>,
    tags: Vec<Tag>,
    reasons: Vec<Reason>,
    edges: Vec<Edge>,
    attributes: Vec<Attribute>,
    states: States,
}

/// The bounds on one list of an answer.
struct ListBounds {
    what: &'static str,
    rows: u32,
    names: usize,
    max_per_row: u32,
}

impl Answer {
    /// The verdicts and the new states, if they follow the contract and the limits.
    pub(crate) fn check(
        self,
        manifest: &Manifest,
        limits: &Limits,
        rows: u32,
        entities: usize,
    ) -> Result<(Verdicts, States), ScoreError> {
        self.find_violation(manifest, limits, rows, entities)
            .map_or(Ok(()), |text| Err(ScoreError::Malformed(text)))?;
        let mut scores = self.scores;
        scores.resize(rows as usize, f64::NAN);
        let Self { tags, reasons, edges, attributes, states, .. } = self;
        Ok((Verdicts { scores, tags, reasons, edges, attributes }, states))
    }

    fn find_violation(&self, manifest: &Manifest, limits: &Limits, rows: u32, entities: usize) -> Option<String> {
        if !self.scores.is_empty() && self.scores.len() != rows as usize {
            return Some(format!("expected {rows} scores or none, found {}", self.scores.len()));
        }
        if let Some(row) = self.scores.iter().position(|score| score.is_infinite()) {
            return Some(format!("the score of row {row} is infinite"));
        }
        let list = |what, names: &[String], max_per_row| ListBounds { what, rows, names: names.len(), max_per_row };
        list("tags", &manifest.tags, limits.max_tags_per_row)
            .find_violation(self.tags.iter().map(|tag| (tag.row, tag.name)))
            .or_else(|| {
                list("reasons", &manifest.reasons, limits.max_reasons_per_row)
                    .find_violation(self.reasons.iter().map(|reason| (reason.row, reason.code)))
            })
            .or_else(|| self.find_bad_weight())
            .or_else(|| {
                list("edges", &manifest.edges, limits.max_edges_per_row)
                    .find_violation(self.edges.iter().map(|edge| (edge.row, edge.name)))
            })
            .or_else(|| {
                list("attributes", &manifest.attributes, limits.max_attributes_per_row)
                    .find_violation(self.attributes.iter().map(|attribute| (attribute.row, attribute.name)))
            })
            .or_else(|| self.find_long_text(limits.max_text_bytes))
            .or_else(|| self.states.find_violation(entities, limits.max_state_bytes_per_entity))
    }

    fn find_bad_weight(&self) -> Option<String> {
        let reason = self.reasons.iter().find(|reason| !reason.weight.is_finite())?;
        Some(format!("the weight of a reason of row {} is {}", reason.row, reason.weight))
    }

    fn find_long_text(&self, max: usize) -> Option<String> {
        let edges = self.edges.iter().flat_map(|edge| [&edge.source, &edge.target]);
        let values = self.attributes.iter().map(|attribute| &attribute.value);
        let bytes = edges.chain(values).map(String::len).find(|bytes| *bytes > max)?;
        Some(format!("a text has {bytes} bytes, at most {max} are allowed"))
    }
}

impl ListBounds {
    /// The first violation in a list of (row, name); none if there is none.
    fn find_violation(&self, items: impl Iterator<Item = (u32, u32)>) -> Option<String> {
        let Self { what, rows, names, max_per_row } = *self;
        let (mut last, mut in_row) = (0, 0);
        for (row, name) in items {
            if row >= rows {
                return Some(format!("{what} name row {row} of a batch of {rows}"));
            }
            if name as usize >= names {
                return Some(format!("{what} have index {name}, the manifest names {names}"));
            }
            if row < last {
                return Some(format!("{what} are not ordered by row: {row} comes behind {last}"));
            }
            in_row = if row == last { in_row + 1 } else { 1 };
            if in_row > max_per_row {
                return Some(format!("row {row} has more than {max_per_row} {what}"));
            }
            last = row;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "m".into(),
            version: semver::Version::new(1, 0, 0),
            doc: String::new(),
            inputs: Vec::new(),
            tags: vec!["a".into(), "b".into()],
            reasons: vec!["r".into()],
            edges: vec!["e".into()],
            attributes: vec!["t".into()],
            config_schema: serde_json::json!({}),
            state_version: None,
            annotations: Vec::new(),
        }
    }

    fn refusal(change: impl FnOnce(&mut Answer)) -> String {
        let mut answer = Answer { scores: vec![0.5, f64::NAN], ..Answer::default() };
        change(&mut answer);
        let limits = Limits { max_tags_per_row: 2, max_text_bytes: 4, ..Limits::default() };
        match answer.check(&manifest(), &limits, 2, 0) {
            Err(ScoreError::Malformed(text)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn good_answers_pass_and_absent_scores_become_nan() {
        let answer = Answer { tags: vec![Tag { row: 0, name: 1 }, Tag { row: 1, name: 0 }], ..Answer::default() };
        let (verdicts, states) = answer.check(&manifest(), &Limits::default(), 2, 0).expect("the answer is good");
        assert_eq!(verdicts.scores.len(), 2);
        assert!(verdicts.scores.iter().all(|score| score.is_nan()));
        assert_eq!((verdicts.tags.len(), states.len()), (2, 0));
    }

    #[test]
    fn each_violation_has_its_message() {
        let tag = |row, name| Tag { row, name };
        let reason = |weight| Reason { row: 1, code: 0, weight };
        assert_eq!(refusal(|a| a.scores.push(1.0)), "expected 2 scores or none, found 3");
        assert_eq!(refusal(|a| a.scores[1] = f64::NEG_INFINITY), "the score of row 1 is infinite");
        assert_eq!(refusal(|a| a.tags = vec![tag(2, 0)]), "tags name row 2 of a batch of 2");
        assert_eq!(refusal(|a| a.tags = vec![tag(0, 2)]), "tags have index 2, the manifest names 2");
        assert_eq!(refusal(|a| a.tags = vec![tag(1, 0), tag(0, 0)]), "tags are not ordered by row: 0 comes behind 1");
        assert_eq!(refusal(|a| a.tags = vec![tag(0, 0); 3]), "row 0 has more than 2 tags");
        assert_eq!(refusal(|a| a.reasons = vec![reason(f64::NAN)]), "the weight of a reason of row 1 is NaN");
        let edge = Edge { row: 0, name: 0, source: "card:1".into(), target: String::new() };
        assert_eq!(refusal(|a| a.edges = vec![edge]), "a text has 6 bytes, at most 4 are allowed");
        assert_eq!(refusal(|a| a.states.push(b"x")), "expected 0 states, found 1");
    }
}
