//! Which records of a schema contain themselves, and whether their values can end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use apache_avro::Schema as Avro;
use apache_avro::schema::{Name, NamespaceRef};

use super::node::{Node, Record};

/// The full names of all records that contain themselves, through whatever is between.
pub(super) fn recursive(names: &HashMap<Name, &Avro>) -> HashSet<String> {
    let mut inside: HashMap<String, Vec<String>> = HashMap::new();
    for (name, avro) in names {
        if let Avro::Record(record) = avro {
            let mut found = Vec::new();
            for field in &record.fields {
                add_records(&field.schema, name.namespace(), &mut found);
            }
            inside.insert(name.fullname(None), found);
        }
    }
    inside.keys().filter(|name| reaches(name, &inside)).cloned().collect()
}

/// The full names of the records that a type has in it, without opening these.
fn add_records(avro: &Avro, space: NamespaceRef<'_>, found: &mut Vec<String>) {
    match avro {
        Avro::Array(array) => add_records(&array.items, space, found),
        Avro::Map(map) => add_records(&map.types, space, found),
        Avro::Union(union) => union.variants().iter().for_each(|branch| add_records(branch, space, found)),
        Avro::Record(record) => found.push(record.name.fullname(space)),
        // Names of other types lead nowhere.
        Avro::Ref { name } => found.push(name.fullname(space)),
        _ => {}
    }
}

fn reaches(name: &str, inside: &HashMap<String, Vec<String>>) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        for inner in inside.get(next).into_iter().flatten() {
            if inner == name {
                return true;
            }
            if seen.insert(inner) {
                open.push(inner);
            }
        }
    }
    false
}

/// A record that contains itself in all of its values, if there is one.
pub(super) fn endless(root: &Node, definitions: &HashMap<String, Arc<OnceLock<Record>>>) -> Option<String> {
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
    endless.or_else(|| (!ends(root, &ending)).then(|| root.tag().to_owned()))
}

fn record_ends(record: &Record, ending: &HashSet<&str>) -> bool {
    record.members.iter().all(|member| ends(&member.node, ending))
}

fn ends(node: &Node, ending: &HashSet<&str>) -> bool {
    match node {
        Node::Union(branches) => branches.iter().any(|branch| ends(branch, ending)),
        Node::Record(record) => record_ends(record, ending),
        Node::Again(again) => ending.contains(again.name.as_str()),
        // Arrays and maps can be empty.
        _ => true,
    }
}
