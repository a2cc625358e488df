//! The strict decoder against apache-avro as the oracle, on random schemas, values and damaged bytes.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod schema_shapes;

use std::collections::BTreeMap;
use std::io::{self, Read};

use apache_avro::types::Value as Avro;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use assay_core::schema::{DecodeProblem, Decoder, Extractor, Scalar, Schema};
use assay_core::types::Type;
use proptest::prelude::*;
use schema_shapes::{Dice, Shape, encode, record};

/// A shape's schema, parsed by both implementations.
fn schemas(shape: &Shape) -> (Schema, apache_avro::Schema) {
    let json = shape.schema(&mut 0).to_string();
    let ours = Schema::parse(&json).expect("a valid schema");
    (ours, apache_avro::Schema::parse_str(&json).expect("a valid schema"))
}

/// The value at a dotted path; null if a record on the path is null.
fn at<'v>(value: &'v Avro, path: &str) -> &'v Avro {
    path.split('.').fold(bare(value), |value, name| match value {
        Avro::Record(fields) => {
            bare(fields.iter().find(|(field, _)| field == name).map(|(_, value)| value).expect("a field"))
        }
        other => other,
    })
}

fn bare(value: &Avro) -> &Avro {
    match value {
        Avro::Union(_, inner) => inner,
        other => other,
    }
}

/// A row of a column as text, exact to the bit.
fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        "null".to_owned()
    } else if let Some(values) = column.as_boolean_opt() {
        format!("bool {}", values.value(row))
    } else if let Some(values) = column.as_primitive_opt::<Int64Type>() {
        format!("int {}", values.value(row))
    } else if let Some(values) = column.as_primitive_opt::<TimestampMillisecondType>() {
        format!("time {}", values.value(row))
    } else if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        format!("double {:x}", values.value(row).to_bits())
    } else {
        format!("text {}", column.as_string::<i32>().value(row))
    }
}

/// A row of a column of a type. Lists are shown item by item, maps with each key once.
fn cell_of(column: &ArrayRef, ty: &Type, row: usize) -> String {
    match ty {
        Type::List(item) if column.is_valid(row) => {
            let items = column.as_list::<i32>().value(row);
            let parts = |item: usize, parts: &[(String, Type)]| {
                let parts = parts.iter().zip(items.as_struct().columns());
                parts.map(|((_, ty), part)| cell_of(part, ty, item)).collect::<Vec<_>>().join(", ")
            };
            let items = (0..items.len()).map(|at| match &**item {
                Type::Record(of) => parts(at, of),
                scalar => cell_of(&items, scalar, at),
            });
            format!("{:?}", items.collect::<Vec<_>>())
        }
        Type::Map(value) if column.is_valid(row) => {
            let entries = column.as_list::<i32>().value(row);
            let (keys, values) = (entries.as_struct().column(0), entries.as_struct().column(1));
            let entries = (0..keys.len()).map(|at| (cell(keys, at), cell_of(values, value, at)));
            format!("{:?}", entries.collect::<BTreeMap<_, _>>())
        }
        _ => cell(column, row),
    }
}

fn expected_of(value: &Avro, ty: &Type) -> String {
    match (value, ty) {
        (Avro::Array(items), Type::List(item)) => {
            let items = items.iter().map(|value| match &**item {
                Type::Record(parts) => {
                    parts.iter().map(|(path, _)| expected_cell(at(bare(value), path))).collect::<Vec<_>>().join(", ")
                }
                _ => expected_cell(bare(value)),
            });
            format!("{:?}", items.collect::<Vec<_>>())
        }
        (Avro::Map(entries), Type::Map(_)) => {
            let entries = entries.iter().map(|(key, value)| (format!("text {key}"), expected_cell(bare(value))));
            format!("{:?}", entries.collect::<BTreeMap<_, _>>())
        }
        _ => expected_cell(value),
    }
}

