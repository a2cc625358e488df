//! The contract of the graph port.

use assay_core::names::Offset;
use assay_engine::ports::graph::{Graph, GraphEdge};

use super::{all_pages, is_bad_cursor, payments};

fn edge(source: &str, name: &str, target: &str, time: i64) -> GraphEdge {
    let facets = [("amount".to_owned(), (time as f64 / 3.0).into()), ("seen".to_owned(), time.into())].into();
    let score = Some(time as f64 / 2.0);
    GraphEdge { score, time, rule: "r".to_owned(), facets, ..GraphEdge::between(source, name, target) }
}

/// Edges are found from both ends, ordered by name and the other end, page by page.
pub fn edges_are_found_from_both_ends(graph: &dyn Graph) {
    let mut edges = vec![
        edge("m", "paid", "z", 1),
        edge("m", "paid", "a", 2),
        edge("b", "paid", "m", 3),
        edge("m", "knows", "m", 4),
        edge("m", "blocks", "ä", 5),
        edge("x", "paid", "y", 6),
        edge("m2", "paid", "a", 7),
        edge("m", "paid", "b", 8),
    ];
    edges.push(edge("m", "paid", &"l".repeat(70_000), 9));
    graph.write(&payments(0), edges.clone(), Offset(1)).unwrap();
    let mut expected: Vec<GraphEdge> =
        edges.into_iter().filter(|edge| edge.source == "m" || edge.target == "m").collect();
    let other = |edge: &GraphEdge| if edge.source == "m" { edge.target.clone() } else { edge.source.clone() };
    expected.sort_by_key(|edge| (edge.name.clone(), other(edge), edge.source != "m"));
    for limit in [1, 2, 3, 100] {
        let found = all_pages(limit, |cursor| graph.neighbours("m", limit, cursor.as_deref()));
        // Not assert_eq: it would print the long name.
        assert!(found == expected, "{limit}: {:?}", found.iter().map(|edge| edge.time).collect::<Vec<_>>());
    }
    assert_eq!(graph.neighbours("a", 10, None).unwrap().items.len(), 2);
    for node in ["none", "", "paid"] {
        assert!(graph.neighbours(node, 10, None).unwrap().items.is_empty());
    }
    for cursor in ["", "garbage"] {
        assert!(is_bad_cursor(graph.neighbours("m", 10, Some(cursor))));
    }
}

/// Of the same edge from several partitions the latest stays, in whatever order they are written. Repeated writes change
/// nothing.
pub fn the_latest_edge_stays(graph: &dyn Graph) {
    graph.write(&payments(0), vec![edge("a", "paid", "b", 50)], Offset(5)).unwrap();
    graph.write(&payments(1), vec![edge("a", "paid", "b", 40)], Offset(5)).unwrap();
    assert_eq!(graph.neighbours("b", 10, None).unwrap().items, [edge("a", "paid", "b", 50)]);
    graph.write(&payments(1), vec![edge("a", "paid", "b", 60)], Offset(6)).unwrap();
    graph.write(&payments(0), vec![edge("a", "paid", "b", 99)], Offset(4)).unwrap();
    graph.write(&payments(0), vec![], Offset(9)).unwrap();
    for node in ["a", "b"] {
        assert_eq!(graph.neighbours(node, 10, None).unwrap().items, [edge("a", "paid", "b", 60)]);
    }
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(9));
    assert_eq!(graph.position(&payments(2)).unwrap(), Offset(0));
}

/// Edges are added at the stored position: parts of a block are written before the position moves.
pub fn edges_are_added_at_the_same_position(graph: &dyn Graph) {
    graph.write(&payments(0), vec![edge("a", "paid", "b", 1)], Offset(5)).unwrap();
    graph.write(&payments(0), vec![edge("a", "paid", "c", 2)], Offset(5)).unwrap();
    graph.write(&payments(0), vec![edge("a", "paid", "d", 3)], Offset(4)).unwrap();
    let found = graph.neighbours("a", 10, None).unwrap().items;
    assert_eq!(found, [edge("a", "paid", "b", 1), edge("a", "paid", "c", 2)]);
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(5));
}

/// Of edges with the same time the same one stays, in whatever order they are written.
pub fn the_order_of_equally_late_edges_does_not_matter(graph: &dyn Graph) {
    let with_rule = |rule: &str| GraphEdge { rule: rule.to_owned(), ..edge("a", "paid", "b", 7) };
    let also = |rule: &str| GraphEdge { rule: rule.to_owned(), ..edge("c", "paid", "d", 7) };
    graph.write(&payments(0), vec![with_rule("r1"), also("r2")], Offset(1)).unwrap();
    graph.write(&payments(1), vec![with_rule("r2"), also("r1")], Offset(1)).unwrap();
    assert_eq!(
        graph.neighbours("a", 1, None).unwrap().items[0].rule,
        graph.neighbours("c", 1, None).unwrap().items[0].rule
    );
}

/// Writes an edge that [`edges_survive_reopen`] expects.
pub fn write_edges_before_reopen(graph: &dyn Graph) {
    graph.write(&payments(0), vec![edge("a", "paid", "b", 1)], Offset(4)).unwrap();
}

/// After a reopen the edge and the position are there.
pub fn edges_survive_reopen(graph: &dyn Graph) {
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(4));
    assert_eq!(graph.neighbours("b", 1, None).unwrap().items, [edge("a", "paid", "b", 1)]);
}
