//! Bodies of several parts: `multipart/form-data` (RFC 7578), read from memory. Encodings of single parts are not
//! supported; no common client uses them.

use axum::body::Bytes;

use super::error::{ApiError, ApiResult};

/// The number of parts a body may have.
const MAX_PARTS: usize = 64;

/// One part of a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    /// The name in its head.
    pub(crate) name: String,
    /// Its content.
    pub(crate) bytes: Bytes,
}

/// The boundary in a content type; none if it is not a form.
pub(crate) fn form_boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, boundary) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// Splits a body into its parts.
///
/// # Errors
/// The body is not a form, is truncated, or has too many parts.
pub(crate) fn read_parts(body: &Bytes, boundary: &str) -> ApiResult<Vec<Part>> {
    let bad = |what: &str| ApiError::bad_request(format!("the form cannot be read: {what}"));
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line break before it when nothing comes before it.
    let first = delimiter.trim_start();
    let mut at = match body.starts_with(first.as_bytes()) {
        true => first.len(),
        false => find(body, 0, delimiter.as_bytes()).ok_or_else(|| bad("its boundary is not there"))? + delimiter.len(),
    };
    let mut parts = Vec::new();
    loop {
        if body[at..].starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() == MAX_PARTS {
            return Err(bad(&format!("it has more than {MAX_PARTS} parts")));
        }
        let end = find(body, at, delimiter.as_bytes()).ok_or_else(|| bad("it breaks off inside a part"))?;
        let head_end = find(&body.slice(..end), at, b"\r\n\r\n").ok_or_else(|| bad("a part has no head"))?;
        let head = String::from_utf8_lossy(&body[at..head_end]);
        let name = part_name(&head).ok_or_else(|| bad("a part has no name"))?;
        parts.push(Part { name: name.to_owned(), bytes: body.slice(head_end + 4..end) });
        at = end + delimiter.len();
    }
}

fn find(body: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    body.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

/// The name in `Content-Disposition: form-data; name="..."`.
fn part_name(head: &str) -> Option<&str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, disposition) =
        lines.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let parameters = disposition.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, name) = parameters.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("name"))?;
    Some(name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"changes\"\r\nContent-Type: application/json\r\n\r\n{}\r\n--x\r\ncontent-disposition: form-data; name=plugin; filename=\"a.wasm\"\r\n\r\n\0asm\r\n--\r\n--x--\r\n";

    #[test]
    fn a_form_is_cut_into_its_parts() {
        let parts = read_parts(&Bytes::from_static(FORM), "x").unwrap();
        let expected = [
            Part { name: "changes".into(), bytes: Bytes::from_static(b"{}") },
            Part { name: "plugin".into(), bytes: Bytes::from_static(b"\0asm\r\n--") },
        ];
        assert_eq!(parts, expected);
        for length in 0..FORM.len() - 4 {
            assert!(read_parts(&Bytes::from_static(&FORM[..length]), "x").is_err(), "{length} bytes");
        }
        assert!(read_parts(&Bytes::from_static(FORM), "y").is_err());
    }

    #[test]
    fn the_boundary_stands_in_the_content_type() {
        assert_eq!(form_boundary("multipart/form-data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        assert_eq!(form_boundary("multipart/form-data; boundary="), None);
        assert_eq!(form_boundary("application/json"), None);
        assert_eq!(form_boundary("multipart/mixed; boundary=a"), None);
    }
}
