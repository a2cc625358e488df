//! Rules: what binds a stream to a plugin or to an expression.

use std::sync::Arc;

use assay_core::rule::{Mode, RuleDef};
use assay_engine::Engine;
use assay_engine::ports::catalog::{Kind, Revision};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};

use super::answer::{DefinitionJson, DefinitionList, PutAnswer};
use super::filters::RuleFilter;
use super::store::{self, DryRun};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query};

/// Create or change a rule.
///
/// The definition is checked whole against everything that is there; 422 names all problems, and nothing is changed
/// then. The answer comes when the new revision is in effect on all workers. The same definition again makes no new
/// revision. `If-Match: "REVISION"` changes it only if that revision is still the current one, else 412.
#[utoipa::path(
    put,
    path = "/v1/rules/{name}",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity"), DryRun),
    request_body(
        content(
            (Object = "application/json", example = json!({"rule": "card-velocity", "stream": "payments", "when": "amount > 0.0", "inputs": {"amount": "amount", "spent_1h": "views.card_spend.spent"}, "plugin": "velocity@1", "config": {"high": 0.9}, "tags": {"review": "score >= 0.95"}})),
            (String = "application/yaml"),
        ),
        description = "The definition, as JSON or YAML"
    ),
    responses(
        (status = 200, description = "Changed, unchanged, or only checked", body = PutAnswer),
        (status = 201, description = "Created", body = PutAnswer),
    )
)]
pub(crate) async fn put_rule(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    store::put(&app, caller, Kind::Rule, name, query.dry_run, &headers, body).await
}

/// A rule's definition, revision, author and time.
#[utoipa::path(
    get,
    path = "/v1/rules/{name}",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "The revision in effect", body = DefinitionJson))
)]
pub(crate) async fn get_rule(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    store::get(&app, Kind::Rule, &name)
}

/// All rules, or some.
#[utoipa::path(
    get,
    path = "/v1/rules",
    tag = "rules",
    params(RuleFilter),
    responses((status = 200, description = "By name", body = DefinitionList))
)]
pub(crate) async fn list_rules(State(app): State<App>, Query(filter): Query<RuleFilter>) -> Result<Response, ApiError> {
    store::list(&app, Kind::Rule, filter.stream.as_deref(), |rule| filter.takes(rule))
}

/// Delete a rule; its revisions stay.
#[utoipa::path(
    delete,
    path = "/v1/rules/{name}",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete_rule(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    store::delete(&app, caller, Kind::Rule, name, &headers).await
}

/// All revisions of a rule, also of a deleted one.
#[utoipa::path(
    get,
    path = "/v1/rules/{name}/revisions",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "The newest first", body = DefinitionList))
)]
pub(crate) async fn rule_revisions(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<DefinitionList>, ApiError> {
    let revisions = app.blocking(move |engine| revisions_of(engine, &name)).await?;
    Ok(Json(DefinitionList { items: revisions.into_iter().map(DefinitionJson::from).collect() }))
}

/// Stop a rule: a new revision with the mode `paused`.
#[utoipa::path(
    post,
    path = "/v1/rules/{name}/pause",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "Paused on all workers", body = PutAnswer))
)]
pub(crate) async fn pause_rule(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    app.blocking(move |engine| set_mode(engine, &caller.name, &name, |_| Ok(Mode::Paused))).await
}

/// Let a paused rule go on, in the mode that it had before: `active` or `shadow`.
#[utoipa::path(
    post,
    path = "/v1/rules/{name}/resume",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "In effect on all workers", body = PutAnswer))
)]
pub(crate) async fn resume_rule(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    app.blocking(move |engine| {
        set_mode(engine, &caller.name, &name, |current| match current {
            Mode::Paused => Ok(mode_before_pause(&revisions_of(engine, &name)?)),
            running => Ok(running),
        })
    })
    .await
}

pub(super) fn revisions_of(engine: &Engine, name: &str) -> Result<Vec<Revision>, ApiError> {
    let revisions = engine.ports().catalog.revisions(Kind::Rule, name)?;
    if revisions.is_empty() {
        return Err(ApiError::not_found(format!("there is no rule '{name}', and there never was")));
    }
    Ok(revisions)
}

/// The mode of the newest revision that ran, or that says how it goes on after its pause; active, if there is none.
pub(super) fn mode_before_pause(revisions: &[Revision]) -> Mode {
    let mut rules = revisions.iter().filter_map(|revision| definition_of(revision).ok());
    rules.find_map(|rule| rule.running_mode()).unwrap_or(Mode::Active)
}

fn set_mode(
    engine: &Engine,
    author: &str,
    name: &str,
    mode: impl FnOnce(Mode) -> Result<Mode, ApiError>,
) -> Result<Response, ApiError> {
    let revision = store::current(engine, Kind::Rule, name)?;
    let mut rule = definition_of(&revision)?;
    rule.mode = mode(rule.mode)?;
    let definition = serde_json::to_value(&rule).map_err(|_| ApiError::internal())?;
    // Somebody may change the rule between our reading and writing: then that is told instead of undone.
    store::replace(engine, author, Kind::Rule, name, definition, Some(revision.revision), false)
}

pub(super) fn definition_of(revision: &Revision) -> Result<RuleDef, ApiError> {
    serde_json::from_value(revision.body.clone().unwrap_or_default()).map_err(|error| {
        tracing::error!(rule = revision.name, %error, "a rule in the catalog cannot be read");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(mode: Option<&str>) -> Revision {
        let body = mode.map(|mode| serde_json::json!({"rule": "r", "stream": "s", "score": "1.0", "mode": mode}));
        Revision {
            kind: Kind::Rule,
            name: "r".into(),
            revision: 1,
            version: 1,
            created_at_version: 1,
            author: "a".into(),
            at: 0,
            body,
        }
    }

    fn mode_after(modes: &[Option<&str>]) -> Mode {
        mode_before_pause(&modes.iter().map(|mode| revision(*mode)).collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_goes_on_in_the_mode_that_it_had() {
        assert_eq!(mode_after(&[Some("paused"), Some("shadow"), Some("active")]), Mode::Shadow);
        assert_eq!(mode_after(&[Some("paused"), Some("paused"), None, Some("active")]), Mode::Active);
        assert_eq!(mode_after(&[Some("paused")]), Mode::Active);
    }
}
