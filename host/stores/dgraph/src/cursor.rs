//! Cursors of the listing of neighbours. They are opaque to clients, and a checksum rejects any other text.

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::graph::GraphEdge;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// A cursor holds at most this much of a node's id; a longer id is told apart by its digest.
const MAX_ID_PREFIX_BYTES: usize = 200;
/// The length of a cursor's text. Longer texts are rejected before they are decoded.
const MAX_CURSOR_BYTES: usize = 8 << 10;

/// The position of a listing: its last edge, and the number of edges up to it. The fields' names in JSON are part of the
/// format of cursors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ListPosition {
    /// The edge's predicate.
    pub(super) predicate: String,
    /// The number of listed edges of the predicate that begin at the node. Edges may have been added before them since.
    pub(super) out: usize,
    /// The number of listed edges of the predicate that end at the node.
    pub(super) back: usize,
    /// The first bytes of the other end's id.
    #[serde(rename = "beginning")]
    id_prefix: String,
    /// The digest of the other end's id, if the id is longer than its prefix.
    #[serde(rename = "whole")]
    id_digest: Option<Digest>,
    /// True if the edge ends at the node.
    ends_here: bool,
}

impl ListPosition {
    /// The position after an edge of a node. `listed` has the number of listed edges of each direction: out, back.
    pub(super) fn after(predicate: &str, listed: (usize, usize), node: &str, edge: &GraphEdge) -> Self {
        let (out, back) = listed;
        let ends_here = edge.source != node;
        let other = if ends_here { &edge.source } else { &edge.target };
        let id_prefix = &other[..other.floor_char_boundary(MAX_ID_PREFIX_BYTES)];
        let id_digest = (id_prefix.len() < other.len()).then(|| Digest::of(other.as_bytes()));
        let (predicate, id_prefix) = (predicate.to_owned(), id_prefix.to_owned());
        Self { predicate, out, back, id_prefix, id_digest, ends_here }
    }

    /// The number of leading edges that come up to this position. `edges` are those of its predicate, in the listing's
    /// order.
    pub(super) fn count_seen<'a>(&self, node: &str, edges: impl Iterator<Item = &'a GraphEdge>) -> usize {
        let mut before = 0;
        for (index, edge) in edges.enumerate() {
            let position = Self::after("", (0, 0), node, edge);
            let is_same_id = position.id_prefix == self.id_prefix && position.id_digest == self.id_digest;
            if is_same_id && position.ends_here == self.ends_here {
                return index + 1;
            }
            // Ids with the same long prefix cannot be ordered by it: those count only once the edge itself is found.
            if (&position.id_prefix, position.ends_here) < (&self.id_prefix, self.ends_here) {
                before = index + 1;
            }
        }
        before
    }

    /// Writes the cursor: JSON and four bytes of checksum, as hex digits.
    pub(super) fn write(&self) -> Result<String, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.extend_from_slice(&xxh3_64(&bytes).to_be_bytes()[..4]);
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`] if it is not one that [`Self::write`] made.
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
    if !text.len().is_multiple_of(2) || text.len() > MAX_CURSOR_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
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
    fn cursors_round_trip_and_other_texts_are_rejected() {
        let position = ListPosition::after("paid", (3, 4), "m", &edge(&"é".repeat(50_000), "m"));
        let cursor = position.write().unwrap();
        assert_eq!(ListPosition::read(&cursor).unwrap(), position);
        for bad in ["", "zz", "0", "é", "01020304", &cursor[2..], &cursor[..cursor.len() - 2]] {
            assert_eq!(ListPosition::read(bad), Err(StoreError::BadCursor), "{bad}");
        }
    }

    #[test]
    fn edges_up_to_the_position_are_counted() {
        let (long, longer) = ("l".repeat(300), "l".repeat(400));
        let edges = [edge("m", "a"), edge("a", "m"), edge("m", "c"), edge("m", &long), edge("m", &longer)];
        let seen = |last: &GraphEdge| ListPosition::after("paid", (0, 0), "m", last).count_seen("m", edges.iter());
        for (at, last) in edges.iter().enumerate() {
            assert_eq!(seen(last), at + 1, "{at}");
        }
        assert_eq!(seen(&edge("m", "b")), 2);
        assert_eq!(seen(&edge("z", "m")), 5);
    }
}
