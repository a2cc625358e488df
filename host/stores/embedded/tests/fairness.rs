//! A rule whose plugin loops forever does not starve other rules and streams: it is paused by its share of time, a pause and
//! a stop interrupt its call, and no event is lost or judged twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod endless_rule;
#[allow(dead_code, reason = "the engine of other tests")]
mod manual_membership;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::failure_code::FailureCode;
use assay_core::names::PartitionIndex;
use assay_core::rule::{Mode, RuleDef};
use assay_core::verdict::Outcome;
use assay_engine::ports::catalog::Kind;
use assay_engine::ports::membership::Membership;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{EngineConfig, breaker_reason};
use assay_runtime::Limits;
use endless_rule::{ENDLESS, OTHERS, TestEngine, change, wait_until};
use manual_membership::ManualMembership;
use serde_json::json;

/// Longer than an interrupt takes, and far shorter than an uninterrupted call.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Limits under which only an interrupt ends a call.
fn limits_without_deadline() -> Limits {
    Limits { time_per_event: Duration::from_secs(3_600), ..Limits::default() }
}

/// The rules with a verdict on an event.
fn rules_of(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.verdicts.iter().map(|verdict| verdict.by.rule.as_str()).collect()
}

fn assert_others_judged(outcome: &Outcome) {
    let rules = rules_of(outcome);
    assert!(OTHERS.iter().all(|rule| rules.contains(rule)), "{outcome:?}");
}

/// The scores of a rule, event by event.
fn scores_of(rule: &str, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<Option<f64>> {
    let of_rule = |outcome: Outcome| outcome.verdicts.into_iter().find(|verdict| verdict.by.rule == rule);
    outcomes.into_iter().map(|outcome| of_rule(outcome).and_then(|verdict| verdict.score)).collect()
}

/// The scores of a rule on an engine without the endless rule.
fn undisturbed_scores(amounts: &[f64], rule: &str) -> Vec<Option<f64>> {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path(), Limits::default());
    running.define(false);
    running.ingest("payments", 0, amounts);
    scores_of(rule, running.wait_until_judged("payments", amounts.len()).into_values())
}

#[test]
fn a_rule_that_takes_most_of_a_worker_is_paused_and_the_others_continue() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path(), Limits::default());
    running.define(true);
    // First large batches, so that the rule's plugin fails in the middle of one.
    let mut amounts = vec![1.0; 10_000];
    running.ingest("payments", 0, &amounts);
    running.wait_until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 5_000]);
    amounts.extend([ENDLESS; 5_000]);
    running.ingest("calm", 0, &[1.0; 500]);
    let calm = running.wait_until_judged("calm", 500);
    assert!(calm.values().all(|outcome| rules_of(outcome).contains("calm")));
    let outcomes = running.wait_until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    let failures: Vec<_> = outcomes.values().flat_map(|outcome| &outcome.failures).collect();
    // There may be none, if the interrupted batches sufficed to pause the rule.
    assert!(failures.len() < 5_000, "{} failed before the pause", failures.len());
    assert!(failures.iter().all(|failure| failure.code == FailureCode::PluginDeadline), "{failures:?}");
    let endless_verdicts = outcomes.values().filter(|outcome| rules_of(outcome).contains("loops")).count();
    assert_eq!(endless_verdicts, 10_000, "the rule has judged the events for which its calls end");

    let revision = running.loop_revision();
    let reason = breaker_reason(&revision).unwrap();
    assert!(reason.contains("of a worker's time in calls that ran out of time"), "{reason}");
    assert_eq!(revision.read::<RuleDef>().unwrap().mode, Mode::Paused);
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed_scores(&amounts, "total"));

    drop(running);
    let again = TestEngine::start(dir.path(), Limits::default());
    again.ingest("payments", amounts.len(), &[ENDLESS; 10]);
    let outcomes = again.wait_until_judged("payments", amounts.len() + 10);
    outcomes.values().for_each(assert_others_judged);
    assert_eq!(again.loop_revision().revision, revision.revision, "a start knows of it");
}