/// Converts a cell to apache-avro's form of UUIDs, which has no capital letters.
fn as_oracle(cell: String, value: &Avro) -> String {
    let is_uuid = |value: &Avro| matches!(bare(value), Avro::Uuid(_));
    let has_uuids = match bare(value) {
        Avro::Array(items) => items.iter().any(|item| match bare(item) {
            Avro::Record(fields) => fields.iter().any(|(_, value)| is_uuid(value)),
            item => is_uuid(item),
        }),
        Avro::Map(entries) => entries.values().any(is_uuid),
        value => is_uuid(value),
    };
    if has_uuids { cell.to_lowercase() } else { cell }
}

fn expected_cell(value: &Avro) -> String {
    match value {
        Avro::Null => "null".to_owned(),
        Avro::Boolean(value) => format!("bool {value}"),
        Avro::Int(value) => format!("int {value}"),
        Avro::Long(value) => format!("int {value}"),
        Avro::Date(value) | Avro::TimeMillis(value) => format!("int {value}"),
        Avro::TimeMicros(value) => format!("int {value}"),
        Avro::TimestampMillis(value) | Avro::LocalTimestampMillis(value) => format!("time {value}"),
        Avro::TimestampMicros(value) | Avro::LocalTimestampMicros(value) => {
            format!("time {}", value.div_euclid(1_000))
        }
        Avro::TimestampNanos(value) | Avro::LocalTimestampNanos(value) => {
            format!("time {}", value.div_euclid(1_000_000))
        }
        Avro::Decimal(value) => {
            // For zero without bytes apache-avro gives no bytes.
            let bytes = Vec::try_from(value).unwrap_or_default();
            let unscaled = bytes.iter().enumerate().fold(0_i64, |value, (index, byte)| {
                if index == 0 { i64::from(*byte as i8) } else { value << 8 | i64::from(*byte) }
            });
            format!("double {:x}", (unscaled as f64 / 100.0).to_bits())
        }
        Avro::Uuid(value) => format!("text {value}"),
        Avro::Float(value) => format!("double {:x}", f64::from(*value).to_bits()),
        Avro::Double(value) => format!("double {:x}", value.to_bits()),
        Avro::String(value) | Avro::Enum(_, value) => format!("text {value}"),
        other => panic!("{other:?} is no column"),
    }
}

fn scalar_cell(scalar: &Scalar<'_>) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => format!("bool {value}"),
        Scalar::Int(value) => format!("int {value}"),
        Scalar::Timestamp(value) => format!("time {value}"),
        Scalar::Double(value) => format!("double {:x}", value.to_bits()),
        Scalar::Text(value) => format!("text {value}"),
        Scalar::Uuid(_) => format!("text {}", scalar.key().expect("a UUID has a text")),
    }
}

/// The value that apache-avro reads from the bytes, if it uses all of them and no more.
///
/// apache-avro reads the end of the bytes as null in booleans, strings and unions. The source records that its end was
/// reached, to distinguish that.
fn oracle(schema: &apache_avro::Schema, bytes: &[u8]) -> Option<Avro> {
    let mut source = Source { bytes, hit_end: false };
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(schema).build().expect("a schema");
    let value = reader.read_value(&mut source).ok()?;
    (!source.hit_end && source.bytes.is_empty()).then_some(value)
}

struct Source<'a> {
    bytes: &'a [u8],
    hit_end: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.hit_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// Damages a record: flips, removes, inserts or repeats bytes.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.below(bytes.len() + 1);
    match dice.below(5) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, dice.next() as u8),
        2 => bytes.extend_from_within(place..),
        _ if place < bytes.len() => match dice.below(3) {
            0 => bytes[place] = dice.next() as u8,
            1 => bytes[place] ^= 1 << dice.below(8),
            _ => drop(bytes.remove(place)),
        },
        _ => bytes.push(0xff),
    }
}

/// True for problems that apache-avro accepts: it ignores a block's size, bits above the 64th and a decimal's
/// precision, accepts any form of a UUID, has a far higher limit on items, and none on depth.
fn is_stricter_on_purpose(problem: DecodeProblem) -> bool {
    matches!(
        problem,
        DecodeProblem::BlockSize(_)
            | DecodeProblem::VarintOverflow
            | DecodeProblem::TooManyItems
            | DecodeProblem::TooManyDigits(_)
            | DecodeProblem::NotUuid
            | DecodeProblem::TooDeep
    )
}

