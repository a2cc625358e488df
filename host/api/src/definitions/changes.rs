//! `POST /v1/changes`: many definitions and plugins at once, all or none. `assay apply` uses it.

use std::sync::Arc;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{Applied, ChangeError, UploadedPlugin};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{DefinitionJson, EffectJson, effects_json};
use super::body::{check_editable, read_value};
use super::store::{DryRun, in_use};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Code, HeldBody, Query, form_boundary, read_json, read_parts};

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
    #[serde(default, deserialize_with = "assay_core::json::deserialize_option")]
    definition: Option<Value>,
}

/// A set of changes with the plugins that they need.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes a form, which is read part by part")]
pub(crate) struct ChangesForm {
    /// The set of changes, as JSON.
    changes: ChangesBody,
    /// The bytes of a .wasm file; as many parts as there are plugins, together no larger than one plugin may be.
    #[schema(value_type = Vec<String>, format = Binary, content_media_type = "application/wasm")]
    plugin: Vec<u8>,
}

/// A plugin that came with a set of changes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedPlugin {
    /// Its name.
    #[schema(example = "velocity")]
    name: String,
    /// Its version.
    #[schema(example = "1.2.0")]
    version: String,
    /// SHA-256 of its bytes, as `sha256:` and hex digits.
    digest: String,
    /// False: these very bytes were there before.
    created: bool,
}

/// What a set of changes has done, or with `dry_run` would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesAnswer {
    /// The catalog's version that is in effect now.
    version: u64,
    /// The new revisions. One with the number 1 is new, one without a definition was deleted. Rules that take up another
    /// version of their plugin are among them.
    changed: Vec<DefinitionJson>,
    /// The plugins that came with the changes.
    plugins: Vec<ChangedPlugin>,
    /// How many definitions were the same before, and have no new revision.
    unchanged: usize,
    /// True: only checked.
    dry_run: bool,
    /// What else the changes do, or would do.
    effects: Vec<EffectJson>,
}

impl ChangesAnswer {
    fn of(applied: Applied, plugins: Vec<UploadedPlugin>, dry_run: bool) -> Self {
        let changed = applied.revisions.into_iter().filter(|revision| revision.kind != Kind::Plugin);
        let changed = changed.map(DefinitionJson::from).collect();
        let plugins = plugins.into_iter().map(|plugin| ChangedPlugin {
            name: plugin.manifest.name,
            version: plugin.manifest.version.to_string(),
            digest: plugin.digest.to_string(),
            created: plugin.created,
        });
        let effects = effects_json(applied.effects);
        let (version, unchanged, plugins) = (applied.version, applied.unchanged, plugins.collect());
        Self { version, changed, plugins, unchanged, dry_run, effects }
    }
}

/// Change many definitions at once: all or none.
///
/// They are checked together, so a new rule may use a new view. They take effect together, between two batches. A form
/// has plugins beside them, which are uploaded in the same step: rules are checked against them, also with `dry_run`.
#[utoipa::path(
    post,
    path = "/v1/changes",
    tag = "changes",
    params(DryRun),
    request_body(
        content(
            (ChangesBody = "application/json", example = json!({"changes": [{"kind": "rule", "name": "big", "definition": {"rule": "big", "stream": "payments", "score": "amount / 1000.0"}}, {"kind": "rule", "name": "old", "definition": null}]})),
            (ChangesForm = "multipart/form-data"),
        ),
        description = "The changes, alone or with plugins"
    ),
    responses((status = 200, description = "In effect on all workers, or only checked", body = ChangesAnswer))
)]
pub(crate) async fn post_changes(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ChangesAnswer>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = form_boundary(kind).map(str::to_owned);
    let config = &app.config;
    let limit = config.max_definition_body + if boundary.is_some() { config.max_plugin_body } else { 0 };
    let HeldBody { bytes, hold } = app.read_body(&headers, body, limit, "send several smaller sets").await?;
    let limit = config.max_definition_body;
    app.blocking(move |engine| {
        let (text, plugins) = match boundary {
            Some(boundary) => read_form(&bytes, &boundary, limit)?,
            None => (bytes, Vec::new()),
        };
        let changes = read_changes(&text)?;
        let only_deletes = plugins.is_empty() && changes.iter().all(|change| change.definition.is_none());
        let changed = engine.catalog().change_with_plugins(changes, plugins, &caller.name, query.dry_run);
        drop(hold);
        let (applied, plugins) = changed.map_err(|error| if only_deletes { in_use(error) } else { error.into() })?;
        Ok(Json(ChangesAnswer::of(applied, plugins, query.dry_run)))
    })
    .await
}

/// The changes and the plugins of a form.
fn read_form(body: &Bytes, boundary: &str, max_changes_bytes: usize) -> Result<(Bytes, Vec<Vec<u8>>), ApiError> {
    let (mut changes, mut plugins) = (None, Vec::new());
    for part in read_parts(body, boundary)? {
        match part.name.as_str() {
            "changes" if part.bytes.len() > max_changes_bytes => {
                let detail =
                    format!("the part 'changes' may have {max_changes_bytes} bytes: send several smaller sets");
                return Err(ApiError::new(Code::TooLarge, detail));
            }
            "changes" if changes.is_none() => changes = Some(part.bytes),
            "plugin" => plugins.push(part.bytes.to_vec()),
            other => {
                let detail = format!("expected one part 'changes' and parts 'plugin', got the part '{other}'");
                return Err(ApiError::bad_request(detail));
            }
        }
    }
    let changes = changes.ok_or_else(|| ApiError::bad_request("the form has no part 'changes'".to_owned()))?;
    Ok((changes, plugins))
}

/// Reads a set of changes; all that is wrong with it is told at once.
fn read_changes(text: &[u8]) -> Result<Vec<Change>, ApiError> {
    let body: ChangesBody = read_json(text, "{\"changes\": [{\"kind\": ..., \"name\": ..., \"definition\": ...}]}")?;
    if body.changes.len() > MAX_CHANGES {
        let detail = format!("at most {MAX_CHANGES} changes are taken at once, got {}", body.changes.len());
        return Err(ApiError::bad_request(detail));
    }
    let mut changes: Vec<Change> = Vec::with_capacity(body.changes.len());
    let mut problems = Vec::new();
    for ChangeBody { kind, name, definition } in body.changes {
        if changes.iter().any(|earlier| earlier.is_of(kind, &name)) {
            return Err(ApiError::bad_request(format!("the {kind} '{name}' is changed twice")));
        }
        let change = match definition {
            Some(definition) => read_value(kind, &name, &definition).map(|definition| Change::set(name, definition)),
            None => check_editable(kind, &name).map(|()| Change::delete(kind, name)),
        };
        match change {
            Ok(change) => changes.push(change),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(ChangeError::Invalid(problems).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(changes, [Change::delete(Kind::Rule, "a")]);
    }
}
