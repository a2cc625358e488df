//! Checks query parameters against the OpenAPI document before a handler reads them. Unknown, missing, duplicate and
//! malformed parameters are refused with the expected form.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query as FrameworkQuery, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::ApiError;

/// The query parameters of operations in the document.
pub(crate) struct Parameters(BTreeMap<(Method, String), Vec<Parameter>>);

/// One query parameter of an operation.
#[derive(Debug)]
struct Parameter {
    name: String,
    is_required: bool,
    kind: Kind,
}

/// The kind of a parameter's values.
#[derive(Debug, PartialEq)]
enum Kind {
    Integer {
        min: i128,
        max: i128,
    },
    Number,
    Boolean,
    OneOf(Vec<String>),
    /// A text, or a value that is written as text.
    Text,
}

impl Parameters {
    pub(crate) fn of(document: &OpenApi) -> Arc<Self> {
        let mut all = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    all.insert((method, path.clone()), query_parameters(operation));
                }
            }
        }
        Arc::new(Self(all))
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let Some(known) = self.0.get(&(method.clone(), path.as_str().to_owned())) else { return Ok(()) };
        check_parameters(known, &read_query(request.uri())?).map_err(ApiError::bad_request)
    }
}

fn query_parameters(operation: &Operation) -> Vec<Parameter> {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
            // Schemas are plain data, which always has a JSON form.
            let schema = serde_json::to_value(&parameter.schema).unwrap_or_default();
            let is_required = parameter.required == Required::True;
            Some(Parameter { name: parameter.name.clone(), is_required, kind: Kind::of(&schema) })
        }
        _ => None,
    });
    parameters.collect()
}

/// The names and values of a query string.
fn read_query(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let unreadable = || ApiError::bad_request("the query string is not percent-encoded UTF-8");
    if !is_encoded_utf8(uri.query().unwrap_or_default()) {
        return Err(unreadable());
    }
    FrameworkQuery::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0).map_err(|_| unreadable())
}

