//! The records of edges: the present value of each edge, found by a digest of its ends and name. Pure.

use assay_core::names::Digest;
use assay_engine::ports::graph::GraphEdge;

/// The id of an edge's record: a digest, because ends and name may be long. Each part goes in with its length, so that
/// different splits of the same text differ.
pub(super) fn id(edge: &GraphEdge) -> String {
    let mut identity = Vec::with_capacity(edge.source.len() + edge.name.len() + edge.target.len() + 24);
    for part in [&edge.source, &edge.name, &edge.target] {
        identity.extend_from_slice(&(part.len() as u64).to_be_bytes());
        identity.extend_from_slice(part.as_bytes());
    }
    Digest::of(&identity).hex()
}

/// The text of an edge's record: time, score, rule and facets as a JSON list.
pub(super) fn write(edge: &GraphEdge) -> String {
    serde_json::json!([edge.time, edge.score, edge.rule, edge.facets]).to_string()
}

/// The edge of a record, without name and ends; none if the record is not one that [`write`] made.
pub(super) fn read(record: &str) -> Option<GraphEdge> {
    let (time, score, rule, facets) = serde_json::from_str(record).ok()?;
    Some(GraphEdge { time, score, rule, facets, ..GraphEdge::between("", "", "") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, name: &str, target: &str) -> GraphEdge {
        let facets = [("amount".to_owned(), 0.1.into()), ("country".to_owned(), "é\"".into())].into();
        let (score, rule) = (Some(1.0 / 3.0), "\"é\"".to_owned());
        GraphEdge { score, time: i64::MIN, rule, facets, ..GraphEdge::between(source, name, target) }
    }

    #[test]
    fn records_round_trip() {
        for score in [Some(1.0 / 3.0), Some(5e-324), None] {
            let edge = GraphEdge { score, ..edge("", "", "") };
            assert_eq!(read(&write(&edge)), Some(edge));
        }
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn ids_depend_on_how_the_text_is_split() {
        let ids =
            [id(&edge("a", "b", "c")), id(&edge("ab", "", "c")), id(&edge("c", "b", "a")), id(&edge("", "ab", "c"))];
        assert_eq!(std::collections::HashSet::from(ids).len(), 4);
    }
}
