//! Cursors for clients: the store's cursor, followed by a mark of its listing. A cursor of another listing or of other
//! parameters is refused, because its position has no meaning there.

use assay_core::names::Digest;

use super::ApiError;
use super::error::ApiResult;

/// Bytes of the mark: two listings have the same one with a probability of 2^-48.
const MARK_BYTES: usize = 6;

/// One listing: a route and the parameters that select its items, without the page.
pub(crate) struct Listing {
    mark: String,
}

impl Listing {
    /// The listing of a route with the parts of its path and its parameters.
    pub(crate) fn new(route: &str, parts: &[&dyn std::fmt::Debug]) -> Self {
        // Debug prints of texts and numbers are unambiguous side by side: texts are quoted.
        let scope = format!("{route} {parts:?}");
        let digest = Digest::of(scope.as_bytes()).0;
        Self { mark: digest[..MARK_BYTES].iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// The client's form of a store's cursor.
    pub(crate) fn seal(&self, cursor: Option<String>) -> Option<String> {
        cursor.map(|cursor| format!("{cursor}{}", self.mark))
    }

    /// The store's cursor in a client's cursor.
    pub(crate) fn open(&self, cursor: Option<String>) -> ApiResult<Option<String>> {
        let Some(mut cursor) = cursor else { return Ok(None) };
        if !cursor.ends_with(&self.mark) {
            return Err(ApiError::bad_request(
                "cursor: it does not belong to this listing with these parameters (limit may differ): send the cursor of the page \
                 before unchanged, or begin without one",
            ));
        }
        cursor.truncate(cursor.len() - self.mark.len());
        Ok(Some(cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_accepted_by_its_own_listing_only() {
        let listing = |rule: &str, min: Option<f64>| Listing::new("scores", &[&rule, &min]);
        let sealed = listing("a", Some(0.5)).seal(Some("c0ffee".to_owned()));
        assert_eq!(listing("a", Some(0.5)).open(sealed.clone()).unwrap().as_deref(), Some("c0ffee"));
        for other in [listing("b", Some(0.5)), listing("a", None), Listing::new("graph", &[&"a", &Some(0.5)])] {
            let error = other.open(sealed.clone()).unwrap_err();
            assert!(error.detail.contains("with these parameters"), "{}", error.detail);
        }
        for bad in ["", "é", "\u{0}garbage", "c0ffee"] {
            assert!(listing("a", None).open(Some(bad.to_owned())).is_err(), "{bad}");
        }
        assert_eq!(listing("a", None).open(None).unwrap(), None);
    }
}