#[test]
fn a_pause_interrupts_a_call_and_the_next_plan_judges_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path(), limits_without_deadline());
    running.define(true);
    let mut amounts = vec![1.0; 200];
    running.ingest("payments", 0, &amounts);
    running.wait_until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 100]);
    amounts.extend([ENDLESS; 100]);
    // The begin of a call is not visible from outside. Without a running call the test still passes.
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    running
        .engine
        .catalog()
        .change(vec![change(Kind::Rule, "loops", endless_rule::endless_rule("paused"))], "test", None, false)
        .unwrap();
    assert!(started.elapsed() < INTERRUPT_TIMEOUT, "{:?}", started.elapsed());
    let outcomes = running.wait_until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    assert!(outcomes.values().all(|outcome| outcome.failures.is_empty()), "an interrupted call is no failure");
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed_scores(&amounts, "total"));
}

#[test]
fn a_stop_interrupts_a_call_and_the_next_start_judges_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path(), limits_without_deadline());
    running.define(true);
    let mut amounts = vec![1.0; 200];
    running.ingest("payments", 0, &amounts);
    running.wait_until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 100]);
    amounts.extend([ENDLESS; 100]);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    drop(running);
    assert!(started.elapsed() < INTERRUPT_TIMEOUT, "{:?}", started.elapsed());

    // Under the default limits the call fails soon.
    let again = TestEngine::start(dir.path(), Limits::default());
    let outcomes = again.wait_until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    let failed = outcomes.values().filter(|outcome| !outcome.failures.is_empty()).count();
    wait_until("the rule is paused, or has failed on all", || {
        failed == 100 || breaker_reason(&again.loop_revision()).is_some()
    });
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed_scores(&amounts, "total"));
}

/// An engine that saves no checkpoints, and whose partitions the test can lose as in a crash.
fn start_without_checkpoints(dir: &Path, limits: Limits) -> (TestEngine, Arc<ManualMembership>) {
    let member = Arc::new(ManualMembership::default());
    let membership: Arc<dyn Membership> = member.clone();
    let checkpoint_every = Duration::from_secs(3_600);
    let config =
        EngineConfig { limits, checkpoint_every, breaker_failures: 0, breaker_share: 0.0, ..EngineConfig::default() };
    (TestEngine::start_over(dir, config, |ports| Ports { membership, ..ports }), member)
}

fn payments() -> Vec<PartitionId> {
    (0..2).map(|partition| PartitionId { stream: "payments".into(), partition: PartitionIndex(partition) }).collect()
}

fn define_folds(running: &TestEngine) {
    running.define(false);
    running.engine.catalog().upload_plugin(endless_rule::folding(), "test", false).unwrap();
    let folds = json!({ "rule": "folds", "stream": "payments", "plugin": "folding@2",
        "inputs": { "value": "int(amount)" }, "config": { "mode": "loop", "value": ENDLESS as i64 } });
    running.engine.catalog().change(vec![change(Kind::Rule, "folds", folds)], "test", None, false).unwrap();
}

#[test]
fn recovery_reads_failures_from_the_log_without_calling_the_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let (running, member) = start_without_checkpoints(dir.path(), Limits::default());
    define_folds(&running);
    member.owner().assign(payments());
    let amounts: Vec<f64> =
        (0..400).map(|number| if number % 100 == 7 { ENDLESS } else { f64::from(1_000 + number) }).collect();
    running.ingest("payments", 0, &amounts[..300]);
    let judged = running.wait_until_judged("payments", 300);
    let failed =
        |outcome: &&Outcome| outcome.failures.iter().any(|failure| failure.code == FailureCode::PluginDeadline);
    assert_eq!(judged.values().filter(failed).count(), 3);
    member.owner().lose(payments());
    drop(running);
    member.drop_owner();

    // A call for one of the failed rows would never end now.
    let (again, member) = start_without_checkpoints(dir.path(), limits_without_deadline());
    member.owner().assign(payments());
    let rest: Vec<f64> = amounts[300..].iter().copied().filter(|amount| *amount != ENDLESS).collect();
    again.ingest("payments", 300, &rest);
    let judged = again.wait_until_judged("payments", 300 + rest.len());

    let dir = tempfile::tempdir().unwrap();
    let (undisturbed, member) = start_without_checkpoints(dir.path(), Limits::default());
    define_folds(&undisturbed);
    member.owner().assign(payments());
    undisturbed.ingest("payments", 0, &amounts[..300]);
    undisturbed.ingest("payments", 300, &rest);
    let expected = undisturbed.wait_until_judged("payments", 300 + rest.len());
    let folds = scores_of("folds", expected.into_values());
    assert_eq!(folds.iter().filter(|score| score.is_none()).count(), 3);
    assert_eq!(scores_of("folds", judged.into_values()), folds, "a failed row leaves the state as it was");
}
