//! Reads JSON bodies other than definitions, with errors in plain words.

use assay_core::plain_words::in_plain_words;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::error::ApiResult;

/// Reads a body of a known shape, such as `{"name": "...", "roles": ["ingest"]}`.
pub(crate) fn read_json<T: DeserializeOwned>(text: &[u8], shape: &str) -> ApiResult<T> {
    serde_json::from_slice(text).map_err(|error| {
        let why = match std::str::from_utf8(text) {
            Ok("") => "the body is empty".to_owned(),
            Ok(_) => in_plain_words(&error.to_string()),
            Err(error) => format!("the body is not UTF-8: the byte at {} begins no character", error.valid_up_to()),
        };
        ApiError::bad_request(format!("expected {shape}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "it is only read")]
    struct Wanted {
        name: String,
        count: u32,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Big,
        Small,
    }

    #[test]
    fn every_refusal_is_in_plain_words() {
        for (text, why) in [
            ("", "the body is empty"),
            ("{", "the text ends within an object at line 1 column 1"),
            ("{} {}", "'name' is missing at line 1 column 2"),
            ("\"a\"", "expected a map, found the text \"a\""),
            ("12", "expected a map, found the number 12"),
            ("{\"name\": 3}", "expected a text, found the number 3 at line 1 column 10"),
            ("{\"count\": \"many\"}", "expected a whole number from 0 to 4294967295, found the text \"many\""),
            ("{\"colour\": 1}", "unknown field 'colour', expected one of 'name', 'count', 'kind'"),
            ("{\"kind\": \"huge\"}", "unknown value 'huge', expected 'big' or 'small'"),
            ("{\"name\": \"a\", \"name\": \"b\"}", "the name 'name' is there twice"),
            ("{\"name\": \"a\", \"count\": 1, \"kind\": \"big\"} x", "the JSON has ended, but something follows it"),
            ("{name: 1}", "the names of an object stand in double quotes"),
            ("nonsense", "expected a value"),
        ] {
            let error = read_json::<Wanted>(text.as_bytes(), "{...}").unwrap_err();
            assert!(error.detail.contains(why), "{text}: {}", error.detail);
            for word in ["struct", "EOF", "trailing", "invalid", "variant", "sequence"] {
                assert!(!error.detail.contains(word) || why.contains(word), "{text}: {}", error.detail);
            }
        }
        let error = read_json::<Wanted>(b"\"\xff\"", "{...}").unwrap_err();
        assert!(error.detail.contains("not UTF-8"), "{}", error.detail);
    }
}
