//! The kinds of definitions. All their differences, except for their fields, are in one row of [`PROPERTIES`] each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a definition. Snapshots are in this order: definitions use only definitions of earlier kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A stream.
    Stream,
    /// A view.
    View,
    /// A rule.
    Rule,
    /// A plugin: its digest and manifest. Its name is `name@version`; its artifact is stored by digest.
    Plugin,
    /// An API key: its hash and roles, never the key.
    Key,
    /// An Avro schema that producers write in; its name is its id in the schema registry. See [`crate::registry`].
    Schema,
}

/// The properties of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindProperties {
    /// The kind.
    pub kind: Kind,
    /// Its name in messages, JSON and stores; also the field of an editable definition that has its own name.
    pub name: &'static str,
    /// Its name in the plural: the folder of a pack, the tag in the OpenAPI document.
    pub plural: &'static str,
    /// Its number in the keys of stores, which never changes.
    pub number: u8,
    /// The HTTP path under which it is read and changed.
    pub path: &'static str,
    /// True: people write it, in packs, by PUT, in sets of changes and in the catalog's store.
    pub is_editable: bool,
    /// True: workers have to take up a change of it. Keys and schemas concern only the API and the log.
    pub concerns_workers: bool,
    /// True: it belongs to the stream in its field `stream`, and with that to a pack that defines the stream.
    pub belongs_to_stream: bool,
}

/// One row for each kind, in the order of [`Kind`].
const PROPERTIES: &[KindProperties; 6] = &[
    KindProperties {
        kind: Kind::Stream,
        name: "stream",
        plural: "streams",
        number: 0,
        path: "/v1/streams",
        is_editable: true,
        concerns_workers: true,
        belongs_to_stream: false,
    },
    KindProperties {
        kind: Kind::View,
        name: "view",
        plural: "views",
        number: 1,
        path: "/v1/views",
        is_editable: true,
        concerns_workers: true,
        belongs_to_stream: true,
    },
    KindProperties {
        kind: Kind::Rule,
        name: "rule",
        plural: "rules",
        number: 2,
        path: "/v1/rules",
        is_editable: true,
        concerns_workers: true,
        belongs_to_stream: true,
    },
    KindProperties {
        kind: Kind::Plugin,
        name: "plugin",
        plural: "plugins",
        number: 3,
        path: "/v1/plugins",
        is_editable: false,
        concerns_workers: true,
        belongs_to_stream: false,
    },
    KindProperties {
        kind: Kind::Key,
        name: "key",
        plural: "keys",
        number: 4,
        path: "/v1/keys",
        is_editable: false,
        concerns_workers: false,
        belongs_to_stream: false,
    },
    KindProperties {
        kind: Kind::Schema,
        name: "schema",
        plural: "schemas",
        number: 5,
        path: "/registry/subjects/{subject}/versions",
        is_editable: false,
        concerns_workers: false,
        belongs_to_stream: false,
    },
];

impl Kind {
    /// Every kind, in the order of snapshots.
    pub const ALL: [Self; PROPERTIES.len()] = {
        let mut all = [Self::Stream; PROPERTIES.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = PROPERTIES[index].kind;
            index += 1;
        }
        all
    };

    /// Its properties.
    pub fn properties(self) -> &'static KindProperties {
        &PROPERTIES[self as usize]
    }

    /// The kinds whose definitions people write, in the order in which they build on each other.
    pub fn editable() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| kind.properties().is_editable)
    }

    /// The kind with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.properties().name == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.properties().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_row() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let row = kind.properties();
            assert_eq!((row.kind, kind as usize), (kind, index));
            assert_eq!(serde_json::to_value(kind).unwrap(), row.name);
            let is_distinct = |other: &&KindProperties| {
                other.name != row.name && other.plural != row.plural && other.number != row.number
            };
            assert_eq!(PROPERTIES.iter().filter(is_distinct).count(), PROPERTIES.len() - 1, "{kind}");
        }
    }
}
