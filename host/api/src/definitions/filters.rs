//! Filters that narrow lists of definitions. Several filters narrow a list together.

/// True if a text is the wanted one, or none is wanted.
pub(super) fn is(have: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| have == wanted)
}

/// True if the wanted text is in a text, or none is wanted.
pub(super) fn contains(have: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| have.contains(wanted))
}
