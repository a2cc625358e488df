//! Bodies of several parts (RFC 7578).

/// A part: name, content type, content.
pub(super) type Part = (&'static str, &'static str, Vec<u8>);

/// Encodes a form (RFC 7578). Returns its content type and its bytes.
pub(super) fn encode_form(parts: &[Part]) -> (String, Vec<u8>) {
    let contains = |boundary: &str| {
        let boundary = boundary.as_bytes();
        parts.iter().any(|(_, _, bytes)| bytes.windows(boundary.len()).any(|window| window == boundary))
    };
    // The boundary must not occur in any part. Usually the first one does not.
    let mut number = 0;
    let mut boundary = format!("assay-part-{number:016}");
    while contains(&boundary) {
        number += 1;
        boundary = format!("assay-part-{number:016}");
    }
    let mut body = Vec::new();
    for (name, content_type, bytes) in parts {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {content_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_a_boundary_that_is_in_none_of_its_parts() {
        let parts = [("plugin", "application/wasm", b"assay-part-0000000000000000".to_vec())];
        let (content_type, body) = encode_form(&parts);
        assert_eq!(content_type, "multipart/form-data; boundary=assay-part-0000000000000001");
        let expected = "--assay-part-0000000000000001\r\nContent-Disposition: form-data; name=\"plugin\"\r\nContent-Type: \
                        application/wasm\r\n\r\nassay-part-0000000000000000\r\n--assay-part-0000000000000001--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
