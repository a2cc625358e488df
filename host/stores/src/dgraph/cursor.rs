//! Cursors of the listing of neighbours. Opaque, and checked when they come back.

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::graph::GraphEdge;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The longest beginning of a node's id in a cursor, in bytes.
const LONGEST_BEGINNING: usize = 200;
/// No cursor of ours is longer.
const LONGEST_CURSOR: usize = 8 << 10;

/// Where a listing is: behind one edge, and how many edges were before that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The edge's predicate.
    pub(super) predicate: String,
    /// How many of the predicate's edges that begin at the node are behind us. More may have come meanwhile.
    pub(super) out: usize,
    /// How many of those that end at the node.
    pub(super) back: usize,
    /// The beginning of the other end's id.
    beginning: String,
    /// The digest of the other end's id, if that is longer.
    whole: Option<Digest>,
    /// Whether the edge ends at the node.
    ends_here: bool,
}

impl Place {
    /// The place behind an edge of a node, after so many in each direction.
    pub(super) fn behind(predicate: &str, passed: (usize, usize), node: &str, edge: &GraphEdge) -> Self {
        let (out, back) = passed;
        let ends_here = edge.source != node;
        let other = if ends_here { &edge.source } else { &edge.target };
        let beginning = &other[..other.floor_char_boundary(LONGEST_BEGINNING)];
        let whole = (beginning.len() < other.len()).then(|| Digest::of(other.as_bytes()));
        let (predicate, beginning) = (predicate.to_owned(), beginning.to_owned());
        Self { predicate, out, back, beginning, whole, ends_here }
    }

    /// How many of the first edges of this place's predicate, in the listing's order, are not behind it.
    pub(super) fn seen<'a>(&self, node: &str, edges: impl Iterator<Item = &'a GraphEdge>) -> usize {
        let mut before = 0;
        for (at, edge) in edges.enumerate() {
            let place = Self::behind("", (0, 0), node, edge);
            if place.beginning == self.beginning && place.whole == self.whole && place.ends_here == self.ends_here {
                return at + 1;
            }
            // Only of ids with the same long beginning it is not known which come first.
            if (&place.beginning, place.ends_here) < (&self.beginning, self.ends_here) {
                before = at + 1;
            }
        }
        before
    }

    /// The cursor: JSON and four bytes of checksum, as hex digits.
    pub(super) fn write(&self) -> Result<String, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.extend_from_slice(&xxh3_64(&bytes).to_be_bytes()[..4]);
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads a cursor back.
    pub(super) fn read(cursor: &str) -> Result<Self, StoreError> {
        let mut bytes = from_hex(cursor).ok_or(StoreError::BadCursor)?;
        let checksum = bytes.split_off(bytes.len().checked_sub(4).ok_or(StoreError::BadCursor)?);
        if xxh3_64(&bytes).to_be_bytes()[..4] != checksum {
            return Err(StoreError::BadCursor);
        }
        serde_json::from_slice(&bytes).map_err(|_| StoreError::BadCursor)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > LONGEST_CURSOR || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, target: &str) -> GraphEdge {
        GraphEdge::between(source, "paid", target)
    }

    #[test]
    fn a_cursor_comes_back_and_garbage_does_not() {
        let place = Place::behind("paid", (3, 4), "m", &edge(&"é".repeat(50_000), "m"));
        let cursor = place.write().unwrap();
        assert_eq!(Place::read(&cursor).unwrap(), place);
        for bad in ["", "zz", "0", "é", "01020304", &cursor[2..], &cursor[..cursor.len() - 2]] {
            assert_eq!(Place::read(bad), Err(StoreError::BadCursor), "{bad}");
        }
    }

    #[test]
    fn what_came_before_is_passed_over() {
        let (long, longer) = ("l".repeat(300), "l".repeat(400));
        let edges = [edge("m", "a"), edge("a", "m"), edge("m", "c"), edge("m", &long), edge("m", &longer)];
        let seen = |last: &GraphEdge| Place::behind("paid", (0, 0), "m", last).seen("m", edges.iter());
        for (at, last) in edges.iter().enumerate() {
            assert_eq!(seen(last), at + 1, "{at}");
        }
        assert_eq!(seen(&edge("m", "b")), 2);
        assert_eq!(seen(&edge("z", "m")), 5);
    }
}
