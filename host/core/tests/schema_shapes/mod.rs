//! Random schemas with random values, and their bytes by apache-avro.

mod recursive;

use std::collections::HashMap;

use apache_avro::types::Value as Avro;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

pub(crate) use recursive::Way;

/// The number of cases, or PROPTEST_CASES if that is set.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases: 400, ..default } }
}

/// The kinds of types that tests are made of.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Millis,
    Micros,
    Nanos,
    LocalMillis,
    LocalMicros,
    LocalNanos,
    Date,
    TimeMillis,
    TimeMicros,
    /// Nine digits, two of them after the point, in bytes or in a fixed of this size.
    Decimal(Option<usize>),
    UuidText,
    Uuid,
    Duration,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(usize),
    Array(Box<Shape>),
    Map(Box<Shape>),
    /// Null first, or last.
    Nullable(Box<Shape>, bool),
    /// null, double, string, array of int, map of boolean.
    Mixed,
    Record(Vec<Shape>),
    /// A record with one value, that contains itself.
    Recursive(Box<Shape>, Way),
}

/// Any record shape.
pub(crate) fn record() -> impl Strategy<Value = Shape> {
    prop::collection::vec(shape(), 0..7).prop_map(Shape::Record)
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        1 => Just(Shape::Null),
        2 => Just(Shape::Boolean),
        2 => Just(Shape::Int),
        2 => Just(Shape::Long),
        1 => Just(Shape::Millis),
        1 => Just(Shape::Micros),
        1 => Just(Shape::Nanos),
        1 => prop::sample::select(vec![
            Shape::LocalMillis, Shape::LocalMicros, Shape::LocalNanos, Shape::Date, Shape::TimeMillis,
            Shape::TimeMicros, Shape::UuidText, Shape::Uuid, Shape::Duration,
        ]),
        1 => prop::option::of(4usize..9).prop_map(Shape::Decimal),
        1 => Just(Shape::Float),
        2 => Just(Shape::Double),
        1 => Just(Shape::Bytes),
        4 => Just(Shape::Text),
        1 => (1usize..5).prop_map(Shape::Fixed),
        2 => (1usize..5).prop_map(Shape::Enum),
        1 => Just(Shape::Mixed),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let nullable = inner.clone().prop_filter("a union has null once and no union", |inner| {
            !matches!(inner, Shape::Null | Shape::Nullable(..) | Shape::Mixed)
        });
        prop_oneof![
            1 => inner.clone().prop_map(|item| Shape::Array(Box::new(item))),
            1 => inner.clone().prop_map(|value| Shape::Map(Box::new(value))),
            3 => (nullable, any::<bool>()).prop_map(|(inner, first)| Shape::Nullable(Box::new(inner), first)),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Shape::Record),
            1 => (inner, prop::sample::select(vec![Way::List, Way::Tree, Way::Mutual]))
                .prop_map(|(value, way)| Shape::Recursive(Box::new(value), way)),
        ]
    })
}

impl Shape {
    /// The schema's JSON. Named types are numbered.
    pub(crate) fn schema(&self, named: &mut usize) -> Json {
        *named += 1;
        let name = format!("T{named}");
        match self {
            Self::Null => json!("null"),
            Self::Boolean => json!("boolean"),
            Self::Int => json!("int"),
            Self::Long => json!("long"),
            Self::Millis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            Self::Micros => json!({"type": "long", "logicalType": "timestamp-micros"}),
            Self::Nanos => json!({"type": "long", "logicalType": "timestamp-nanos"}),
            Self::LocalMillis => json!({"type": "long", "logicalType": "local-timestamp-millis"}),
            Self::LocalMicros => json!({"type": "long", "logicalType": "local-timestamp-micros"}),
            Self::LocalNanos => json!({"type": "long", "logicalType": "local-timestamp-nanos"}),
            Self::Date => json!({"type": "int", "logicalType": "date"}),
            Self::TimeMillis => json!({"type": "int", "logicalType": "time-millis"}),
            Self::TimeMicros => json!({"type": "long", "logicalType": "time-micros"}),
            Self::Decimal(None) => json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            Self::Decimal(Some(size)) => json!({
                "type": "fixed", "name": name, "size": size, "logicalType": "decimal", "precision": 9, "scale": 2
            }),
            Self::UuidText => json!({"type": "string", "logicalType": "uuid"}),
            Self::Uuid => json!({"type": "fixed", "name": name, "size": 16, "logicalType": "uuid"}),
            Self::Duration => json!({"type": "fixed", "name": name, "size": 12, "logicalType": "duration"}),
            Self::Float => json!("float"),
            Self::Double => json!("double"),
            Self::Bytes => json!("bytes"),
            Self::Text => json!("string"),
            Self::Fixed(size) => json!({"type": "fixed", "name": name, "size": size}),
            Self::Enum(symbols) => {
                json!({"type": "enum", "name": name, "symbols": symbol_names(*symbols)})
            }
            Self::Array(item) => json!({"type": "array", "items": item.schema(named)}),
            Self::Map(value) => json!({"type": "map", "values": value.schema(named)}),
            Self::Nullable(inner, true) => json!(["null", inner.schema(named)]),
            Self::Nullable(inner, false) => json!([inner.schema(named), "null"]),
            Self::Mixed => json!([
                "null", "double", "string",
                {"type": "array", "items": "int"}, {"type": "map", "values": "boolean"}
            ]),
            Self::Record(fields) => {
                let fields = fields.iter().enumerate();
                let fields: Vec<Json> = fields
                    .map(|(index, field)| json!({"name": format!("f{index}"), "type": field.schema(named)}))
                    .collect();
                json!({"type": "record", "name": name, "fields": fields})
            }
            Self::Recursive(value, way) => {
                let fields = way.fields(value.schema(named), &name);
                json!({"type": "record", "name": name, "fields": fields})
            }
        }
    }

