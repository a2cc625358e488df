//! `POST /v1/rules/{name}/rollback`: an earlier revision of a rule again, as a new one.
//!
//! A revision is what was judged by: the definition and the plugin's version. Being paused is no part of it: a rollback
//! neither pauses nor resumes. A rule that is paused goes on in the mode of the revision when it is resumed.

use std::sync::Arc;

use assay_core::rule::{Mode, RuleDef};
use assay_engine::Engine;
use assay_engine::ports::catalog::{Kind, Revision};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::PutAnswer;
use super::rule_mode::mode_before_pause;
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query};

/// Which revision to go back to.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackQuery {
    /// Its number; without one the newest before the current one that says something else, a pause aside.
    revision: Option<u32>,
}

/// Go back to an earlier revision of a rule, also of a deleted one: it becomes a new revision, checked as any other.
///
/// The plugin's version goes back, too: where the reference (`velocity@1`) means another version by now, the new
/// revision names the earlier one exactly. A rule that is paused stays so, and is resumed in the mode of that revision;
/// one that runs goes on running.
#[utoipa::path(
    post,
    path = "/v1/rules/{name}/rollback",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity"), RollbackQuery),
    responses(
        (status = 200, description = "In effect on all workers", body = PutAnswer),
        (status = 201, description = "A deleted rule is back", body = PutAnswer),
    )
)]
pub(crate) async fn rollback_rule(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    Query(query): Query<RollbackQuery>,
) -> Result<Response, ApiError> {
    app.blocking(move |engine| {
        let revisions = store::revisions(engine, Kind::Rule, &name)?;
        let refused = |why: String| ApiError::not_found(format!("rule '{name}': {why}"));
        let target = earlier(&revisions, query.revision).map_err(refused)?;
        let rule = pinned(target, engine);
        // Of a deleted rule nothing is current.
        let expected = revisions.first().filter(|newest| newest.definition.is_some()).map(|newest| newest.revision);
        store::replace(engine, &caller.name, &name, rule.into(), expected, false)
    })
    .await
}

/// The rule with the version of its plugin that it had, where its reference means another one by now.
fn pinned(mut rule: RuleDef, engine: &Engine) -> RuleDef {
    if let (Some(reference), Some(had)) = (&rule.plugin, &rule.resolved_plugin)
        && engine.catalog().resolve_plugin(reference).as_ref() != Some(had)
    {
        rule.plugin = Some(had.clone());
    }
    rule
}

/// The definition to go back to, of revisions from the newest on, paused or running as the rule is now.
fn earlier(revisions: &[Revision], wanted: Option<u32>) -> Result<RuleDef, String> {
    let current = running(revisions);
    let mode_of = |revision: &Revision| revision.read::<RuleDef>().ok().map(|rule| rule.mode);
    let current_mode = revisions.first().and_then(mode_of);
    let found = match wanted {
        Some(number) => (0..revisions.len()).find(|index| revisions[*index].revision == number),
        None => (1..revisions.len()).find(|index| {
            let then = running(&revisions[*index..]);
            then.is_some() && then != current
        }),
    };
    let Some(found) = found else {
        return Err(match wanted {
            Some(number) => {
                let newest = revisions.first().map_or(0, |newest| newest.revision);
                format!("there is no revision {number}; they go from 1 to {newest}")
            }
            None => "there is no earlier revision that says something else".to_owned(),
        });
    };
    let rule = running(&revisions[found..]);
    let mut rule = rule.ok_or(format!("revision {} deleted it", revisions[found].revision))?;
    match current_mode {
        Some(Mode::Paused) => pause(&mut rule),
        Some(_) => {}
        // Of a deleted rule the revision itself says whether it ran.
        None if mode_of(&revisions[found]) == Some(Mode::Paused) => pause(&mut rule),
        None => {}
    }
    Ok(rule)
}

/// Pauses a rule that is to go on in the mode that it has.
fn pause(rule: &mut RuleDef) {
    rule.resume_mode = Some(rule.mode);
    rule.mode = Mode::Paused;
}

