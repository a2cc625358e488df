//! Runs a [`Program`] over one record and passes the values to a [`ValueSink`].

use super::check::check;
use super::program::{Program, Step};
use super::reader::AvroReader;
use super::{DecodeError, DecodeProblem, MAX_EVENT_BYTES};

/// The destination of projected values: columns, or a few scalars. It gets one call per column and good record.
///
/// If a record is malformed, the values before the problem have been passed already. The owner of the sink must remove
/// them.
pub(super) trait ValueSink<'a> {
    fn boolean(&mut self, column: usize, value: bool);
    fn int(&mut self, column: usize, value: i64);
    fn timestamp(&mut self, column: usize, millis: i64);
    fn double(&mut self, column: usize, value: f64);
    /// `value` is UTF-8.
    fn text(&mut self, column: usize, value: &'a [u8]) -> Result<(), DecodeProblem>;
    fn uuid(&mut self, column: usize, value: [u8; 16]) -> Result<(), DecodeProblem>;
    fn null(&mut self, column: usize);
    /// Reads a list by the program of its items.
    fn list(&mut self, column: usize, items: &'a Program, reader: &mut AvroReader<'a>) -> Result<(), DecodeProblem>;
}

impl Program {
    /// Reads and checks one whole record.
    #[inline]
    pub(super) fn run<'a>(&'a self, record: &'a [u8], sink: &mut impl ValueSink<'a>) -> Result<(), DecodeError> {
        let mut reader = AvroReader::new(record);
        if record.len() > MAX_EVENT_BYTES {
            return Err(self.error(reader, None, DecodeProblem::TooLarge(record.len())));
        }
        let mut place = 0;
        while let Some(step) = self.steps.get(place) {
            match run_step(step, &mut reader, sink) {
                Ok(skipped) => place += 1 + skipped,
                Err(problem) => return Err(self.error(reader, Some(place), problem)),
            }
        }
        match reader.end() {
            Ok(()) => Ok(()),
            Err(problem) => Err(self.error(reader, None, problem)),
        }
    }

    /// Reads one item of a list within a record.
    pub(super) fn run_item<'a>(
        &'a self,
        reader: &mut AvroReader<'a>,
        sink: &mut impl ValueSink<'a>,
    ) -> Result<(), DecodeProblem> {
        let mut place = 0;
        while let Some(step) = self.steps.get(place) {
            match run_step(step, reader, sink) {
                Ok(skipped) => place += 1 + skipped,
                Err(problem) => {
                    reader.trail.extend(self.paths.get(place).filter(|path| !path.is_empty()).cloned());
                    return Err(problem);
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn error(&self, mut reader: AvroReader<'_>, place: Option<usize>, problem: DecodeProblem) -> DecodeError {
        reader.trail.extend(place.map(|place| self.paths[place].clone()));
        DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem }
    }
}

/// The dotted path of a trail, which has the innermost name first.
pub(super) fn join_trail(trail: &[String]) -> String {
    let mut path = String::new();
    for name in trail.iter().rev() {
        if !path.is_empty() && !name.starts_with('[') {
            path.push('.');
        }
        path.push_str(name);
    }
    path
}

/// Executes one step. Returns the number of following steps to skip.
#[inline]
fn run_step<'a>(
    step: &'a Step,
    reader: &mut AvroReader<'a>,
    sink: &mut impl ValueSink<'a>,
) -> Result<usize, DecodeProblem> {
    match step {
        Step::Check(node) => check(node, reader)?,
        Step::Boolean(column) => sink.boolean(*column, reader.boolean()?),
        Step::Int(column) => sink.int(*column, i64::from(reader.int()?)),
        Step::Long(column) => sink.int(*column, reader.long()?),
        Step::Timestamp(unit, column) => sink.timestamp(*column, unit.to_millis(reader.long()?)),
        Step::Float(column) => sink.double(*column, f64::from(reader.float()?)),
        Step::Double(column) => sink.double(*column, reader.double()?),
        Step::Decimal(decimal, column) => sink.double(*column, decimal.to_double(reader.decimal(decimal)?)),
        Step::Text(column) => sink.text(*column, reader.string()?)?,
        Step::UuidText(column) => sink.text(*column, reader.uuid_text()?)?,
        Step::Uuid(column) => sink.uuid(*column, reader.array()?)?,
        Step::Symbol(symbols, column) => {
            let symbol = reader.symbol(symbols.len())?;
            sink.text(*column, symbols[symbol].as_bytes())?;
        }
        Step::List(items, column) => sink.list(*column, items, reader)?,
        Step::Nullable { null, steps, columns } => match reader.long()? {
            index @ (0 | 1) => {
                if index as usize == *null {
                    columns.iter().for_each(|column| sink.null(*column));
                    return Ok(*steps);
                }
            }
            index => return Err(DecodeProblem::NoBranch(index)),
        },
    }
    Ok(0)
}
