//! Carries out plans: reads a value of the writer, writes one of the reader.

use super::super::DecodeProblem as Problem;
use super::super::check::check;
use super::super::node::Unit;
use super::super::reader::Reader;
use super::plan::{Fields, Number, Plan, Source};
use crate::wire::put_signed;

impl Plan {
    /// `records` are those that contain themselves.
    pub(super) fn run(&self, records: &[Fields], reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Copy(node) | Self::Checked(node) => {
                let bytes = reader.passed(|reader| check(node, reader))?;
                out.extend_from_slice(bytes);
            }
            Self::Number(from, to) => number(*from, *to, reader, out)?,
            Self::Timestamp(from, to) => put_signed(out, convert(reader.long()?, *from, *to)?),
            Self::Symbols(symbols) => {
                let symbol = reader.symbol(symbols.len())?;
                let place = symbols[symbol].ok_or(Problem::NoSymbol(symbol as i64))?;
                put_signed(out, place as i64);
            }
            Self::Array(item) => blocks(reader, out, |reader, out| item.run(records, reader, out))?,
            Self::Map(item) => blocks(reader, out, |reader, out| {
                out.extend_from_slice(reader.passed(|reader| reader.string().map(|_| ()))?);
                item.run(records, reader, out)
            })?,
            Self::Record(fields) => fields.run(records, reader, out)?,
            Self::Again(place, levels) => {
                reader.deeper(*levels, |reader| records[*place].run(records, reader, out))?;
            }
            Self::Branches(plans) => {
                let index = reader.long()?;
                let plan = usize::try_from(index).ok().and_then(|index| plans.get(index)?.as_ref());
                plan.ok_or(Problem::NoBranch(index))?.run(records, reader, out)?;
            }
            Self::Into(branch, plan) => {
                put_signed(out, *branch as i64);
                plan.run(records, reader, out)?;
            }
        }
        Ok(())
    }
}

impl Fields {
    fn run(&self, records: &[Self], reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
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
                Source::Written(place) => {
                    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
                    out.extend_from_slice(&values[start..ends[*place]]);
                }
                Source::Default(default) => out.extend_from_slice(default),
            }
        }
        Ok(())
    }
}

fn blocks(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Problem>,
) -> Result<(), Problem> {
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

fn number(from: Number, to: Number, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
    match (from, to) {
        // The specification lets a long become a float, rounded.
        (Number::Long, Number::Float) => out.extend_from_slice(&(reader.long()? as f32).to_le_bytes()),
        (Number::Int, Number::Float) => out.extend_from_slice(&(reader.int()? as f32).to_le_bytes()),
        (Number::Int, _) => out.extend_from_slice(&f64::from(reader.int()?).to_le_bytes()),
        (Number::Long, _) => out.extend_from_slice(&(reader.long()? as f64).to_le_bytes()),
        (Number::Float, _) => out.extend_from_slice(&f64::from(reader.float()?).to_le_bytes()),
        (Number::Double, _) => out.extend_from_slice(&reader.double()?.to_le_bytes()),
    }
    Ok(())
}

fn convert(value: i64, from: Unit, to: Unit) -> Result<i64, Problem> {
    let nanos = i128::from(value) * i128::from(1_000_000 / from.per_milli());
    let converted = nanos.div_euclid(i128::from(1_000_000 / to.per_milli()));
    i64::try_from(converted).map_err(|_| Problem::VarintOverflow)
}
