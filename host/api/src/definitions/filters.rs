//! How lists of definitions are narrowed. Several filters narrow a list together.

/// Whether a text is the wanted one, if one is wanted.
pub(super) fn is(have: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| have == wanted)
}

/// Whether the wanted text is in a text, if one is wanted.
pub(super) fn contains(have: &str, wanted: &Option<String>) -> bool {
    wanted.as_deref().is_none_or(|wanted| have.contains(wanted))
}