    /// A random value.
    pub(crate) fn value(&self, dice: &mut Dice) -> Avro {
        match self {
            Self::Null => Avro::Null,
            Self::Boolean => Avro::Boolean(dice.below(2) == 1),
            Self::Int => Avro::Int(dice.long() as i32),
            Self::Long => Avro::Long(dice.long()),
            Self::Millis => Avro::TimestampMillis(dice.long() >> 20),
            Self::Micros => Avro::TimestampMicros(dice.long() >> 10),
            Self::Nanos => Avro::TimestampNanos(dice.long()),
            Self::LocalMillis => Avro::LocalTimestampMillis(dice.long() >> 20),
            Self::LocalMicros => Avro::LocalTimestampMicros(dice.long() >> 10),
            Self::LocalNanos => Avro::LocalTimestampNanos(dice.long()),
            Self::Date => Avro::Date(dice.long() as i32),
            Self::TimeMillis => Avro::TimeMillis(dice.long() as i32),
            Self::TimeMicros => Avro::TimeMicros(dice.long()),
            Self::Decimal(size) => decimal(dice.long() % 1_000_000_000, *size),
            Self::UuidText | Self::Uuid => Avro::Uuid(apache_avro::Uuid::from_u64_pair(dice.next(), dice.next())),
            Self::Duration => Avro::Duration([(); 12].map(|()| dice.next() as u8).into()),
            Self::Float => Avro::Float(dice.long() as f32 / 1024.0),
            Self::Double => Avro::Double(dice.long() as f64 / 1024.0),
            Self::Bytes => Avro::Bytes(dice.bytes(6)),
            Self::Text => Avro::String(dice.text()),
            Self::Fixed(size) => Avro::Fixed(*size, (0..*size).map(|_| dice.next() as u8).collect()),
            Self::Enum(symbols) => {
                let index = dice.below(*symbols);
                Avro::Enum(index as u32, symbol_names(*symbols).swap_remove(index))
            }
            Self::Array(item) => Avro::Array((0..dice.below(4)).map(|_| item.value(dice)).collect()),
            Self::Map(value) => Avro::Map((0..dice.below(4)).map(|_| (dice.text(), value.value(dice))).collect()),
            Self::Nullable(inner, null_first) => {
                let null = dice.below(3) == 0;
                let value = if null { Avro::Null } else { inner.value(dice) };
                Avro::Union(u32::from(null != *null_first), Box::new(value))
            }
            Self::Mixed => mixed(dice),
            Self::Record(fields) => Avro::Record(
                fields.iter().enumerate().map(|(index, field)| (format!("f{index}"), field.value(dice))).collect(),
            ),
            Self::Recursive(value, way) => way.value(value, dice, 3),
        }
    }
}

/// The fewest bytes that have the value, or as many as the fixed has.
fn decimal(value: i64, size: Option<usize>) -> Avro {
    let bytes = value.to_be_bytes();
    let mut start = 8_usize.saturating_sub(size.unwrap_or(8));
    while size.is_none() && start < 7 && (value << (8 * (start + 1))) >> (8 * (start + 1)) == value {
        start += 1;
    }
    Avro::Decimal(apache_avro::Decimal::from(&bytes[start..]))
}

fn mixed(dice: &mut Dice) -> Avro {
    let branch = dice.below(5);
    let value = match branch {
        0 => Avro::Null,
        1 => Avro::Double(dice.long() as f64),
        2 => Avro::String(dice.text()),
        3 => Avro::Array(vec![Avro::Int(dice.long() as i32); dice.below(3)]),
        _ => Avro::Map(HashMap::from([("string".to_owned(), Avro::Boolean(true))])),
    };
    Avro::Union(branch as u32, Box::new(value))
}

fn symbol_names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("S{index}")).collect()
}

/// A small deterministic source of randomness (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }

    /// A number of random magnitude, sometimes an extreme one.
    fn long(&mut self) -> i64 {
        let bits = self.below(66);
        match bits {
            64 => i64::MIN,
            65 => i64::MAX,
            bits => (self.next() as i64) >> bits,
        }
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 8] = ['a', 'Z', '0', '"', '\n', 'é', '漢', '🦀'];
        let length = self.below(12) * (1 + 20 * usize::from(self.below(20) == 0));
        (0..length).map(|_| CHARS[self.below(CHARS.len())]).collect()
    }
}

/// The Avro bytes of a value.
pub(crate) fn encode(schema: &apache_avro::Schema, value: Avro) -> Vec<u8> {
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(schema).build().expect("a schema");
    writer.write_value_to_vec(value).expect("a value of the schema")
}
