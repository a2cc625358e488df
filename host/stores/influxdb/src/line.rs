//! Points as lines of InfluxDB's line protocol
//! (<https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>). Pure.
//!
//! The client has points of its own, but a backslash at the end of a text or a newline in a tag makes other lines of
//! them, and a point that the server refuses could not be found: lines must be known one by one.

use std::fmt::Write;
use std::ops::Range;

use assay_engine::ports::series::{FieldValue, Point};

/// The longest text of a field, in bytes: InfluxDB's limit. What is longer is cut.
const MAX_TEXT_BYTES: usize = 65_536;
/// The longest name or tag, in bytes. InfluxDB takes 65,535 for all of a point together.
const MAX_NAME_BYTES: usize = 4_096;

/// Lines, one behind the other, each with the point that it is of.
#[derive(Default)]
pub(super) struct Lines {
    text: String,
    /// Where each line ends, and the index of its point.
    ends: Vec<(usize, usize)>,
}

impl Lines {
    /// The lines of points. Points of which nothing is left have none.
    pub(super) fn of(points: &[Point]) -> Self {
        let mut lines =
            Self { text: String::with_capacity(128 * points.len()), ends: Vec::with_capacity(points.len()) };
        for (index, point) in points.iter().enumerate() {
            if push_line(&mut lines.text, point) {
                lines.ends.push((lines.text.len(), index));
            }
        }
        lines
    }

    /// Some lines, each with its newline.
    pub(super) fn text(&self, range: &Range<usize>) -> &[u8] {
        &self.text.as_bytes()[self.start(range.start)..self.start(range.end)]
    }

    /// The index of a line's point.
    pub(super) fn point(&self, line: usize) -> usize {
        self.ends[line].1
    }

    /// All lines, cut into batches of so many lines and bytes at most; a longer line is one of its own.
    pub(super) fn batches(&self, lines: usize, bytes: usize) -> Vec<Range<usize>> {
        let mut batches = Vec::new();
        let mut first = 0;
        for next in 0..self.ends.len() {
            let full = next - first == lines || self.ends[next].0 - self.start(first) > bytes;
            if full && next > first {
                batches.push(first..next);
                first = next;
            }
        }
        if first < self.ends.len() {
            batches.push(first..self.ends.len());
        }
        batches
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).map_or(0, |before| self.ends[before].0)
    }
}

/// Appends a point's line, or nothing if no field of it can be written.
fn push_line(text: &mut String, point: &Point) -> bool {
    let start = text.len();
    push_measurement(text, &point.measurement);
    let mut tags: Vec<&(String, String)> = point.tags.iter().filter(|(_, value)| !value.is_empty()).collect();
    // Sorted tags cost the server less; a second value of the same tag would be refused.
    tags.sort_by(|a, b| a.0.cmp(&b.0));
    tags.dedup_by(|a, b| a.0 == b.0);
    for (key, value) in tags {
        text.push(',');
        push_name(text, key, &RESERVED_TAGS);
        text.push('=');
        push_name(text, value, &[]);
    }
    let mut separator = ' ';
    for (key, value) in &point.fields {
        if matches!(value, FieldValue::Float(float) if !float.is_finite()) {
            continue;
        }
        text.push(separator);
        separator = ',';
        push_name(text, key, &["time"]);
        text.push('=');
        push_value(text, value);
    }
    if separator == ' ' {
        text.truncate(start);
        return false;
    }
    // Writing to a String does not fail.
    let _ = writeln!(text, " {}", point.time_ns);
    true
}

/// Tag keys that mean something else to InfluxDB. They get a `_` at the end, as does a field named `time`.
const RESERVED_TAGS: [&str; 7] = ["time", "_time", "_field", "_measurement", "_value", "_start", "_stop"];

fn push_measurement(text: &mut String, name: &str) {
    // A line that begins with # is a comment.
    let name = match name.strip_prefix('#') {
        Some(rest) => &format!("_{rest}"),
        None => name,
    };
    push_escaped(text, name, &[',', ' ']);
}

