//! Whether two versions of the catalog mean the same for a stream: then a change of one to the other concerns none of its
//! partitions.

use super::StreamPlan;
use super::compile::Defined;
use crate::ports::catalog::Kind;

/// One revision of a definition. Revisions are never overwritten, so equal ones have equal bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefinitionVersion {
    kind: Kind,
    name: String,
    revision: u32,
    /// A definition that was deleted and made again is another one.
    created_at_version: u64,
}

impl DefinitionVersion {
    pub(super) fn of<T>(kind: Kind, name: &str, defined: &Defined<'_, T>) -> Self {
        Self { kind, name: name.to_owned(), revision: defined.revision, created_at_version: defined.created_at_version }
    }
}

impl StreamPlan {
    /// Whether events are folded and judged alike by both plans, to the bit: both are compiled from the same revisions of
    /// the stream, its views and its rules, and these mean the same plugins. The streams that are derived from it may
    /// differ: workers do not look at them.
    pub(crate) fn is_equivalent(&self, other: &Self) -> bool {
        self.compiled_from == other.compiled_from
            && self.def == other.def
            && self.stamps == other.stamps
            && self.states == other.states
    }
}