proptest! {
    #![proptest_config(schema_shapes::config())]

    /// In any mix of good and damaged records exactly the damaged ones are refused. All others are decoded as by
    /// apache-avro, under any projection, and also as scalars.
    #[test]
    fn records_are_decoded_as_by_apache_avro(shape in record(), seed in any::<u64>()) {
        let (schema, theirs) = schemas(&shape);
        let mut dice = Dice::new(seed);
        let paths: Vec<&str> = schema.fields().iter().map(|field| field.path.as_str()).collect();
        let projection: Vec<&str> = paths.iter().copied().filter(|_| dice.below(3) > 0).rev().collect();
        let mut decoder = Decoder::new(&schema, &projection).expect("the schema's own paths");
        let is_list = |path: &&str| matches!(schema.field(path).expect("a path").kind, Type::List(_) | Type::Map(_));
        let scalar_paths: Vec<&str> = projection.iter().copied().filter(|path| !is_list(path)).collect();
        prop_assert_eq!(Extractor::new(&schema, &projection).is_ok(), scalar_paths.len() == projection.len());
        let extractor = Extractor::new(&schema, &scalar_paths).expect("the schema's own paths");
        // Twice, because the second batch reuses the buffers of the first.
        for _ in 0..2 {
            let records: Vec<Vec<u8>> = (0..20)
                .map(|_| {
                    let mut bytes = encode(&theirs, shape.value(&mut dice));
                    if dice.below(3) == 0 {
                        damage(&mut bytes, &mut dice);
                    }
                    bytes
                })
                .collect();
            let decoded = decoder.decode(records.iter().map(Vec::as_slice));
            prop_assert_eq!(decoded.rows.len() + decoded.bad.len(), records.len());
            for column in &decoded.columns {
                prop_assert_eq!(column.len(), decoded.rows.len());
            }
            for (index, error) in &decoded.bad {
                let lenient = oracle(&theirs, &records[*index]);
                prop_assert!(lenient.is_none() || is_stricter_on_purpose(error.problem), "{error}: {lenient:?}");
                prop_assert!(error.position <= records[*index].len());
            }
            let mut scalars = vec![Scalar::Null; scalar_paths.len()];
            for (row, index) in decoded.rows.iter().enumerate() {
                let value = oracle(&theirs, &records[*index]);
                prop_assert!(value.is_some(), "apache-avro refuses {:?}", records[*index]);
                let value = value.expect("just checked");
                extractor.extract(&records[*index], &mut scalars).expect("the decoder took it");
                for (column, field) in decoder.fields().enumerate() {
                    let value = at(&value, &field.path);
                    let found = cell_of(&decoded.columns[column], &field.kind, row);
                    prop_assert_eq!(as_oracle(found, value), as_oracle(expected_of(value, &field.kind), value));
                }
                for (scalar, path) in scalars.iter().zip(&scalar_paths) {
                    let value = at(&value, path);
                    prop_assert_eq!(as_oracle(scalar_cell(scalar), value), as_oracle(expected_cell(value), value));
                }
            }
        }
    }

    /// No bytes panic, and exactly those that apache-avro refuses are refused.
    #[test]
    fn garbage_is_refused_as_by_apache_avro(
        shape in record(),
        bytes in prop::collection::vec(prop_oneof![0u8..5, any::<u8>()], 0..60),
    ) {
        let (schema, theirs) = schemas(&shape);
        let mut decoder = Decoder::new(&schema, &[]).expect("no paths");
        let decoded = decoder.decode([bytes.as_slice()]);
        let expected = oracle(&theirs, &bytes).is_some();
        match decoded.bad.first() {
            None => prop_assert!(expected),
            Some((_, error)) => prop_assert!(!expected || is_stricter_on_purpose(error.problem), "{error}"),
        }
    }
}
