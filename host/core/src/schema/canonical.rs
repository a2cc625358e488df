//! One way to write each value: the texts of UUIDs, which are read in capital and small letters.

use super::Schema;
use super::check::check;
use super::logical::{UUID_LENGTH, canonical_uuid};
use super::node::Node;
use super::reader::Reader;

impl Schema {
    /// Puts the texts of a record's UUIDs into small letters, as RFC 9562 has them written: else one UUID could be
    /// several values, and several entities. A record that is malformed stays as it is.
    pub fn canonicalize(&self, record: &mut [u8]) {
        if !self.has_uuid_text() {
            return;
        }
        let mut reader = Reader::new(record);
        if check(self.root(), &mut reader).is_err() {
            return;
        }
        for start in std::mem::take(&mut reader.capitals) {
            record[start..start + UUID_LENGTH].make_ascii_lowercase();
        }
    }

    /// A text for the field of a path as records have it: that of a UUID in small letters, every other one as it is.
    pub fn canonical_text(&self, path: &str, text: &str) -> String {
        let is_uuid = self.field(path).is_ok_and(|field| field.is_uuid);
        let canonical = if is_uuid { canonical_uuid(text) } else { None };
        canonical.map_or_else(|| text.to_owned(), |canonical| canonical.into_owned())
    }
}

/// True if a type has texts of UUIDs in it, apart from the records inside that contain themselves.
pub(super) fn has_uuid_text(node: &Node) -> bool {
    match node {
        Node::UuidText => true,
        Node::Array(inner) | Node::Map(inner) => has_uuid_text(inner),
        Node::Union(branches) => branches.iter().any(has_uuid_text),
        Node::Record(record) => record.members.iter().any(|member| has_uuid_text(&member.node)),
        _ => false,
    }
}
