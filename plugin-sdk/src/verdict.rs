//! The verdict of a plugin on one event.

use std::fmt::{self, Display};

use crate::names::{Attribute, Edge, Reason, Tag};
use crate::reasons::Reasons;

/// The verdict of a plugin on one event: a score or none, tags, reasons, edges, attributes.
///
/// ```
/// # #[assay_sdk::plugin(tags = ["review"], reasons = ["amount"])]
/// # fn score(input: Payment) -> assay_sdk::Verdict { assay_sdk::Verdict::score(input.amount) }
/// # #[derive(assay_sdk::Input)]
/// # struct Payment { amount: f64 }
/// use assay_sdk::Verdict;
///
/// let verdict = Verdict::score(0.9).tag(tags::REVIEW).reason(reasons::AMOUNT, 1.2);
/// assert!(verdict.has_tag(tags::REVIEW));
/// assert_eq!(Verdict::none().value(), None);
/// ```
///
/// A score, tags and up to four reasons need no allocation.
#[derive(Clone)]
pub struct Verdict {
    /// NaN means that there is no score.
    pub(crate) score: f64,
    /// Bit i is the tag with index i. A verdict has a tag once or not at all, and a plugin declares at most 64.
    pub(crate) tags: u64,
    pub(crate) reasons: Reasons,
    /// The parts that most verdicts do not have. They are boxed, so that a verdict is small.
    pub(crate) more: Option<Box<RareParts>>,
}

/// The parts that most verdicts do not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct RareParts {
    /// The reasons after the fourth.
    pub(crate) reasons: Vec<(Reason, f64)>,
    pub(crate) edges: Vec<(Edge, String, String)>,
    pub(crate) attributes: Vec<(Attribute, String)>,
}

impl Verdict {
    /// A verdict with a score. NaN is no score.
    #[inline(always)]
    pub const fn score(score: f64) -> Self {
        Self { score, tags: 0, reasons: Reasons::new(), more: None }
    }

    /// A verdict without a score. It may still have tags and the rest.
    #[inline(always)]
    pub const fn none() -> Self {
        Self::score(f64::NAN)
    }

    /// Replaces the score, for a verdict that was begun before its score was known. NaN is no score.
    #[inline(always)]
    #[must_use]
    pub const fn with_score(mut self, score: f64) -> Self {
        self.score = score;
        self
    }

    /// Adds a tag. Adding it twice has no further effect.
    #[inline(always)]
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags |= 1 << tag.index();
        self
    }

    /// Adds a tag if a condition holds.
    #[inline(always)]
    #[must_use]
    pub fn tag_if(self, condition: bool, tag: Tag) -> Self {
        if condition { self.tag(tag) } else { self }
    }

    /// Adds a reason for the score. `weight` is its contribution in the plugin's own unit; it must be finite.
    #[inline(always)]
    #[must_use]
    pub fn reason(mut self, reason: Reason, weight: f64) -> Self {
        if !self.reasons.push(reason, weight) {
            self.more().reasons.push((reason, weight));
        }
        self
    }

    /// Adds an edge between two nodes of the graph, each written `kind:key`, such as `card:4711`.
    #[must_use]
    pub fn edge(mut self, edge: Edge, source: impl Into<String>, target: impl Into<String>) -> Self {
        self.more().edges.push((edge, source.into(), target.into()));
        self
    }

    /// Adds a fact that is stored beside the score.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute, value: impl Display) -> Self {
        self.more().attributes.push((attribute, value.to_string()));
        self
    }

    /// The score, if there is one.
    pub fn value(&self) -> Option<f64> {
        (!self.score.is_nan()).then_some(self.score)
    }

    /// True if it has a tag.
    pub const fn has_tag(&self, tag: Tag) -> bool {
        self.tags >> tag.index() & 1 == 1
    }

    /// The sum of a reason's weights; none if the verdict does not have that reason.
    pub fn weight(&self, reason: Reason) -> Option<f64> {
        let weights = self.reasons().filter(|(given, _)| *given == reason);
        weights.map(|(_, weight)| weight).reduce(|sum, weight| sum + weight)
    }

    /// The reasons in the order in which they were added.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, f64)> {
        let first = self.reasons.slots().into_iter();
        let first = first.filter_map(|(reason, weight)| Some((reason?, weight)));
        first.chain(self.rare_parts().flat_map(|more| more.reasons.iter().copied()))
    }

    /// The edges in the order in which they were added: kind, source, target.
    pub fn edges(&self) -> impl Iterator<Item = (Edge, &str, &str)> {
        let edges = self.rare_parts().flat_map(|more| &more.edges);
        edges.map(|(edge, source, target)| (*edge, source.as_str(), target.as_str()))
    }

    /// The attributes in the order in which they were added.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &str)> {
        let attributes = self.rare_parts().flat_map(|more| &more.attributes);
        attributes.map(|(attribute, value)| (*attribute, value.as_str()))
    }

    /// The value of an attribute: the last one, if it was added several times.
    pub fn attribute_value(&self, attribute: Attribute) -> Option<&str> {
        let values = self.attributes().filter(|(given, _)| *given == attribute);
        values.map(|(_, value)| value).last()
    }

    #[cold]
    fn more(&mut self) -> &mut RareParts {
        self.more.get_or_insert_default()
    }

    fn rare_parts(&self) -> impl Iterator<Item = &RareParts> {
        self.more.iter().map(|more| &**more)
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = (0..64).filter(|index| self.tags >> index & 1 == 1);
        f.debug_struct("Verdict")
            .field("score", &self.value())
            .field("tags", &tags.collect::<Vec<u32>>())
            .field("reasons", &self.reasons().collect::<Vec<_>>())
            .field("edges", &self.edges().collect::<Vec<_>>())
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish()
    }
}

/// The return type of a plugin's function: a [`Verdict`], or a `Result` of one. With an error the event fails.
#[diagnostic::on_unimplemented(
    message = "a plugin's function returns a `Verdict`, not a `{Self}`",
    label = "expected a `Verdict`, or a `Result<Verdict, E>` whose error can be displayed"
)]
pub trait Outcome {
    /// The verdict, or the reason why the event cannot be scored.
    ///
    /// # Errors
    /// The author's own error.
    fn verdict(self) -> Result<Verdict, String>;
}

impl Outcome for Verdict {
    #[inline(always)]
    fn verdict(self) -> Result<Verdict, String> {
        Ok(self)
    }
}

impl<E: Display> Outcome for Result<Verdict, E> {
    #[inline(always)]
    fn verdict(self) -> Result<Verdict, String> {
        self.map_err(|error| error.to_string())
    }
}
