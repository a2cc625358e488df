//! `GET /v1/rules/{name}/status`: the status of a rule.

use assay_core::failure_code::FailureCode;
use assay_core::rule::Mode;
use assay_engine::ports::Place;
use assay_engine::ports::catalog::{Kind, Revision};
use assay_engine::rule_stats::{Counts, RECENT_WINDOW, RuleStats};
use assay_engine::{Engine, breaker_reason};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::rule_mode::definition_of;
use super::store;
use crate::app::App;
use crate::http::{ApiError, Path};
use crate::render::PlaceJson;

/// The status of a rule in this process: of several processes each has some partitions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleStatus {
    /// The rule.
    #[schema(example = "card-velocity")]
    rule: String,
    /// The revision in effect.
    revision: u32,
    /// Its mode.
    #[schema(value_type = String, example = "active")]
    mode: Mode,
    /// The plugin that scores, as `name@version`; null: an expression.
    #[schema(example = "velocity@1.2.0")]
    plugin: Option<String>,
    /// Over the last minute.
    last_minute: RuleCounts,
    /// Since the process began.
    since_start: RuleCounts,
    /// Null: none yet in this process.
    last_verdict: Option<LastVerdictJson>,
    /// Null: none yet in this process.
    last_failure: Option<LastFailureJson>,
    /// The partitions of this process that wait for the rule (`on_error: halt`), until the next change of the catalog.
    halted: Vec<HaltJson>,
    breaker: BreakerJson,
}

/// The counts of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleCounts {
    /// Events that it was asked of.
    judged: u64,
    /// Events that it could not score.
    failed: u64,
    /// Events per second that it was asked of; null since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// Time per event that it was asked of, ns; null without any.
    ns_per_event: Option<u64>,
}

/// The last verdict of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastVerdictJson {
    place: PlaceJson,
    score: Option<f64>,
    /// When, ms since 1970.
    at: i64,
}

/// The last failure of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastFailureJson {
    place: PlaceJson,
    /// The code of the failure.
    #[schema(value_type = String, example = "plugin-trap")]
    code: FailureCode,
    /// A description of the failure.
    message: String,
    /// When, ms since 1970.
    at: i64,
}

/// A partition that waits for a rule which cannot score an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HaltJson {
    /// The event before which it waits.
    place: PlaceJson,
    /// The code of the failure.
    #[schema(value_type = String, example = "plugin-trap")]
    code: FailureCode,
    /// A description of the failure.
    message: String,
}

/// The circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BreakerJson {
    /// `closed`; or `open`: its plugin kept failing, or took more than its share of a worker's time, so the rule was
    /// paused. `resume` closes it.
    #[schema(example = "closed")]
    state: &'static str,
    /// The reason why it is open, such as `took 93% of a worker's time in calls that ran out of time or memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when it is open, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

/// The status of a rule: rate, failures, time per event, its last verdict, its circuit breaker.
///
/// The numbers are those of the process that answers; of several, each judges by it in its own partitions.
#[utoipa::path(
    get,
    path = "/v1/rules/{name}/status",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "The status of the rule", body = RuleStatus))
)]
pub(crate) async fn rule_status(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<RuleStatus>, ApiError> {
    let revision = store::current(&app.engine, Kind::Rule, &name)?;
    Ok(Json(status_of(&app.engine, &revision)?))
}

fn status_of(engine: &Engine, revision: &Revision) -> Result<RuleStatus, ApiError> {
    let def = definition_of(revision)?;
    let status = engine.status();
    let plugin = status.running_plugin(&def);
    let rule_stats = status.rule_stats(&def.rule);
    let halted = status.halts(&def.rule).into_iter().map(|(of, halt)| HaltJson {
        place: Place { partition: of.partition, offset: halt.before }.into(),
        code: halt.code,
        message: halt.message,
    });
    let reason = breaker_reason(revision).filter(|_| def.mode == Mode::Paused).map(str::to_owned);
    let is_open = reason.is_some();
    let counts = |of: fn(&RuleStats) -> Counts| rule_stats.as_ref().map(of).unwrap_or_default();
    let mut last_minute = counts_json(counts(|rule_stats| rule_stats.recent));
    last_minute.per_second = Some(last_minute.judged as f64 / RECENT_WINDOW.as_secs_f64());
    Ok(RuleStatus {
        revision: revision.revision,
        mode: def.mode,
        // A paused rule is not compiled to run: then it is what the definition says.
        plugin: plugin.or_else(|| def.plugin.as_ref().map(ToString::to_string)),
        last_minute,
        since_start: counts_json(counts(|rule_stats| rule_stats.total)),
        last_verdict: rule_stats
            .as_ref()
            .and_then(|rule_stats| rule_stats.last)
            .map(|(place, score, at)| LastVerdictJson { place: place.into(), score, at }),
        last_failure: rule_stats.and_then(|rule_stats| rule_stats.failure).map(|(place, failure, at)| {
            LastFailureJson { place: place.into(), code: failure.code, message: failure.message, at }
        }),
        halted: halted.collect(),
        breaker: BreakerJson {
            state: if is_open { "open" } else { "closed" },
            reason,
            since: is_open.then_some(revision.at),
        },
        rule: def.rule,
    })
}

fn counts_json(counts: Counts) -> RuleCounts {
    let ns = counts.elapsed.as_nanos().checked_div(u128::from(counts.judged));
    RuleCounts {
        judged: counts.judged,
        failed: counts.failed,
        per_second: None,
        // A time per event is far below what a u64 holds.
        ns_per_event: ns.map(|ns| ns as u64),
    }
}