fn push_name(text: &mut String, name: &str, reserved: &[&str]) {
    push_escaped(text, name, &[',', '=', ' ']);
    if reserved.contains(&name) {
        text.push('_');
    }
}

/// Names and tags: delimiters get a backslash. There is no escape for control characters, which become spaces, nor for
/// a backslash at the end, which would escape the delimiter behind it and is left out.
fn push_escaped(text: &mut String, name: &str, delimiters: &[char]) {
    for char in cut(name, MAX_NAME_BYTES).trim_end_matches('\\').chars() {
        let char = if char.is_control() { ' ' } else { char };
        if delimiters.contains(&char) {
            text.push('\\');
        }
        text.push(char);
    }
}

fn push_value(text: &mut String, value: &FieldValue) {
    // Writing to a String does not fail.
    let _ = match value {
        FieldValue::Float(value) => write!(text, "{value:?}"),
        FieldValue::Int(value) => write!(text, "{value}i"),
        FieldValue::Bool(value) => write!(text, "{value}"),
        FieldValue::Text(value) => {
            text.push('"');
            for char in cut(value, MAX_TEXT_BYTES).chars() {
                if matches!(char, '"' | '\\') {
                    text.push('\\');
                }
                text.push(char);
            }
            text.push('"');
            Ok(())
        }
    };
}

/// The beginning of a text, at most so many bytes, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use assay_core::names::Offset;

    use super::*;

    fn point(fields: Vec<(&str, FieldValue)>) -> Point {
        Point {
            measurement: "m 1,#".to_owned(),
            tags: [("b c", "x=1,2"), ("a", "\\é\\"), ("none", ""), ("time", "t"), ("a", "second")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            offset: Offset(0),
            time_ns: -5,
        }
    }

    fn line(point: &Point) -> String {
        let mut text = String::new();
        push_line(&mut text, point);
        text
    }

    #[test]
    fn delimiters_are_escaped_and_what_has_no_form_is_left_out() {
        let all = vec![
            ("f=", FieldValue::Float(0.1)),
            ("time", FieldValue::Int(i64::MIN)),
            ("ok", FieldValue::Bool(true)),
            ("nan", FieldValue::Float(f64::NAN)),
            ("text", FieldValue::Text("a\"b\\c\nd".to_owned())),
        ];
        assert_eq!(
            line(&point(all)),
            "m\\ 1\\,#,a=\\é,b\\ c=x\\=1\\,2,time_=t f\\==0.1,time_=-9223372036854775808i,ok=true,\
             text=\"a\\\"b\\\\c\nd\" -5\n"
        );
        let comment = Point { measurement: "#m".to_owned(), ..point(vec![("f", FieldValue::Float(1e300))]) };
        assert!(line(&comment).starts_with("_m,") && line(&comment).ends_with(" f=1e300 -5\n"));
    }

    #[test]
    fn a_point_without_a_writable_field_has_no_line() {
        let points = [
            point(vec![("f", FieldValue::Float(f64::INFINITY))]),
            point(vec![]),
            point(vec![("f", FieldValue::Int(1))]),
        ];
        let lines = Lines::of(&points);
        assert_eq!((lines.ends.len(), lines.point(0)), (1, 2));
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        let long = line(&point(vec![("f", FieldValue::Text("é".repeat(40_000)))]));
        assert_eq!(long.matches('é').count() - 1, MAX_TEXT_BYTES / 2);
    }

    #[test]
    fn batches_have_at_most_so_many_lines_and_bytes() {
        let points = vec![point(vec![("f", FieldValue::Int(1))]); 10];
        let lines = Lines::of(&points);
        let length = lines.text(&(0..1)).len();
        assert_eq!(lines.batches(4, usize::MAX), [0..4, 4..8, 8..10]);
        assert_eq!(lines.batches(100, 3 * length + 1), [0..3, 3..6, 6..9, 9..10]);
        assert_eq!(lines.batches(100, 1).len(), 10);
        assert_eq!(lines.text(&(2..4)).len(), 2 * length);
    }
}