/// What the first of these revisions says, in the mode that it has when it is not paused; none: it deleted the rule.
fn running(revisions: &[Revision]) -> Option<RuleDef> {
    let newest = revisions.first().filter(|newest| newest.definition.is_some())?;
    let mut rule = newest.read::<RuleDef>().ok()?.clone();
    if rule.mode == Mode::Paused {
        rule.mode = mode_before_pause(revisions);
        rule.resume_mode = None;
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use assay_engine::definition::Definition;

    use super::*;

    /// Revisions from the newest on, each as its score and its mode; none deletes the rule.
    fn revisions(all: &[Option<(&str, &str)>]) -> Vec<Revision> {
        let body = |(score, mode): (&str, &str)| {
            let body = serde_json::json!({"rule": "r", "stream": "s", "score": score, "mode": mode});
            Definition::from_json(Kind::Rule, body)
        };
        let numbers = (1..=all.len() as u32).rev();
        let revision = |(said, number): (&Option<(&str, &str)>, u32)| Revision {
            kind: Kind::Rule,
            name: "r".into(),
            revision: number,
            version: 1,
            created_at_version: 1,
            author: "a".into(),
            at: 0,
            definition: said.map(body),
        };
        all.iter().zip(numbers).map(revision).collect()
    }

    /// Revisions from the newest on after a rollback of the first of them, and the mode in which the rule goes on.
    fn resumed_after(all: &[Option<(&str, &str)>], wanted: Option<u32>) -> (Vec<Revision>, Mode) {
        let mut revisions = revisions(all);
        let rule = earlier(&revisions, wanted).unwrap();
        assert_eq!(rule.mode, Mode::Paused);
        let definition = Some(rule.into());
        revisions.insert(0, Revision { revision: all.len() as u32 + 1, definition, ..revisions[0].clone() });
        let mode = mode_before_pause(&revisions);
        (revisions, mode)
    }

    #[test]
    fn a_rule_that_was_rolled_back_while_paused_goes_on_in_the_mode_of_that_revision() {
        let all = [Some(("2.0", "paused")), Some(("2.0", "active")), Some(("1.0", "active")), Some(("1.0", "shadow"))];
        assert_eq!(resumed_after(&all, None).1, Mode::Active);
        let (revisions, mode) = resumed_after(&all, Some(1));
        assert_eq!(mode, Mode::Shadow);
        // A rollback of the rollback: what ran before it.
        assert_eq!(earlier(&revisions, Some(4)).unwrap().resume_mode, Some(Mode::Active));
        assert_eq!(resumed_after(&[&[None], &all[..]].concat(), Some(4)).1, Mode::Active);
    }

    fn back(all: &[Option<(&str, &str)>], wanted: Option<u32>) -> Result<(String, Mode), String> {
        earlier(&revisions(all), wanted).map(|rule| (rule.score.unwrap_or_default(), rule.mode))
    }

    #[test]
    fn a_rule_goes_back_to_what_it_said_before() {
        let all = [Some(("2.0", "shadow")), None, Some(("2.0", "shadow")), Some(("1.0", "active"))];
        assert_eq!(back(&all, None), Ok(("1.0".into(), Mode::Active)), "the newest that says something else");
        assert_eq!(back(&all, Some(2)), Ok(("2.0".into(), Mode::Shadow)));
        assert_eq!(back(&all, Some(3)), Err("revision 3 deleted it".to_owned()));
        assert_eq!(back(&all, Some(9)), Err("there is no revision 9; they go from 1 to 4".to_owned()));
        assert!(back(&all[..1], None).is_err());
    }

    #[test]
    fn a_pause_is_nothing_to_go_back_to() {
        let resumed =
            [Some(("2.0", "active")), Some(("2.0", "paused")), Some(("2.0", "active")), Some(("1.0", "active"))];
        assert_eq!(back(&resumed, None), Ok(("1.0".into(), Mode::Active)));
        assert_eq!(back(&resumed, Some(3)), Ok(("2.0".into(), Mode::Active)), "it runs, so it goes on running");
        assert!(back(&resumed[..3], None).is_err(), "a pause and its end say nothing else");
        // One that is paused stays so.
        assert_eq!(back(&resumed[1..], None), Ok(("1.0".into(), Mode::Paused)));
        let shadow = [Some(("2.0", "paused")), Some(("2.0", "shadow")), Some(("2.0", "active"))];
        assert_eq!(back(&shadow, None), Ok(("2.0".into(), Mode::Paused)));
        // A deleted rule comes back as it was.
        let deleted = [None, Some(("2.0", "paused")), Some(("2.0", "active"))];
        assert_eq!(back(&deleted, None), Ok(("2.0".into(), Mode::Paused)));
    }
}
