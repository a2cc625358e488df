//! One serde visitor for all Avro types, which lets the schema drive the JSON parser.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::super::node::Node;
use super::scalar::{self, FoundValue};
use super::{EncodeProblem, Writer, object, union};

/// Writes the next JSON value as a value of `node`.
pub(super) struct ValueSeed<'n, 'w, 'o> {
    pub(super) node: &'n Node,
    pub(super) writer: &'w mut Writer<'o>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl ValueSeed<'_, '_, '_> {
    fn write_scalar<E: Error>(self, found: FoundValue<'_>) -> Result<(), E> {
        let node = match self.node {
            Node::Union(branches) => match union::find_scalar_branch(branches, &found, self.writer) {
                Some((index, node)) => {
                    self.writer.put_long(index as i64);
                    node
                }
                None => return Err(mismatch(self.writer, self.node, &found)),
            },
            node => node,
        };
        if scalar::write_scalar(node, &found, self.writer) { Ok(()) } else { Err(mismatch(self.writer, node, &found)) }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.node.kind())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write_scalar(FoundValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write_scalar(FoundValue::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.writer.numbers.count();
        self.write_scalar(FoundValue::Whole(i128::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.writer.numbers.count();
        self.write_scalar(FoundValue::Whole(i128::from(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.writer.numbers.count();
        let text = if takes_any_double(self.node) { None } else { self.writer.numbers.find_newest() };
        self.write_scalar(FoundValue::Fraction(value, text))
    }

    #[inline]
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.write_scalar(FoundValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let writer = self.writer;
        let item = match self.node {
            Node::Array(item) => item,
            Node::Union(branches) => match union::find_array_branch(branches) {
                Some((index, item)) => {
                    writer.put_long(index as i64);
                    item
                }
                None => return Err(mismatch(writer, self.node, &FoundValue::Array)),
            },
            _ => return Err(mismatch(writer, self.node, &FoundValue::Array)),
        };
        let start = writer.out.len();
        let mut count = 0;
        loop {
            let next = items.next_element_seed(ValueSeed { node: item, writer: &mut *writer });
            match next.inspect_err(|_| writer.push_trail(&format!("[{count}]")))? {
                None => break,
                Some(()) if !writer.count_item() => return Err(writer.fail(EncodeProblem::TooManyItems)),
                Some(()) => count += 1,
            }
        }
        writer.close_blocks(start, count);
        Ok(())
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.node {
            Node::Union(branches) => union::write_union_object(self.node, branches, map, self.writer),
            node => object::write_object(node, map, self.writer, None),
        }
    }
}

/// True if the nearest double is exact enough for a type.
fn takes_any_double(node: &Node) -> bool {
    match node {
        Node::Float | Node::Double => true,
        Node::Union(branches) => {
            branches.iter().all(|branch| matches!(branch, Node::Null | Node::Float | Node::Double))
        }
        _ => false,
    }
}

/// The error for a value that does not fit.
#[cold]
pub(super) fn mismatch<E: Error>(writer: &mut Writer<'_>, node: &Node, found: &FoundValue<'_>) -> E {
    writer.fail(EncodeProblem::Mismatch { expected: scalar::describe_expected(node), found: found.to_string() })
}
