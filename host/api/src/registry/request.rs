//! Requests: a schema in a body, and parameters.

use assay_engine::registry::Version;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

use super::answer::MEDIA_TYPE;
use super::{RegistryFailure, RegistryRefusal};
use crate::app::App;
use crate::http::{ApiError, Code, read_json};

/// The body of requests about a schema, as the Java client calls it. Other members are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaRequest {
    schema: Option<Value>,
    schema_type: Option<String>,
    references: Option<Vec<Value>>,
    id: Option<i64>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
}

/// The supported parameters. Others are ignored, as in Confluent's registry. Python clients write `False`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    pub(super) subject_prefix: Option<String>,
    pub(super) subject: Option<String>,
    deleted_only: Option<String>,
    fetch_max_id: Option<String>,
    verbose: Option<String>,
    default_to_global: Option<String>,
    offset: Option<String>,
    limit: Option<String>,
}

impl Params {
    pub(super) fn fetch_max_id(&self) -> bool {
        is_true(&self.fetch_max_id)
    }

    pub(super) fn verbose(&self) -> bool {
        is_true(&self.verbose)
    }

    pub(super) fn default_to_global(&self) -> bool {
        is_true(&self.default_to_global)
    }

    /// The requested page of a listing. Nothing is ever deleted. A negative limit means no limit.
    pub(super) fn page<T>(&self, items: Vec<T>) -> Result<Vec<T>, ApiError> {
        let number = |name: &str, text: &Option<String>| {
            let read = text.as_ref().map(|text| {
                let refusal = || ApiError::bad_request(format!("{name}: expected a whole number, got '{text}'"));
                text.parse::<i64>().map_err(|_| refusal())
            });
            read.transpose()
        };
        let (offset, limit) = (number("offset", &self.offset)?, number("limit", &self.limit)?);
        if is_true(&self.deleted_only) {
            return Ok(Vec::new());
        }
        let count = |number: i64| usize::try_from(number).ok();
        let limit = limit.and_then(count).unwrap_or(usize::MAX);
        Ok(items.into_iter().skip(offset.and_then(count).unwrap_or(0)).take(limit).collect())
    }
}

fn is_true(flag: &Option<String>) -> bool {
    flag.as_deref().is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}

/// Reads a body with a schema, and refuses unsupported members.
pub(super) async fn read_schema(app: &App, headers: &HeaderMap, body: Body) -> Result<String, RegistryFailure> {
    check_content_type(headers)?;
    let limit = app.config.max_definition_body;
    let text = app.read_body(headers, body, limit, "a schema is smaller").await?;
    let request: SchemaRequest = read_json(&text, "{\"schema\": \"...\"}")?;
    check_supported(&request)?;
    match request.schema {
        Some(Value::String(schema)) => Ok(schema),
        Some(_) => {
            Err(RegistryRefusal::Schema("'schema' must be a string that holds the schema's JSON".to_owned()).into())
        }
        None => Err(RegistryRefusal::Schema("the body has no 'schema'".to_owned()).into()),
    }
}

/// Checks the content type, which is required: a page in a browser can send a body without one to any server.
fn check_content_type(headers: &HeaderMap) -> Result<(), RegistryFailure> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        MEDIA_TYPE | "application/vnd.schemaregistry+json" | "application/json" => Ok(()),
        _ => {
            let detail = format!("expected the content type {MEDIA_TYPE}, got '{given}'");
            Err(ApiError::new(Code::UnsupportedMediaType, detail).into())
        }
    }
}

fn check_supported(request: &SchemaRequest) -> Result<(), RegistryRefusal> {
    let kind = request.schema_type.as_deref().unwrap_or("AVRO");
    if !kind.is_empty() && kind != "AVRO" {
        return Err(RegistryRefusal::Schema(format!("this registry takes the schema type AVRO, not {kind}")));
    }
    if request.references.as_ref().is_some_and(|references| !references.is_empty()) {
        return Err(RegistryRefusal::Schema(
            "references are not taken: spell the types out inside the schema".to_owned(),
        ));
    }
    let is_present = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
    if is_present(&request.metadata) || is_present(&request.rule_set) {
        return Err(RegistryRefusal::Schema("'metadata' and 'ruleSet' are not kept here".to_owned()));
    }
    match request.id {
        Some(id) if id >= 0 => {
            Err(RegistryRefusal::Import(format!("ids are given by this registry; leave out the id {id}")))
        }
        _ => Ok(()),
    }
}

/// Reads a version in a path: a number from 1, or `latest`, which older clients write as -1.
pub(super) fn read_version(text: &str) -> Result<Version, RegistryRefusal> {
    match text.parse::<i32>() {
        _ if text == "latest" => Ok(Version::Latest),
        Ok(-1) => Ok(Version::Latest),
        Ok(number @ 1..) => Ok(Version::Number(number.unsigned_abs())),
        _ => Err(RegistryRefusal::Version(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_clients_write_them() {
        assert_eq!(read_version("3").ok(), Some(Version::Number(3)));
        assert_eq!(read_version("latest").ok(), Some(Version::Latest));
        assert_eq!(read_version("-1").ok(), Some(Version::Latest));
        for bad in ["0", "-2", "LATEST", "2147483648", ""] {
            assert!(read_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_is_cut_out() {
        let page = |offset: Option<&str>, limit: Option<&str>| {
            let (offset, limit) = (offset.map(str::to_owned), limit.map(str::to_owned));
            let params = Params { offset, limit, ..Params::default() };
            params.page(vec![1, 2, 3, 4]).map_err(|error| error.detail)
        };
        assert_eq!(page(None, None), Ok(vec![1, 2, 3, 4]));
        assert_eq!(page(Some("1"), Some("2")), Ok(vec![2, 3]));
        assert_eq!(page(Some("0"), Some("-1")), Ok(vec![1, 2, 3, 4]));
        assert_eq!(page(Some("9"), None), Ok(Vec::new()));
        assert_eq!(page(None, Some("many")), Err("limit: expected a whole number, got 'many'".to_owned()));
    }
}
