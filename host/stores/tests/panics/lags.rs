//! Lag as it is asked for in the middle of faults, and what the shipped alerts look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{Engine, Probe, Probed};
use serde_json::json;

use crate::OFTEN;
use crate::cards::{partitions, until};
use crate::faulty::{Faults, faulty};
use crate::results::{define, ingest, start};

/// The sum of all series of a metric with something in their labels.
fn measured(engine: &Engine, metric: &str, label: &str) -> f64 {
    let text = engine.measure();
    let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(metric) && line.contains(label);
    text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn lag_is_true_while_a_worker_is_in_a_batch() {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let stuck = is_stuck.clone();
    let probe = Probe::new(move |at| {
        while matches!(at, Probed::Fold(of, _) if &*of.stream == "payments") && stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    let engine = &running.engine;
    until("the lag is told", || measured(engine, "assay_events_lag", "payments") == 300.0);
    until("the batch is read", || {
        let all = partitions();
        let unscored = all[..2].iter().filter_map(|of| engine.unscored(of));
        let (events, oldest) =
            unscored.fold((0, None), |(events, oldest), one| (events + one.events, oldest.or(one.oldest_appended_at)));
        events == 300 && oldest.is_some_and(|oldest| oldest <= assay_engine::now_ms())
    });
    let parts = engine.readiness().parts;
    let lag: u64 = parts.iter().filter(|part| part.name.starts_with("partition payments")).map(|part| part.lag).sum();
    assert_eq!(lag, 300);
    is_stuck.store(false, Ordering::SeqCst);
    running.until_followed();
    assert_eq!(measured(engine, "assay_events_lag", "payments"), 0.0);
}

#[test]
fn a_halted_partition_lags_and_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| ports);
    define(&running);
    let engine = &running.engine;
    let halts = json!({ "rule": "halts", "stream": "payments", "score": "1.0 / amount", "on_error": "halt" });
    let change = |body| vec![Change { kind: Kind::Rule, name: "halts".to_owned(), body }];
    engine.change(change(Some(halts)), "test", None, false).unwrap();
    ingest(&running, 0..100);
    until("both partitions halt", || engine.halts("halts").len() == 2);
    let lag = || measured(engine, "assay_events_lag", "payments");
    until("they are open again", || partitions()[..2].iter().all(|of| engine.unscored(of).is_some()));
    until("what is before the halt is scored", || lag() > 0.0 && lag() <= 100.0);
    ingest(&running, 100..200);
    // The very first payment halts its partition.
    until("what comes waits", || lag() > 100.0);
    // AssayPartsFailing.
    assert!(measured(engine, "assay_parts_failing", "") >= 2.0);
    until("events are taken in", || engine.readiness().ready);
    until("the oldest event is known", || {
        partitions()[..2].iter().all(|of| engine.unscored(of).is_some_and(|one| one.oldest_appended_at.is_some()))
    });
    engine.change(change(None), "test", None, false).unwrap();
    running.until_followed();
    assert!(engine.halts("halts").is_empty());
    until("no part fails", || measured(engine, "assay_parts_failing", "") == 0.0);
}

#[test]
fn a_store_that_fails_is_told_of_by_what_alerts_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::new("archive.write_events", usize::MAX);
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| faulty(ports, &faults));
    define(&running);
    ingest(&running, 0..100);
    let engine = &running.engine;
    let of = "archive-events";
    // AssayFollowerErrors, AssayPartsFailing, AssayPanics, AssayFollowerLagGrowing.
    until("errors are counted", || measured(engine, "assay_follower_errors_total", of) >= 2.0);
    until("its part fails", || measured(engine, "assay_parts_failing", "") >= 1.0);
    assert!(measured(engine, "assay_panics_total", "follow-archive-events") >= 2.0);
    until("what derives is there", || measured(engine, "assay_follower_lag", "\"derive\"") == 0.0);
    let before = measured(engine, "assay_follower_lag", of);
    assert!(before >= 100.0, "{before}");
    ingest(&running, 100..200);
    until("what comes lags, too", || measured(engine, "assay_follower_lag", of) >= before + 100.0);
    until("it lags alone", || engine.readiness().ready);
    // AssayDeadLetters (a payment of nothing has no ratio), AssayLatencyHigh, AssayCheckpointSlow, AssayCatalogsDiffer.
    until("failures are counted", || measured(engine, "assay_failures_total", "payments") > 0.0);
    for metric in [
        "assay_verdict_latency_seconds_bucket",
        "assay_checkpoint_time_seconds_bucket",
        "assay_catalog_version",
        "assay_events_scored_total",
        "assay_events_ingested_total",
    ] {
        until(metric, || measured(engine, metric, "") > 0.0);
    }
}

/// Alerts and dashboards look at nothing that the server does not have.
#[test]
fn all_that_alerts_and_dashboards_look_at_is_registered() {
    let registered = include_str!("../../../engine/src/metrics.rs");
    let shipped = [
        include_str!("../../../../compose/prometheus/alerts.yml"),
        include_str!("../../../../compose/grafana/dashboards/assay.json"),
    ];
    let mut looked_at = 0;
    for file in shipped {
        let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter_map(|word| word.strip_prefix("assay_")).filter(|name| *name != "1m") {
            let plain = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let plain = ["_seconds", "_bytes"].iter().find_map(|unit| plain.strip_suffix(unit)).unwrap_or(plain);
            assert!(registered.contains(&format!("\"{plain}\"")), "assay_{name} is none of the server's metrics");
            looked_at += 1;
        }
    }
    assert!(looked_at > 30, "{looked_at}");
}
