//! Runs a [`Program`] over one record and hands the values to a [`Sink`].

use super::check::check;
use super::program::{Program, Step};
use super::reader::Reader;
use super::{DecodeError, DecodeProblem as Problem, MAX_EVENT_BYTES};

/// Where projected values go: into columns, or into a few scalars. One call per column and good record.
///
/// When a record turns out to be malformed, the values that came before the problem have been handed over:
/// the owner of the sink undoes them.
pub(super) trait Sink<'a> {
    fn boolean(&mut self, column: usize, value: bool);
    fn int(&mut self, column: usize, value: i64);
    fn timestamp(&mut self, column: usize, millis: i64);
    fn double(&mut self, column: usize, value: f64);
    /// `value` is UTF-8.
    fn text(&mut self, column: usize, value: &'a [u8]) -> Result<(), Problem>;
    fn uuid(&mut self, column: usize, value: [u8; 16]) -> Result<(), Problem>;
    fn null(&mut self, column: usize);
}

impl Program {
    /// Reads one whole record, strictly.
    #[inline]
    pub(super) fn run<'a>(&'a self, record: &'a [u8], sink: &mut impl Sink<'a>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(record);
        if record.len() > MAX_EVENT_BYTES {
            return Err(self.error(reader, None, Problem::TooLarge(record.len())));
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

    #[cold]
    fn error(&self, mut reader: Reader<'_>, place: Option<usize>, problem: Problem) -> DecodeError {
        reader.trail.extend(place.map(|place| self.paths[place].clone()));
        DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem }
    }
}

/// The dotted path of a trail that has the innermost name first.
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

/// Does one step; the result is how many of the next steps it replaces.
#[inline]
fn run_step<'a>(step: &'a Step, reader: &mut Reader<'a>, sink: &mut impl Sink<'a>) -> Result<usize, Problem> {
    match step {
        Step::Check(node) => check(node, reader)?,
        Step::Boolean(column) => sink.boolean(*column, reader.boolean()?),
        Step::Int(column) => sink.int(*column, i64::from(reader.int()?)),
        Step::Long(column) => sink.int(*column, reader.long()?),
        Step::Timestamp(unit, column) => sink.timestamp(*column, unit.to_millis(reader.long()?)),
        Step::Float(column) => sink.double(*column, f64::from(reader.float()?)),
        Step::Double(column) => sink.double(*column, reader.double()?),
        Step::Decimal(decimal, column) => sink.double(*column, decimal.double(reader.decimal(decimal)?)),
        Step::Text(column) => sink.text(*column, reader.string()?)?,
        Step::UuidText(column) => sink.text(*column, reader.uuid_text()?)?,
        Step::Uuid(column) => sink.uuid(*column, reader.array()?)?,
        Step::Symbol(symbols, column) => {
            let symbol = reader.symbol(symbols.len())?;
            sink.text(*column, symbols[symbol].as_bytes())?;
        }
        Step::Nullable { null, steps, columns } => match reader.long()? {
            index @ (0 | 1) => {
                if index as usize == *null {
                    columns.iter().for_each(|column| sink.null(*column));
                    return Ok(*steps);
                }
            }
            index => return Err(Problem::NoBranch(index)),
        },
    }
    Ok(0)
}
