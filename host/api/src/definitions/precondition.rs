//! `If-Match` and `If-None-Match` of changes: which revision a definition must have for a change to be made.

use axum::http::{HeaderMap, header};

use crate::http::{ApiError, Code, EntityTags};

/// The condition of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    None,
    /// `If-None-Match: *`: there is no such definition yet.
    IsNew,
    /// `If-Match: *`: there is one.
    IsThere,
    /// `If-Match: "3"`: the revision in effect is one of these.
    IsAt(Vec<u32>),
}

impl Precondition {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let tags = |name| EntityTags::of(headers, name);
        match (tags(header::IF_MATCH), tags(header::IF_NONE_MATCH)) {
            (None, None) => Ok(Self::None),
            (Some(EntityTags::Any), None) => Ok(Self::IsThere),
            // Only strong tags can match, and of these only revisions are ours (RFC 9110, 13.1.1).
            (Some(given), None) => Ok(Self::IsAt(given.strong().filter_map(|tag| tag.parse().ok()).collect())),
            (None, Some(EntityTags::Any)) => Ok(Self::IsNew),
            (None, Some(EntityTags::List(_))) => Err(ApiError::bad_request(
                "If-None-Match: a change takes only *, which means that there is none yet; to change a revision, send its \
                 ETag as If-Match",
            )),
            (Some(_), Some(_)) => Err(ApiError::bad_request("expected If-Match or If-None-Match, got both")),
        }
    }

    /// The revision that the change is based on, of a definition that is at `have` now; 0: there is none.
    pub(super) fn expected(&self, what: &str, have: u32) -> Result<Option<u32>, ApiError> {
        let fails = |why: String| Err(ApiError::new(Code::RevisionMismatch, why));
        match self {
            Self::None => Ok(None),
            Self::IsNew if have > 0 => fails(format!("{what} is there already, at revision {have}")),
            Self::IsNew => Ok(Some(0)),
            Self::IsThere | Self::IsAt(_) if have == 0 => fails(format!("there is no {what}")),
            Self::IsThere => Ok(Some(have)),
            Self::IsAt(revisions) if revisions.contains(&have) => Ok(Some(have)),
            Self::IsAt(revisions) if revisions.is_empty() => {
                fails(format!("{what} is at revision {have}: If-Match names no revision, as in If-Match: \"{have}\""))
            }
            Self::IsAt(_) => fails(format!("{what} is at revision {have}: somebody else changed it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Precondition, String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Precondition::of(&headers).map_err(|error| error.detail)
    }

    #[test]
    fn the_headers_say_which_revision_must_be_there() {
        assert_eq!(read("if-match", "\"3\""), Ok(Precondition::IsAt(vec![3])));
        assert_eq!(read("if-match", "\"3\", W/\"4\""), Ok(Precondition::IsAt(vec![3])), "a weak tag never matches");
        assert_eq!(read("if-match", "*"), Ok(Precondition::IsThere));
        assert_eq!(read("if-none-match", "*"), Ok(Precondition::IsNew));
        assert_eq!(Precondition::of(&HeaderMap::new()).ok(), Some(Precondition::None));
        assert_eq!(read("if-match", "\"abc\""), Ok(Precondition::IsAt(Vec::new())));
        assert!(read("if-none-match", "\"3\"").is_err());
    }

    #[test]
    fn a_change_is_based_on_what_is_there() {
        let expected = |precondition: Precondition, have| precondition.expected("rule 'r'", have).ok();
        assert_eq!(expected(Precondition::None, 3), Some(None));
        assert_eq!(expected(Precondition::IsNew, 0), Some(Some(0)));
        assert_eq!(expected(Precondition::IsNew, 3), None);
        assert_eq!(expected(Precondition::IsThere, 3), Some(Some(3)));
        assert_eq!(expected(Precondition::IsThere, 0), None);
        assert_eq!(expected(Precondition::IsAt(vec![2, 3]), 3), Some(Some(3)));
        assert_eq!(expected(Precondition::IsAt(vec![2]), 3), None);
        assert_eq!(expected(Precondition::IsAt(vec![2]), 0), None);
        assert_eq!(expected(Precondition::IsAt(Vec::new()), 3), None);
    }
}
