//! JSON objects over several lines: pretty-printed, one after another, or in an array. They are split at their braces
//! and joined to one line each. The server checks their content.

use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};

use super::source::UNREADABLE;

/// The largest object, in bytes, far above the limit of a stream.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// The objects of a text.
pub(super) struct Values<R> {
    input: R,
    value: Vec<u8>,
    line: u64,
    place: Place,
}

/// The position of the next byte in the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before everything else.
    Start,
    /// Between objects, outside of an array.
    Outside,
    /// In the array; before an item, or after one.
    InArray { is_after_item: bool },
    /// After the array.
    End,
}

impl<R: BufRead> Values<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, value: Vec::new(), line: 1, place: Place::Start }
    }

    /// The next object, on one line, with the line on which it begins; none after the last.
    ///
    /// # Errors
    /// The text is not made of objects, or breaks off.
    pub(super) fn next_value(&mut self) -> Result<Option<(u64, &[u8])>> {
        self.value.clear();
        if !self.find_object()? {
            return Ok(None);
        }
        let begin = self.line;
        self.read_object(begin)?;
        Ok(Some((begin, &self.value)))
    }

    /// Goes on to the next opening brace, which is taken; false: there is none.
    fn find_object(&mut self) -> Result<bool> {
        while let Some(byte) = self.next_byte()? {
            match (byte, self.place) {
                (b'\n', _) => self.line += 1,
                (b' ' | b'\t' | b'\r', _) => {}
                (b'{', Place::Start | Place::Outside) => {
                    self.place = Place::Outside;
                    self.value.push(byte);
                    return Ok(true);
                }
                (b'{', Place::InArray { is_after_item: false }) => {
                    self.place = Place::InArray { is_after_item: true };
                    self.value.push(byte);
                    return Ok(true);
                }
                (b'[', Place::Start) => self.place = Place::InArray { is_after_item: false },
                (b',', Place::InArray { is_after_item: true }) => self.place = Place::InArray { is_after_item: false },
                (b']', Place::InArray { .. }) => self.place = Place::End,
                _ => bail!("line {}: expected a JSON object, got '{}'", self.line, byte.escape_ascii()),
            }
        }
        let is_whole = !matches!(self.place, Place::InArray { .. });
        ensure!(is_whole, "the file breaks off inside its array, after line {}", self.line);
        Ok(false)
    }

    /// Reads on to the brace that closes the object.
    fn read_object(&mut self, begin: u64) -> Result<()> {
        let (mut depth, mut is_text, mut is_escaped) = (1_u64, false, false);
        while depth > 0 {
            let byte = self.next_byte()?;
            let byte =
                byte.with_context(|| format!("the file breaks off inside the object that begins on line {begin}"))?;
            match (is_text, byte) {
                (_, b'\n') => {
                    ensure!(!is_text, "line {}: a text is not closed", self.line);
                    self.line += 1;
                }
                (true, _) if is_escaped => is_escaped = false,
                (true, b'\\') => is_escaped = true,
                (_, b'"') => is_text = !is_text,
                (false, b'{' | b'[') => depth += 1,
                (false, b'}' | b']') => depth -= 1,
                _ => {}
            }
            // Line breaks are space between two parts here; a line of its own must not have any.
            self.value.push(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
            ensure!(self.value.len() <= MAX_VALUE_BYTES, "the object that begins on line {begin} has more than 16 MiB");
        }
        Ok(())
    }

    fn next_byte(&mut self) -> Result<Option<u8>> {
        let byte = self.input.fill_buf().context(UNREADABLE)?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(u64, String)>> {
        let mut values = Values::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some((line, value)) = values.next_value()? {
            found.push((line, String::from_utf8(value.to_vec())?));
        }
        Ok(found)
    }

    #[test]
    fn objects_are_cut_at_their_braces() {
        let one = || (1, "{\"a\":\"}\\\"]{\"}".to_owned());
        for text in ["{\"a\":\"}\\\"]{\"}", "[{\"a\":\"}\\\"]{\"}]", " [ {\"a\":\"}\\\"]{\"} ] "] {
            assert_eq!(all(text).unwrap(), [one()]);
        }
        let pretty = "{\n \"a\": [1,\r\n  {}]\n}\n{}\n\n{\"b\":2}";
        let expected = [(1, "{  \"a\": [1,    {}] }".to_owned()), (5, "{}".to_owned()), (7, "{\"b\":2}".to_owned())];
        assert_eq!(all(pretty).unwrap(), expected);
        assert_eq!(all("[]").unwrap(), []);
        assert_eq!(all("[\n{},\n{}]\n").unwrap(), [(2, "{}".to_owned()), (3, "{}".to_owned())]);
    }

    #[test]
    fn malformed_json_is_reported_with_its_line() {
        for (text, said) in [
            ("[{},\n5]", "line 2: expected a JSON object, got '5'"),
            ("[{} {}]", "line 1: expected a JSON object, got '{'"),
            ("{}\n]", "line 2: expected a JSON object, got ']'"),
            ("[{}", "the file breaks off inside its array, after line 1"),
            ("{}\n{\"a\":\n", "the file breaks off inside the object that begins on line 2"),
            ("{\"a\n\":1}", "line 1: a text is not closed"),
            ("[{}] {}", "line 1: expected a JSON object, got '{'"),
        ] {
            assert_eq!(all(text).unwrap_err().to_string(), said, "{text}");
        }
    }
}
