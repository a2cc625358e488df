//! A rule whose plugin never ends costs other rules and streams little: it is isolated by the share of time that it takes,
//! a pause and a stop interrupt it, and no event is lost or judged twice by that.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod loops;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use assay_core::verdict::Outcome;
use assay_engine::breaker_reason;
use assay_engine::ports::catalog::Kind;
use assay_runtime::Limits;
use loops::{ENDLESS, OTHERS, Running, change, until};

/// Far above what an interrupt takes, far below what a call would take.
const SOON: Duration = Duration::from_secs(15);

/// Limits by which only an interrupt ends a call.
fn patient() -> Limits {
    Limits { time_per_event: Duration::from_secs(3_600), ..Limits::default() }
}

/// The rules that gave a verdict on an event.
fn judges(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.verdicts.iter().map(|verdict| verdict.by.rule.as_str()).collect()
}

fn assert_others_judged(outcome: &Outcome) {
    let judges = judges(outcome);
    assert!(OTHERS.iter().all(|rule| judges.contains(rule)), "{outcome:?}");
}

/// What a rule scored, event by event.
fn scores_of(rule: &str, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<Option<f64>> {
    let of_rule = |outcome: Outcome| outcome.verdicts.into_iter().find(|verdict| verdict.by.rule == rule);
    outcomes.into_iter().map(|outcome| of_rule(outcome).and_then(|verdict| verdict.score)).collect()
}

/// What an engine without the endless rule says.
fn undisturbed(amounts: &[f64], rule: &str) -> Vec<Option<f64>> {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Limits::default());
    running.define(false);
    running.ingest("payments", 0, amounts);
    scores_of(rule, running.until_judged("payments", amounts.len()).into_values())
}

#[test]
fn a_rule_that_takes_most_of_a_worker_is_isolated_and_all_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Limits::default());
    running.define(true);
    // First large batches, so that the rule's plugin fails in the middle of one.
    let mut amounts = vec![1.0; 10_000];
    running.ingest("payments", 0, &amounts);
    running.until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 5_000]);
    amounts.extend([ENDLESS; 5_000]);
    running.ingest("calm", 0, &[1.0; 500]);
    let calm = running.until_judged("calm", 500);
    assert!(calm.values().all(|outcome| judges(outcome).contains("calm")));
    let outcomes = running.until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    let failures: Vec<_> = outcomes.values().flat_map(|outcome| &outcome.failures).collect();
    // None at all if the batches that were given up were enough to pause the rule.
    assert!(failures.len() < 5_000, "{} failed before the pause", failures.len());
    assert!(failures.iter().all(|failure| failure.code == "plugin-deadline"), "{failures:?}");
    let of_loops = outcomes.values().filter(|outcome| judges(outcome).contains("loops")).count();
    assert_eq!(of_loops, 10_000, "what it can judge it has judged");

    let revision = running.loop_revision();
    let reason = breaker_reason(&revision).unwrap();
    assert!(reason.contains("of a worker's time in calls that ran out of time"), "{reason}");
    assert_eq!(revision.body.as_ref().unwrap()["mode"], "paused");
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed(&amounts, "total"));

    drop(running);
    let again = Running::start(dir.path(), Limits::default());
    again.ingest("payments", amounts.len(), &[ENDLESS; 10]);
    let outcomes = again.until_judged("payments", amounts.len() + 10);
    outcomes.values().for_each(assert_others_judged);
    assert_eq!(again.loop_revision().revision, revision.revision, "a start knows of it");
}

#[test]
fn a_pause_interrupts_a_call_and_the_next_plan_judges_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), patient());
    running.define(true);
    let mut amounts = vec![1.0; 200];
    running.ingest("payments", 0, &amounts);
    running.until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 100]);
    amounts.extend([ENDLESS; 100]);
    // Nothing tells from outside that a call has begun; if it has not, the pause has less to do.
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    running.engine.change(vec![change(Kind::Rule, "loops", loops::loops("paused"))], "test", None, false).unwrap();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let outcomes = running.until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    assert!(outcomes.values().all(|outcome| outcome.failures.is_empty()), "an interrupted call is no failure");
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed(&amounts, "total"));
}

#[test]
fn a_stop_interrupts_a_call_and_the_next_start_judges_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), patient());
    running.define(true);
    let mut amounts = vec![1.0; 200];
    running.ingest("payments", 0, &amounts);
    running.until_judged("payments", amounts.len());
    running.ingest("payments", amounts.len(), &[ENDLESS; 100]);
    amounts.extend([ENDLESS; 100]);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    drop(running);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());

    // By the limits of now it fails soon.
    let again = Running::start(dir.path(), Limits::default());
    let outcomes = again.until_judged("payments", amounts.len());
    outcomes.values().for_each(assert_others_judged);
    let failed = outcomes.values().filter(|outcome| !outcome.failures.is_empty()).count();
    until("the rule is paused, or has failed on all", || {
        failed == 100 || breaker_reason(&again.loop_revision()).is_some()
    });
    assert_eq!(scores_of("total", outcomes.into_values()), undisturbed(&amounts, "total"));
}
