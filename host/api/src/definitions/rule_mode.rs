//! `POST /v1/rules/{name}/pause` and `resume`: new revisions of a rule that differ in its mode.

use std::sync::Arc;

use assay_core::rule::{Mode, RuleDef};
use assay_engine::Engine;
use assay_engine::ports::catalog::{Kind, Revision};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::answer::PutAnswer;
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path};

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
            Mode::Paused => Ok(mode_before_pause(&store::revisions(engine, Kind::Rule, &name)?)),
            running => Ok(running),
        })
    })
    .await
}

/// The mode of the newest revision that ran, or that says how it goes on after its pause; active, if there is none.
pub(super) fn mode_before_pause(revisions: &[Revision]) -> Mode {
    let mut rules = revisions.iter().filter_map(|revision| revision.read::<RuleDef>().ok());
    rules.find_map(RuleDef::running_mode).unwrap_or(Mode::Active)
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
    // Somebody may change the rule between our reading and writing: then that is told instead of undone.
    store::replace(engine, author, name, rule.into(), Some(revision.revision), false)
}

pub(super) fn definition_of(revision: &Revision) -> Result<RuleDef, ApiError> {
    revision.read().cloned().map_err(|error| {
        tracing::error!(rule = revision.name, %error, "a rule in the catalog cannot be read");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use assay_engine::ports::catalog::Change;

    use super::*;

    fn revision(mode: Option<&str>) -> Revision {
        let change = match mode {
            Some(mode) => {
                let body = serde_json::json!({"rule": "r", "stream": "s", "score": "1.0", "mode": mode});
                Change::from_json(Kind::Rule, "r", body)
            }
            None => Change::delete(Kind::Rule, "r"),
        };
        Revision::after(None, change, 1, "a", 0)
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
