//! Collects verdicts into the columns of an answer.

use crate::bindings::{Attribute, Blobs, Edge, Reason, Tag, Verdicts};
use crate::names;
use crate::verdict::{RareParts, Verdict};

/// The answer to a batch, row by row.
pub(crate) struct Answer {
    rows: u32,
    verdicts: Verdicts,
}

impl Answer {
    /// An empty answer with capacity for `rows` verdicts.
    pub(crate) fn for_rows(rows: u32) -> Self {
        let verdicts = Verdicts {
            scores: Vec::with_capacity(rows as usize),
            tags: Vec::new(),
            reasons: Vec::new(),
            edges: Vec::new(),
            attributes: Vec::new(),
            states: Blobs { ends: Vec::new(), data: Vec::new() },
        };
        Self { rows, verdicts }
    }

    /// Appends a row's verdict.
    ///
    /// # Errors
    /// A reason's weight is not finite.
    #[inline(always)]
    pub(crate) fn push(&mut self, row: u32, verdict: Verdict) -> Result<(), String> {
        self.verdicts.scores.push(verdict.score);
        if verdict.tags != 0 {
            self.push_tags(row, verdict.tags);
        }
        // Unrolled by hand, because constant indexes keep `Reasons` in registers.
        let [first, second, third, fourth] = verdict.reasons.slots();
        if let (Some(reason), weight) = first {
            self.push_reason(row, reason, weight)?;
        }
        if let (Some(reason), weight) = second {
            self.push_reason(row, reason, weight)?;
        }
        if let (Some(reason), weight) = third {
            self.push_reason(row, reason, weight)?;
        }
        if let (Some(reason), weight) = fourth {
            self.push_reason(row, reason, weight)?;
        }
        match verdict.more {
            None => Ok(()),
            Some(more) => self.push_more(row, *more),
        }
    }

    fn push_tags(&mut self, row: u32, mut tags: u64) {
        while tags != 0 {
            reserve_rows(&mut self.verdicts.tags, self.rows, row);
            self.verdicts.tags.push(Tag { row, name: tags.trailing_zeros() });
            tags &= tags - 1;
        }
    }

    fn push_reason(&mut self, row: u32, reason: names::Reason, weight: f64) -> Result<(), String> {
        if !weight.is_finite() {
            return Err(format!("row {row}: the weight of reason `{}` is {weight}", reason.name()));
        }
        reserve_rows(&mut self.verdicts.reasons, self.rows, row);
        self.verdicts.reasons.push(Reason { row, code: reason.index(), weight });
        Ok(())
    }

    /// Separate from `push`, so that the code for the common row, which has none of these, is short.
    #[cold]
    fn push_more(&mut self, row: u32, more: RareParts) -> Result<(), String> {
        for (reason, weight) in more.reasons {
            self.push_reason(row, reason, weight)?;
        }
        for (edge, source, target) in more.edges {
            self.verdicts.edges.push(Edge { row, name: edge.index(), source, target });
        }
        for (attribute, value) in more.attributes {
            self.verdicts.attributes.push(Attribute { row, name: attribute.index(), value });
        }
        Ok(())
    }

    /// The answer, with the new states.
    pub(crate) fn into_verdicts(self, states: Blobs) -> Verdicts {
        Verdicts { states, ..self.verdicts }
    }
}

/// Reserves one item per remaining row, so that a list grows once and not by doubling from four.
#[inline]
fn reserve_rows<T>(list: &mut Vec<T>, rows: u32, row: u32) {
    if list.len() == list.capacity() {
        list.reserve((rows - row) as usize);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_weight_that_is_not_finite_is_refused_with_the_reasons_name() {
        let reason = names::Reason::declared(&(0, "amount"));
        let mut answer = Answer::for_rows(2);
        answer.push(0, Verdict::none().reason(reason, 1.0)).unwrap();
        let error = answer.push(1, Verdict::none().reason(reason, f64::NAN)).unwrap_err();
        assert_eq!(error, "row 1: the weight of reason `amount` is NaN");
    }

    #[test]
    fn reasons_keep_their_order_past_the_fourth() {
        let reason = names::Reason::declared(&(0, "amount"));
        let weights: Vec<f64> = (0..7).map(f64::from).collect();
        let verdict = weights.iter().fold(Verdict::none(), |verdict, weight| verdict.reason(reason, *weight));
        assert_eq!(verdict.weight(reason), Some(21.0));
        let mut answer = Answer::for_rows(1);
        answer.push(0, verdict).unwrap();
        assert_eq!(answer.verdicts.reasons.iter().map(|reason| reason.weight).collect::<Vec<_>>(), weights);
    }

    #[test]
    fn lists_are_ordered_by_row_and_tags_by_their_declaration() {
        let (first, last) = (names::Tag::declared(&(0, "first")), names::Tag::declared(&(63, "last")));
        let mut answer = Answer::for_rows(3);
        for verdict in [Verdict::none().tag(last).tag(first).tag(last), Verdict::none(), Verdict::none().tag(last)] {
            answer.push(answer.verdicts.scores.len() as u32, verdict).unwrap();
        }
        let tags = answer.verdicts.tags.iter().map(|tag| (tag.row, tag.name));
        assert_eq!(tags.collect::<Vec<_>>(), [(0, 0), (0, 63), (2, 63)]);
    }
}
