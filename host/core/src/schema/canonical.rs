//! Canonical forms of values with several texts: UUIDs, which are accepted in capital and small letters.

use super::Schema;
use super::check::check;
use super::logical::{UUID_LENGTH, canonical_uuid};
use super::node::Node;
use super::reader::AvroReader;

impl Schema {
    /// Converts the texts of a record's UUIDs to small letters, the output form of RFC 9562. Otherwise one UUID could
    /// be several values, and several entities. A malformed record is not changed.
    pub fn canonicalize(&self, record: &mut [u8]) {
        if !self.has_uuid_text() {
            return;
        }
        let mut reader = AvroReader::new(record);
        if check(self.root(), &mut reader).is_err() {
            return;
        }
        for start in std::mem::take(&mut reader.capitals) {
            record[start..start + UUID_LENGTH].make_ascii_lowercase();
        }
    }

    /// The canonical form of a text for a field: a UUID in small letters, any other text unchanged.
    pub fn canonical_text(&self, path: &str, text: &str) -> String {
        let is_uuid = self.field(path).is_ok_and(|field| field.is_uuid);
        let canonical = if is_uuid { canonical_uuid(text) } else { None };
        canonical.map_or_else(|| text.to_owned(), |canonical| canonical.into_owned())
    }
}

/// True if a type contains texts of UUIDs. References to recursive records are not followed.
pub(super) fn has_uuid_text(node: &Node) -> bool {
    match node {
        Node::UuidText => true,
        Node::Array(inner) | Node::Map(inner) => has_uuid_text(inner),
        Node::Union(branches) => branches.iter().any(has_uuid_text),
        Node::Record(record) => record.members.iter().any(|member| has_uuid_text(&member.node)),
        _ => false,
    }
}
