//! Comma-separated values (RFC 4180): records of cells. The header shows the delimiter: a comma, `;`, a tab or `|`.

use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};

use super::source::UNREADABLE;

/// The delimiters, the most common first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The largest record, in bytes, far above the limit of a stream.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// An empty cell in quotes is an empty text; without quotes it is no value.
    pub(super) is_quoted: bool,
}

/// The records of a file, one after another.
pub(super) struct Records<R> {
    input: R,
    position: CsvPosition,
}

/// The position in a file after its header.
#[derive(Clone, Copy)]
pub(super) struct CsvPosition {
    delimiter: Option<u8>,
    /// The number of the next line.
    line: u64,
}

impl CsvPosition {
    /// Continues with the rest of the file.
    pub(super) fn resume<R: BufRead>(self, input: R) -> Records<R> {
        Records { input, position: self }
    }
}

impl<R: BufRead> Records<R> {
    /// The records from the header on.
    pub(super) fn begin(input: R) -> Result<Self> {
        Ok(Self { input, position: CsvPosition { delimiter: None, line: 1 } })
    }

    pub(super) fn position(&self) -> CsvPosition {
        self.position
    }

    /// The next record, with its first line; none after the last. Empty lines are skipped.
    ///
    /// # Errors
    /// The record cannot be read, is not UTF-8, or has quotes that are not closed.
    pub(super) fn next_record(&mut self) -> Result<Option<(u64, Vec<Cell>)>> {
        loop {
            let (begin, mut record) = (self.position.line, Vec::new());
            // A line break in quotes belongs to its cell. Quotes in a cell are doubled, so an odd number means open
            // quotes.
            while {
                let read = self.input.read_until(b'\n', &mut record).context(UNREADABLE)?;
                self.position.line += u64::from(read > 0);
                ensure!(record.len() <= MAX_RECORD_BYTES, "the record on line {begin} has more than 16 MiB");
                let is_open = record.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
                ensure!(read > 0 || !is_open, "line {begin}: quotes are not closed");
                read > 0 && is_open
            } {}
            if record.is_empty() {
                return Ok(None);
            }
            let Ok(record) = String::from_utf8(record) else { bail!("line {begin}: this is not UTF-8 text") };
            let record = record.strip_suffix('\n').unwrap_or(&record);
            let record = record.strip_suffix('\r').unwrap_or(record);
            if record.is_empty() {
                continue;
            }
            let delimiter = *self.position.delimiter.get_or_insert_with(|| detect_delimiter(record.as_bytes()));
            let cells = split(record, delimiter).with_context(|| format!("line {begin}"))?;
            return Ok(Some((begin, cells)));
        }
    }
}

/// The delimiter of a header.
fn detect_delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    // With equal counts the last one wins, hence the reversal.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Whether a line looks like a header: several names of fields.
pub(super) fn is_header(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let is_name = |cell: &Cell| {
        let mut letters = cell.text.chars();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.'))
    };
    split(line, detect_delimiter(line.as_bytes())).is_ok_and(|cells| cells.len() > 1 && cells.iter().all(is_name))
}

fn split(record: &str, delimiter: u8) -> Result<Vec<Cell>> {
    let delimiter = char::from(delimiter);
    let mut cells = Vec::new();
    let mut rest = record;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = unquote(quoted)?;
                (Cell { text, is_quoted: true }, after)
            }
            None => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                (Cell { text: rest[..end].to_owned(), is_quoted: false }, &rest[end..])
            }
        };
        cells.push(cell);
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(cells),
            None => bail!("text follows the closing quote of a cell"),
        }
    }
}

/// A text up to its closing quote, and the rest after it.
fn unquote(quoted: &str) -> Result<(String, &str)> {
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"').context("quotes are not closed")?;
        text.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                text.push('"');
                rest = next;
            }
            None => return Ok((text, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(u64, Vec<String>)>> {
        let mut records = Records::begin(text.as_bytes())?;
        let mut found = Vec::new();
        while let Some((line, cells)) = records.next_record()? {
            found.push((line, cells.into_iter().map(|cell| cell.text).collect()));
        }
        Ok(found)
    }

    #[test]
    fn records_are_read_as_rfc_4180_says() {
        let text = "a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\n\n,\"\"\n2,3";
        let expected = [(1, vec!["a", "b"]), (2, vec!["1", "x, \"y\"\r\nz"]), (5, vec!["", ""]), (6, vec!["2", "3"])];
        let expected = expected.map(|(line, cells)| (line, cells.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(all(text).unwrap(), expected);
        assert_eq!(all("a;b,c;d\n1;2,5;3\n").unwrap()[1].1, ["1", "2,5", "3"]);
        assert_eq!(split("\"\",", b',').unwrap().iter().map(|cell| cell.is_quoted).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn broken_records_are_reported_with_their_line() {
        assert_eq!(all("a,b\n\"1,2\n3,4\n").unwrap_err().to_string(), "line 2: quotes are not closed");
        assert_eq!(
            format!("{:#}", all("a,b\n\"1\"2,3\n").unwrap_err()),
            "line 2: text follows the closing quote of a cell"
        );
    }

    #[test]
    fn a_header_is_made_of_names() {
        assert!(is_header(b"id,card,place.lat") && is_header(b"id\tcard") && is_header(b"\"id\";\"card\""));
        for line in ["id", "hello, world", "1,2", "{\"a\":1}", "a,,b", "<a,b>"] {
            assert!(!is_header(line.as_bytes()), "{line}");
        }
    }
}
