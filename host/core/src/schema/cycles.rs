//! Finds the records of a schema that contain themselves, and those whose values can never end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use apache_avro::Schema as Avro;
use apache_avro::schema::{Name, NamespaceRef};

use super::node::{Node, RecordType};

/// The full names of all records that contain themselves, directly or through other types.
pub(super) fn find_recursive_records(names: &HashMap<Name, &Avro>) -> HashSet<String> {
    let mut records = Vec::new();
    let mut inside = Vec::new();
    for (name, avro) in names {
        if let Avro::Record(record) = avro {
            let mut found = Vec::new();
            for field in &record.fields {
                add_records(&field.schema, name.namespace(), &mut found);
            }
            records.push(name.fullname(None));
            inside.push(found);
        }
    }
    let places: HashMap<&str, usize> = records.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let place = |name: &String| places.get(name.as_str()).copied();
    let edges: Vec<Vec<usize>> = inside.iter().map(|found| found.iter().filter_map(place).collect()).collect();
    find_nodes_on_cycles(&edges).into_iter().map(|place| records[place].clone()).collect()
}

/// Adds the full names of the records within a type, without descending into those records.
fn add_records(avro: &Avro, space: NamespaceRef<'_>, found: &mut Vec<String>) {
    match avro {
        Avro::Array(array) => add_records(&array.items, space, found),
        Avro::Map(map) => add_records(&map.types, space, found),
        Avro::Union(union) => union.variants().iter().for_each(|branch| add_records(branch, space, found)),
        Avro::Record(record) => found.push(record.name.fullname(space)),
        // References to other types have no record of that name and are dropped later.
        Avro::Ref { name } => found.push(name.fullname(space)),
        _ => {}
    }
}

/// The nodes of a graph that are on a cycle: those of its strongly connected components (by Kosaraju's algorithm) that
/// have more than one node, or an edge to itself.
fn find_nodes_on_cycles(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut back = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        targets.iter().for_each(|to| back[*to].push(from));
    }
    let mut seen = vec![false; edges.len()];
    let mut finished = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        finished.extend(visit_reachable(start, edges, &mut seen));
    }
    let mut seen = vec![false; edges.len()];
    let mut found = Vec::new();
    for start in finished.into_iter().rev() {
        let component = visit_reachable(start, &back, &mut seen);
        if component.len() > 1 || component.iter().any(|node| edges[*node].contains(node)) {
            found.extend(component);
        }
    }
    found
}

/// The nodes that are reachable from `start` and not yet seen, in postorder: each after the nodes that it leads to.
fn visit_reachable(start: usize, edges: &[Vec<usize>], seen: &mut [bool]) -> Vec<usize> {
    let mut finished = Vec::new();
    let mut open = if std::mem::replace(&mut seen[start], true) { Vec::new() } else { vec![(start, 0)] };
    while let Some((node, next)) = open.last_mut() {
        match edges[*node].get(*next) {
            Some(to) => {
                *next += 1;
                if !std::mem::replace(&mut seen[*to], true) {
                    open.push((*to, 0));
                }
            }
            None => {
                finished.push(*node);
                open.pop();
            }
        }
    }
    finished
}

/// The full name of a record that all of its values contain again, if there is one.
pub(super) fn find_endless_record(
    root: &Node,
    definitions: &HashMap<String, Arc<OnceLock<RecordType>>>,
) -> Option<String> {
    let mut ending = HashSet::new();
    loop {
        let before = ending.len();
        for (name, definition) in definitions {
            if definition.get().is_some_and(|record| record_ends(record, &ending)) {
                ending.insert(name.as_str());
            }
        }
        if ending.len() == before {
            break;
        }
    }
    let endless = definitions.keys().filter(|name| !ending.contains(name.as_str())).min().cloned();
    endless.or_else(|| (!ends_without_cycle(root, &ending)).then(|| root.tag().to_owned()))
}

fn record_ends(record: &RecordType, ending: &HashSet<&str>) -> bool {
    record.members.iter().all(|member| ends_without_cycle(&member.node, ending))
}

fn ends_without_cycle(node: &Node, ending: &HashSet<&str>) -> bool {
    match node {
        Node::Union(branches) => branches.iter().any(|branch| ends_without_cycle(branch, ending)),
        Node::Record(record) => record_ends(record, ending),
        Node::RecordReference(again) => ending.contains(again.name.as_str()),
        // Arrays and maps can be empty.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Follows all paths from each node.
    fn find_by_search(edges: &[Vec<usize>]) -> Vec<usize> {
        let leads_back = |node: &usize| {
            let mut open = edges[*node].clone();
            let mut seen = HashSet::new();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(&edges[next]);
                }
            }
            seen.contains(node)
        };
        (0..edges.len()).filter(leads_back).collect()
    }

    proptest! {
        #[test]
        fn cycles_agree_with_a_search_from_each_node(edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 12)) {
            let mut found = find_nodes_on_cycles(&edges);
            found.sort_unstable();
            prop_assert_eq!(found, find_by_search(&edges));
        }
    }

    #[test]
    fn a_long_chain_does_not_recurse() {
        let chain: Vec<Vec<usize>> = (0..100_000).map(|node| if node == 0 { vec![] } else { vec![node - 1] }).collect();
        assert!(find_nodes_on_cycles(&chain).is_empty());
        let ring: Vec<Vec<usize>> = (0..100_000).map(|node| vec![(node + 1) % 100_000]).collect();
        assert_eq!(find_nodes_on_cycles(&ring).len(), 100_000);
    }
}
