//! A JSON value that is buffered while it is tried as several branches of a union.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// A JSON value as it was written, with duplicate names, so that they are found later.
#[derive(Debug)]
pub(super) enum Buffered {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(String),
    Array(Vec<Buffered>),
    Object(Vec<(String, Buffered)>),
}

/// The members of a buffered object, as a `MapAccess`.
pub(super) fn buffered_members<'de>(
    object: &[(String, Buffered)],
) -> MapDeserializer<'de, impl Iterator<Item = (&str, &Buffered)>, serde_json::Error> {
    MapDeserializer::new(object.iter().map(|(name, value)| (name.as_str(), value)))
}

impl<'de> Deserialize<'de> for Buffered {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(BufferVisitor)
    }
}

struct BufferVisitor;

impl<'de> Visitor<'de> for BufferVisitor {
    type Value = Buffered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Buffered, E> {
        Ok(Buffered::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Buffered, E> {
        Ok(Buffered::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Buffered, E> {
        Ok(Buffered::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Buffered, E> {
        Ok(Buffered::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Buffered, E> {
        Ok(Buffered::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Buffered, E> {
        Ok(Buffered::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Buffered, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(Buffered::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Buffered, A::Error> {
        let mut values = Vec::new();
        while let Some(member) = map.next_entry()? {
            values.push(member);
        }
        Ok(Buffered::Object(values))
    }
}

impl<'de> Deserializer<'de> for &Buffered {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Buffered::Null => visitor.visit_unit(),
            Buffered::Bool(value) => visitor.visit_bool(*value),
            Buffered::Unsigned(value) => visitor.visit_u64(*value),
            Buffered::Signed(value) => visitor.visit_i64(*value),
            Buffered::Double(value) => visitor.visit_f64(*value),
            Buffered::Text(value) => visitor.visit_str(value),
            Buffered::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.iter())),
            Buffered::Object(values) => visitor.visit_map(buffered_members(values)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, serde_json::Error> for &Buffered {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
