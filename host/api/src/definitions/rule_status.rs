//! `GET /v1/rules/{name}/status`: how a rule is doing.

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

/// How a rule is doing, as far as this process judges by it: of several processes each has some partitions.
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
    /// What scores, as `name@version`; null: an expression.
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

/// What a rule did.
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

/// What a rule said last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastVerdictJson {
    place: PlaceJson,
    score: Option<f64>,
    /// When, ms since 1970.
    at: i64,
}

/// How a rule failed last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastFailureJson {
    place: PlaceJson,
    /// What kind of failure.
    #[schema(example = "plugin-trap")]
    code: String,
    /// What happened.
    message: String,
    /// When, ms since 1970.
    at: i64,
}

/// A partition that waits for a rule which cannot score an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HaltJson {
    /// The event before which it waits.
    place: PlaceJson,
    /// What kind of failure.
    #[schema(example = "plugin-trap")]
    code: String,
    /// What happened.
    message: String,
}

/// The circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BreakerJson {
    /// `closed`; or `open`: its plugin kept failing, or took more than its share of a worker's time, so the rule was
    /// paused. `resume` closes it.
    #[schema(example = "closed")]
    state: &'static str,
    /// Why it is open, such as `took 93% of a worker's time in calls that ran out of time or memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when it is open, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

/// How a rule is doing: rate, failures, time per event, its last verdict, its circuit breaker.
///
/// The numbers are those of the process that answers; of several, each judges by it in its own partitions.
#[utoipa::path(
    get,
    path = "/v1/rules/{name}/status",
    tag = "rules",
    params(("name" = String, Path, description = "The rule's name", example = "card-velocity")),
    responses((status = 200, description = "How it is doing", body = RuleStatus))
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
    let plan = engine.plan();
    let stream = plan.streams.get(&def.stream);
    let stamp = stream.and_then(|stream| stream.rules.iter().find(|rule| rule.stamp.rule == def.rule));
    let plugin = stamp.and_then(|rule| rule.stamp.plugin.as_ref());
    let plugin = plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version));
    let rule_stats = engine.rule_stats(&def.rule);
    let halted = engine.halts(&def.rule).into_iter().map(|(of, halt)| HaltJson {
        place: Place { partition: of.partition, offset: halt.before }.into(),
        code: halt.code.to_owned(),
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
            LastFailureJson { place: place.into(), code: failure.code.to_owned(), message: failure.message, at }
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