/// True if a text is UTF-8 after percent-decoding. The framework would insert replacement characters instead.
fn is_encoded_utf8(text: &str) -> bool {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn check_parameters(known: &[Parameter], given: &[(String, String)]) -> Result<(), String> {
    for (at, (name, value)) in given.iter().enumerate() {
        let Some(parameter) = known.iter().find(|parameter| parameter.name == *name) else {
            return Err(unknown_parameter(name, known));
        };
        if given[..at].iter().any(|(before, _)| before == name) {
            return Err(format!("{name}: the parameter is there twice"));
        }
        if let Err(expected) = parameter.kind.check(value) {
            return Err(format!("{name}: expected {expected}, got '{value}'"));
        }
    }
    let is_missing =
        |parameter: &&Parameter| parameter.is_required && !given.iter().any(|(name, _)| *name == parameter.name);
    match known.iter().find(is_missing) {
        Some(missing) => Err(format!("the parameter '{}' is missing", missing.name)),
        None => Ok(()),
    }
}

impl Kind {
    /// The kind of a parameter by its JSON Schema.
    fn of(schema: &Value) -> Self {
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return Self::OneOf(values.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
        match kinds.into_iter().find(|kind| *kind != "null") {
            Some("integer") => {
                let min = bound("minimum").unwrap_or(i128::from(i64::MIN));
                let is_32_bits = schema.get("format").is_some_and(|format| format == "int32");
                let max = if is_32_bits { i128::from(u32::MAX) } else { i128::from(u64::MAX) };
                Self::Integer { min, max: bound("maximum").unwrap_or(max) }
            }
            Some("number") => Self::Number,
            Some("boolean") => Self::Boolean,
            _ => Self::Text,
        }
    }

    /// Checks a value. The error is the expected form.
    fn check(&self, value: &str) -> Result<(), String> {
        match self {
            Self::Integer { min, max } => match value.parse::<i128>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(()),
                _ if *max >= i128::from(u32::MAX) => Err(format!("a whole number from {min} on")),
                _ => Err(format!("{min} to {max}")),
            },
            Self::Number if value.parse::<f64>().is_ok_and(f64::is_finite) => Ok(()),
            Self::Number => Err("a number".to_owned()),
            Self::Boolean if value == "true" || value == "false" => Ok(()),
            Self::Boolean => Err("true or false".to_owned()),
            Self::OneOf(values) if values.iter().any(|known| known == value) => Ok(()),
            Self::OneOf(values) => Err(values.join(" or ")),
            Self::Text => Ok(()),
        }
    }
}

fn unknown_parameter(unknown: &str, known: &[Parameter]) -> String {
    if known.is_empty() {
        return format!("there is no parameter '{unknown}': this route has none");
    }
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
    let nearest = nearest(unknown, names.iter().copied());
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    format!("there is no parameter '{unknown}'{hint} (parameters here: {})", names.join(", "))
}

/// Refuses requests whose parameters do not match the document.
pub(crate) async fn check_query(State(known): State<Arc<Parameters>>, request: Request, next: Next) -> Response {
    match known.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// The longest name that is compared with others, because the time of a comparison grows with the length.
const MAX_COMPARED_CHARS: usize = 100;

/// The known name nearest to an unknown one, if at most a third of its letters differ.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = unknown.chars().take(MAX_COMPARED_CHARS + 1).count();
    if length > MAX_COMPARED_CHARS {
        return None;
    }
    let allowed = (length / 3).max(1);
    let distances = known.map(|known| (strsim::osa_distance(unknown, known), known));
    distances.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= allowed).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Vec<Parameter> {
        let parameter =
            |name: &str, is_required, schema| Parameter { name: name.to_owned(), is_required, kind: Kind::of(&schema) };
        vec![
            parameter("rule", true, json!({"type": "string"})),
            parameter("limit", false, json!({"type": "integer", "minimum": 1, "maximum": 1000})),
            parameter("min", false, json!({"type": ["number", "null"]})),
            parameter("dry_run", false, json!({"type": "boolean"})),
            parameter("wait", false, json!({"type": "string", "enum": ["verdicts"]})),
            parameter("revision", false, json!({"type": "integer", "format": "int32", "minimum": 0})),
        ]
    }

    fn refusal(given: &[(&str, &str)]) -> Option<String> {
        let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check_parameters(&known(), &given).err()
    }

    #[test]
    fn each_kind_of_mistake_names_the_expected_form() {
        let rule = ("rule", "big");
        for (given, words) in [
            (("limt", "5"), "there is no parameter 'limt'; did you mean 'limit'? (parameters here: rule, limit"),
            (("colour", "red"), "there is no parameter 'colour' (parameters here"),
            (("limit", "many"), "limit: expected 1 to 1000, got 'many'"),
            (("limit", "1001"), "limit: expected 1 to 1000, got '1001'"),
            (("limit", ""), "limit: expected 1 to 1000, got ''"),
            (("min", "NaN"), "min: expected a number, got 'NaN'"),
            (("dry_run", "yes"), "dry_run: expected true or false, got 'yes'"),
            (("wait", "forever"), "wait: expected verdicts, got 'forever'"),
            (("revision", "-1"), "revision: expected a whole number from 0 on, got '-1'"),
            (("revision", "4294967296"), "revision: expected a whole number from 0 on"),
            (("rule", "again"), "rule: the parameter is there twice"),
        ] {
            let told = refusal(&[rule, given]).unwrap();
            assert!(told.starts_with(words), "{told}");
        }
        assert_eq!(refusal(&[("limit", "5")]).unwrap(), "the parameter 'rule' is missing");
        assert_eq!(refusal(&[rule, ("limit", "5"), ("min", "-0.5"), ("dry_run", "true"), ("wait", "verdicts")]), None);
        assert_eq!(unknown_parameter("x", &[]), "there is no parameter 'x': this route has none");
    }

    #[test]
    fn percent_codes_must_be_utf8() {
        for (text, is_utf8) in
            [("key=%c3%a9", true), ("key=é", true), ("key=%ff", false), ("key=%", true), ("k=%c3", false)]
        {
            assert_eq!(is_encoded_utf8(text), is_utf8, "{text}");
        }
    }
}
