//! `POST /v1/changes`: many definitions at once, all or none. `assay apply` uses it.

use std::sync::Arc;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{Applied, ChangeError};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{DefinitionJson, EffectJson, effects_json};
use super::body::read_value;
use super::store::DryRun;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, read_body};

/// The most definitions in one set of changes.
const MAX_CHANGES: usize = 1000;

/// A set of changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesBody {
    /// At most 1000, each definition once.
    changes: Vec<ChangeBody>,
}

/// One definition of a set of changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// `stream`, `view` or `rule`.
    #[schema(value_type = String, example = "rule")]
    kind: Kind,
    /// Its name.
    #[schema(example = "card-velocity")]
    name: String,
    /// The new definition; null: delete it.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
}

/// What a set of changes has done, or with `dry_run` would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesAnswer {
    /// The catalog's version that is in effect now.
    version: u64,
    /// The new revisions. One with the number 1 is new, one without a definition was deleted.
    changed: Vec<DefinitionJson>,
    /// How many definitions were the same before, and have no new revision.
    unchanged: usize,
    /// True: only checked.
    dry_run: bool,
    /// What else the changes do, or would do.
    effects: Vec<EffectJson>,
}

impl ChangesAnswer {
    fn of(applied: Applied, dry_run: bool) -> Self {
        let changed = applied.revisions.into_iter().map(DefinitionJson::from).collect();
        let effects = effects_json(applied.effects);
        Self { version: applied.version, changed, unchanged: applied.unchanged, dry_run, effects }
    }
}

/// Change many definitions at once: all or none.
///
/// They are checked together, so a new rule may use a new view. They take effect together, between two batches.
#[utoipa::path(
    post,
    path = "/v1/changes",
    tag = "changes",
    params(DryRun),
    request_body(content = ChangesBody, example = json!({"changes": [{"kind": "rule", "name": "big", "definition": {"rule": "big", "stream": "payments", "score": "amount / 1000.0"}}, {"kind": "rule", "name": "old", "definition": null}]})),
    responses((status = 200, description = "In effect on all workers, or only checked", body = ChangesAnswer))
)]
pub(crate) async fn post_changes(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ChangesAnswer>, ApiError> {
    let limit = app.config.max_definition_body;
    let text = read_body(&headers, body, limit, app.config.body_timeout, "send several smaller sets").await?;
    let changes = read_changes(&text)?;
    let applied = app.blocking(move |engine| Ok(engine.change(changes, &caller.name, None, query.dry_run)?)).await?;
    Ok(Json(ChangesAnswer::of(applied, query.dry_run)))
}

/// Reads a set of changes; all that is wrong with it is told at once.
fn read_changes(text: &[u8]) -> Result<Vec<Change>, ApiError> {
    let body: ChangesBody = serde_json::from_slice(text)
        .map_err(|error| ApiError::bad_request(format!("expected {{\"changes\": [...]}}: {error}")))?;
    if body.changes.len() > MAX_CHANGES {
        let detail = format!("at most {MAX_CHANGES} changes are taken at once, got {}", body.changes.len());
        return Err(ApiError::bad_request(detail));
    }
    let mut changes: Vec<Change> = Vec::with_capacity(body.changes.len());
    let mut problems = Vec::new();
    for ChangeBody { kind, name, definition } in body.changes {
        if changes.iter().any(|earlier| earlier.kind == kind && earlier.name == name) {
            return Err(ApiError::bad_request(format!("the {kind} '{name}' is changed twice")));
        }
        let read = match definition {
            Some(definition) => read_value(kind, &name, definition).map(Some),
            None if matches!(kind, Kind::Plugin | Kind::Key | Kind::Schema) => {
                read_value(kind, &name, Value::Null).map(Some)
            }
            None => Ok(None),
        };
        match read {
            Ok(body) => changes.push(Change { kind, name, body }),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(ChangeError::Invalid(problems).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Code;

    #[test]
    fn all_problems_are_told_at_once() {
        let text = br#"{"changes": [
            {"kind": "rule", "name": "a", "definition": {"rule": "a", "stream": "s", "scoer": "1.0"}},
            {"kind": "view", "name": "b", "definition": {"view": "c", "stream": "s", "by": ["k"], "measures": {"n": "count()"}}},
            {"kind": "key", "name": "admin", "definition": null}
        ]}"#;
        let error = read_changes(text).unwrap_err();
        assert_eq!(error.code, Code::InvalidDefinition);
        assert_eq!(error.extensions["problems"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn a_definition_is_changed_once() {
        let change = r#"{"kind": "rule", "name": "a", "definition": null}"#;
        let error = read_changes(format!(r#"{{"changes": [{change}, {change}]}}"#).as_bytes()).unwrap_err();
        assert_eq!(error.detail, "the rule 'a' is changed twice");
        let changes = read_changes(format!(r#"{{"changes": [{change}]}}"#).as_bytes()).unwrap();
        assert_eq!(changes, [Change { kind: Kind::Rule, name: "a".into(), body: None }]);
    }
}
