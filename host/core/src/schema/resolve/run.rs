//! Executes plans: reads a value of the writer and writes one of the reader.

use super::super::DecodeProblem;
use super::super::check::check;
use super::super::node::TimeUnit;
use super::super::reader::AvroReader;
use super::plan::{FieldPlans, FieldSource, NumberType, Plan};
use crate::wire::put_signed;

impl Plan {
    /// Converts the value at the reader's position. `records` has the plans of recursive records.
    pub(super) fn run(
        &self,
        records: &[FieldPlans],
        reader: &mut AvroReader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeProblem> {
        match self {
            Self::Copy(node) | Self::Checked(node) => {
                let bytes = reader.skipped_bytes(|reader| check(node, reader))?;
                out.extend_from_slice(bytes);
            }
            Self::Number(from, to) => convert_number(*from, *to, reader, out)?,
            Self::Timestamp(from, to) => put_signed(out, convert_timestamp(reader.long()?, *from, *to)?),
            Self::Symbols(symbols) => {
                let symbol = reader.symbol(symbols.len())?;
                let place = symbols[symbol].ok_or(DecodeProblem::NoSymbol(symbol as i64))?;
                put_signed(out, place as i64);
            }
            Self::Array(item) => convert_blocks(reader, out, |reader, out| item.run(records, reader, out))?,
            Self::Map(item) => convert_blocks(reader, out, |reader, out| {
                out.extend_from_slice(reader.skipped_bytes(|reader| reader.string().map(|_| ()))?);
                item.run(records, reader, out)
            })?,
            Self::Record(fields) => fields.run(records, reader, out)?,
            Self::RecordReference(place, levels) => {
                reader.walk_nested(*levels, |reader| records[*place].run(records, reader, out))?;
            }
            Self::Branches(plans) => {
                let index = reader.long()?;
                let plan = usize::try_from(index).ok().and_then(|index| plans.get(index)?.as_ref());
                plan.ok_or(DecodeProblem::NoBranch(index))?.run(records, reader, out)?;
            }
            Self::Into(branch, plan) => {
                put_signed(out, *branch as i64);
                plan.run(records, reader, out)?;
            }
        }
        Ok(())
    }
}

impl FieldPlans {
    fn run(&self, records: &[Self], reader: &mut AvroReader<'_>, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
        let mut values = Vec::new();
        let mut ends = Vec::with_capacity(self.written.len());
        for (name, plan) in &self.written {
            let result = match plan {
                Ok(plan) => plan.run(records, reader, &mut values),
                Err(node) => check(node, reader),
            };
            result.inspect_err(|_| reader.trail.push(name.clone()))?;
            ends.push(values.len());
        }
        for source in &self.read {
            match source {
                FieldSource::Written(place) => {
                    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
                    out.extend_from_slice(&values[start..ends[*place]]);
                }
                FieldSource::Default(default) => out.extend_from_slice(default),
            }
        }
        Ok(())
    }
}

fn convert_blocks(
    reader: &mut AvroReader<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut AvroReader<'_>, &mut Vec<u8>) -> Result<(), DecodeProblem>,
) -> Result<(), DecodeProblem> {
    let (mut items, mut count) = (Vec::new(), 0);
    reader.blocks(|reader| {
        count += 1;
        item(reader, &mut items)
    })?;
    if count > 0 {
        put_signed(out, count);
        out.extend_from_slice(&items);
    }
    out.push(0);
    Ok(())
}

fn convert_number(
    from: NumberType,
    to: NumberType,
    reader: &mut AvroReader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeProblem> {
    match (from, to) {
        // The specification lets a long become a float, rounded.
        (NumberType::Long, NumberType::Float) => out.extend_from_slice(&(reader.long()? as f32).to_le_bytes()),
        (NumberType::Int, NumberType::Float) => out.extend_from_slice(&(reader.int()? as f32).to_le_bytes()),
        (NumberType::Int, _) => out.extend_from_slice(&f64::from(reader.int()?).to_le_bytes()),
        (NumberType::Long, _) => out.extend_from_slice(&(reader.long()? as f64).to_le_bytes()),
        (NumberType::Float, _) => out.extend_from_slice(&f64::from(reader.float()?).to_le_bytes()),
        (NumberType::Double, _) => out.extend_from_slice(&reader.double()?.to_le_bytes()),
    }
    Ok(())
}

fn convert_timestamp(value: i64, from: TimeUnit, to: TimeUnit) -> Result<i64, DecodeProblem> {
    let nanos = i128::from(value) * i128::from(1_000_000 / from.per_milli());
    let converted = nanos.div_euclid(i128::from(1_000_000 / to.per_milli()));
    i64::try_from(converted).map_err(|_| DecodeProblem::VarintOverflow)
}
