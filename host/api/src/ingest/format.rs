//! The format of a body of events, by its content type and its content.

use super::rows::find_string_end;
use crate::http::{ApiError, BodyFormat};

/// The first bytes of an Avro object container file.
const AVRO_MAGIC: &[u8] = b"Obj\x01";

/// The format of a body. JSON with one object per line is read as lines, because clients often send it with the content
/// type of JSON.
///
/// # Errors
/// Several JSON values follow each other within a line.
pub(super) fn detect_format(announced: BodyFormat, body: &[u8]) -> Result<BodyFormat, ApiError> {
    match announced {
        BodyFormat::Octets if body.starts_with(AVRO_MAGIC) => Ok(BodyFormat::Avro),
        BodyFormat::Octets | BodyFormat::Json => match find_first_object_end(body) {
            Some(end) => format_by_rest(body, end),
            None => Ok(BodyFormat::Json),
        },
        other => Ok(other),
    }
}

/// The format of a body that begins with an object, by the bytes after the object.
fn format_by_rest(body: &[u8], end: usize) -> Result<BodyFormat, ApiError> {
    let rest = &body[end..];
    let Some(next) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else { return Ok(BodyFormat::Json) };
    let is_on_one_line = !body[..end].trim_ascii_start().contains(&b'\n');
    if is_on_one_line && rest[..next].contains(&b'\n') {
        return Ok(BodyFormat::JsonLines);
    }
    Err(ApiError::bad_request(format!(
        "something follows the JSON object (byte {} of the body); expected one object, an array of objects, or one object \
         a line as application/x-ndjson; nothing was stored",
        end + next
    )))
}

/// The end of the object at the beginning of a body; none if there is no complete object.
fn find_first_object_end(body: &[u8]) -> Option<usize> {
    let body_start = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let start = body_start + body[body_start..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    if body[start] != b'{' {
        return None;
    }
    let (mut depth, mut at) = (0_usize, start);
    loop {
        match *body.get(at)? {
            b'"' => at = find_string_end(body, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(body: &str) -> Result<BodyFormat, String> {
        detect_format(BodyFormat::Json, body.as_bytes()).map_err(|error| error.detail)
    }

    #[test]
    fn lines_are_distinguished_from_json() {
        for body in ["{}", " {\"a\": 1}\n", "[{}]", "{\n\"a\": [1,\n2]\n}\n\n", "", "nonsense", "{\"a\": \"}\\\"{\""] {
            assert_eq!(format(body), Ok(BodyFormat::Json), "{body}");
        }
        for body in ["{\"a\":1}\n{\"a\":2}", "\u{feff}{}\r\n\r\n{}\n", "\n{\"a\":\"\\n\"}\nnonsense"] {
            assert_eq!(format(body), Ok(BodyFormat::JsonLines), "{body}");
        }
        let told = format("{} {}").unwrap_err();
        assert!(told.contains("byte 3 of the body") && told.contains("application/x-ndjson"), "{told}");
        assert!(format("{\n}\n{\n}").is_err(), "objects over several lines are no lines");
    }

    #[test]
    fn octets_are_recognised_by_their_content() {
        let format = |body: &[u8]| detect_format(BodyFormat::Octets, body).ok();
        assert_eq!(format(b"Obj\x01rest"), Some(BodyFormat::Avro));
        assert_eq!(format(b"{}\n{}"), Some(BodyFormat::JsonLines));
        assert_eq!(format(b"[{}]"), Some(BodyFormat::Json));
        assert_eq!(detect_format(BodyFormat::Avro, b"{}").ok(), Some(BodyFormat::Avro));
    }
}
