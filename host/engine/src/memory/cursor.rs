//! Cursors of listings: the listing's name and the place to go on from, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ports::{Page, StoreError};

/// The most items of one page.
const MAX_PAGE_ITEMS: usize = 10_000;

fn write(listing: &str, place: &impl Serialize) -> Option<String> {
    // The places are tuples of numbers and texts, which JSON has.
    serde_json::to_string(place).ok().map(|place| format!("{listing}:{place}"))
}

/// Reads the cursor that a listing handed out.
pub(super) fn read<P: DeserializeOwned>(listing: &str, cursor: Option<&str>) -> Result<Option<P>, StoreError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let place = cursor.strip_prefix(listing).and_then(|rest| rest.strip_prefix(':')).ok_or(StoreError::BadCursor)?;
    serde_json::from_str(place).map(Some).map_err(|_| StoreError::BadCursor)
}

/// A page of the items that come after the cursor's place, in the listing's order. `place` tells an item's.
pub(super) fn page<T, P: Serialize>(
    listing: &str,
    items: impl Iterator<Item = T>,
    limit: usize,
    place: impl Fn(&T) -> P,
) -> Page<T> {
    let limit = limit.min(MAX_PAGE_ITEMS);
    if limit == 0 {
        return Page { items: Vec::new(), cursor: None };
    }
    // One more than wanted tells whether there is another page.
    let mut items: Vec<T> = items.take(limit + 1).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let cursor = items.last().filter(|_| has_more).and_then(|last| write(listing, &place(last)));
    Page { items, cursor }
}
