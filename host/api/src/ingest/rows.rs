//! Splits a body into its events without parsing them. Each event is parsed alone, so a malformed one does not affect
//! the others, and no JSON tree of a whole body is built.

/// One event's text, and its number in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// The element of the array, or the line of NDJSON, from 1.
    pub(crate) number: usize,
    /// Its JSON.
    pub(crate) text: &'a [u8],
}

/// The error about a body that is neither an object nor an array of values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (byte {at} of the body); nothing was stored")]
pub(crate) struct MalformedBody {
    what: &'static str,
    at: usize,
}

/// Splits lines, and skips empty ones.
pub(crate) fn split_lines(body: &[u8]) -> Vec<Row<'_>> {
    let lines = without_bom(body).split(|byte| *byte == b'\n').enumerate();
    let rows = lines.map(|(i, line)| Row { number: i + 1, text: line.trim_ascii() });
    rows.filter(|row| !row.text.is_empty()).collect()
}

/// Splits a JSON array into its elements. A single object is one row. Only brackets, strings and commas are parsed.
pub(crate) fn split_json(body: &[u8]) -> Result<Vec<Row<'_>>, MalformedBody> {
    let body = without_bom(body);
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    match body.get(start) {
        Some(b'{') => Ok(vec![Row { number: 1, text: body.trim_ascii() }]),
        Some(b'[') => split_array(body, start + 1),
        Some(_) => Err(MalformedBody { what: "expected a JSON object or an array of them", at: start }),
        None => Err(MalformedBody { what: "the body is empty: expected a JSON object or an array of them", at: start }),
    }
}

fn split_array(body: &[u8], mut at: usize) -> Result<Vec<Row<'_>>, MalformedBody> {
    let mut rows = Vec::new();
    loop {
        let end = find_element_end(body, at).ok_or(MalformedBody { what: "the array does not end", at: body.len() })?;
        let text = body[at..end].trim_ascii();
        let is_last = body[end] == b']';
        // `[]` has no element, but `[1,]` has an empty one, which is refused like any other malformed event.
        if !(is_last && rows.is_empty() && text.is_empty()) {
            rows.push(Row { number: rows.len() + 1, text });
        }
        at = end + 1;
        if is_last {
            break;
        }
    }
    match body[at..].iter().position(|byte| !byte.is_ascii_whitespace()) {
        Some(more) => Err(MalformedBody { what: "something follows the end of the array", at: at + more }),
        None => Ok(rows),
    }
}

/// The end of the element that begins at `at`: a comma or a closing bracket outside of strings and brackets.
fn find_element_end(body: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match *body.get(at)? {
            b'"' => at = find_string_end(body, at)?,
            b'{' | b'[' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
}

/// The closing quote of the string that begins at `at`.
pub(super) fn find_string_end(body: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match *body.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn texts(body: &str) -> Result<Vec<String>, String> {
        let rows = split_json(body.as_bytes()).map_err(|error| error.to_string())?;
        assert!(rows.iter().enumerate().all(|(i, row)| row.number == i + 1));
        Ok(rows.iter().map(|row| String::from_utf8_lossy(row.text).into_owned()).collect())
    }

    #[test]
    fn bodies_are_split() {
        assert_eq!(texts(" {\"a\":[1,2]} \n").unwrap(), ["{\"a\":[1,2]}"]);
        assert_eq!(texts("[]").unwrap(), [""; 0]);
        assert_eq!(texts("\u{feff}[ ]").unwrap(), [""; 0]);
        assert_eq!(texts(r#"[{"a":"],\"}"} , {"b":[{}]}]"#).unwrap(), [r#"{"a":"],\"}"}"#, r#"{"b":[{}]}"#]);
    }

    #[test]
    fn a_malformed_element_costs_only_itself() {
        assert_eq!(texts(r#"[{"a":1}, nonsense, {"b":2}]"#).unwrap(), [r#"{"a":1}"#, "nonsense", r#"{"b":2}"#]);
        assert_eq!(texts("[1,,2]").unwrap(), ["1", "", "2"]);
        assert_eq!(texts("[1,]").unwrap(), ["1", ""]);
    }

    #[test]
    fn bodies_other_than_arrays_are_refused_with_their_place() {
        for (body, message) in [
            ("", "the body is empty: expected a JSON object or an array of them (byte 0 of the body)"),
            ("  12", "expected a JSON object or an array of them (byte 2 of the body)"),
            ("[{}", "the array does not end (byte 3 of the body)"),
            ("[\"a]", "the array does not end (byte 4 of the body)"),
            ("[\"a\\", "the array does not end (byte 4 of the body)"),
            ("[1] 2", "something follows the end of the array (byte 4 of the body)"),
        ] {
            assert_eq!(texts(body).unwrap_err(), format!("{message}; nothing was stored"), "{body}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let rows = split_lines(b"{\"a\":1}\r\n\n  \n{\"a\":2}");
        assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(rows[0].text, b"{\"a\":1}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\\\[\\]{},: é\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a\"\\\\\\]},]{0,4}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_are_those_of_a_json_parser(elements in prop::collection::vec(value(), 0..8), pretty: bool) {
            let whole = Value::from(elements.clone());
            let body = if pretty { serde_json::to_vec_pretty(&whole) } else { serde_json::to_vec(&whole) }.unwrap();
            let split: Vec<Value> =
                split_json(&body).unwrap().iter().map(|row| serde_json::from_slice(row.text).unwrap()).collect();
            prop_assert_eq!(split, elements);
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(prop_oneof![
            Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()
        ], 0..40)) {
            let _ = split_json(&body);
            let _ = split_lines(&body);
        }
    }
}
