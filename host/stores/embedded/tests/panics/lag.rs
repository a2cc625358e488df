//! The lag while faults go on, and the metrics that the shipped alerts read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{Engine, Probe, ProbePoint};
use serde_json::json;

use crate::OFTEN;
use crate::faulty::{Faults, faulty};
use crate::payments::{partitions, wait_until};
use crate::results::{define, ingest, start};

/// The sum of all series of a metric whose labels contain a text.
fn read_metric(engine: &Engine, metric: &str, label: &str) -> f64 {
    let text = engine.measure();
    let is_match = |line: &&str| line.split(['{', ' ']).next() == Some(metric) && line.contains(label);
    text.lines().filter(is_match).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn lag_is_exact_while_a_worker_is_in_a_batch() {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let stuck = is_stuck.clone();
    let probe = Probe::new(move |at| {
        while matches!(at, ProbePoint::Fold(partition, _) if &*partition.stream == "payments")
            && stuck.load(Ordering::SeqCst)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    let engine = &running.engine;
    wait_until("the lag is told", || read_metric(engine, "assay_events_lag", "payments") == 300.0);
    wait_until("the batch is read", || {
        let all = partitions();
        let unscored = all[..2].iter().filter_map(|partition| engine.unscored(partition));
        let (events, oldest) =
            unscored.fold((0, None), |(events, oldest), one| (events + one.events, oldest.or(one.oldest_appended_at)));
        events == 300 && oldest.is_some_and(|oldest| oldest <= assay_engine::now_ms())
    });
    let parts = engine.readiness().parts;
    let lag: u64 = parts.iter().filter(|part| part.name.starts_with("partition payments")).map(|part| part.lag).sum();
    assert_eq!(lag, 300);
    is_stuck.store(false, Ordering::SeqCst);
    running.wait_until_written();
    assert_eq!(read_metric(engine, "assay_events_lag", "payments"), 0.0);
}

#[test]
fn a_halted_partition_lags_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| ports);
    define(&running);
    let engine = &running.engine;
    let halts = json!({ "rule": "halts", "stream": "payments", "score": "1.0 / amount", "on_error": "halt" });
    engine.catalog().change(vec![Change::from_json(Kind::Rule, "halts", halts)], "test", None, false).unwrap();
    ingest(&running, 0..100);
    wait_until("both partitions halt", || engine.halts("halts").len() == 2);
    let lag = || read_metric(engine, "assay_events_lag", "payments");
    wait_until("they are open again", || {
        partitions()[..2].iter().all(|partition| engine.unscored(partition).is_some())
    });
    wait_until("what is before the halt is scored", || lag() > 0.0 && lag() <= 100.0);
    ingest(&running, 100..200);
    // The very first payment halts its partition.
    wait_until("what comes waits", || lag() > 100.0);
    // AssayPartsFailing.
    assert!(read_metric(engine, "assay_parts_failing", "") >= 2.0);
    wait_until("events are taken in", || engine.readiness().ready);
    wait_until("the oldest event is known", || {
        partitions()[..2]
            .iter()
            .all(|partition| engine.unscored(partition).is_some_and(|one| one.oldest_appended_at.is_some()))
    });
    engine.catalog().change(vec![Change::delete(Kind::Rule, "halts")], "test", None, false).unwrap();
    running.wait_until_written();
    assert!(engine.halts("halts").is_empty());
    wait_until("no part fails", || read_metric(engine, "assay_parts_failing", "") == 0.0);
}

#[test]
fn a_failing_store_shows_in_the_metrics_of_the_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::new("archive.write_events", usize::MAX);
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| faulty(ports, &faults));
    define(&running);
    ingest(&running, 0..100);
    let engine = &running.engine;
    let sink = "archive-events";
    // AssaySinkErrors, AssayPartsFailing, AssayPanics, AssaySinkLagGrowing.
    wait_until("errors are counted", || read_metric(engine, "assay_sink_errors_total", sink) >= 2.0);
    wait_until("its part fails", || read_metric(engine, "assay_parts_failing", "") >= 1.0);
    assert!(read_metric(engine, "assay_panics_total", "sink-archive-events") >= 2.0);
    wait_until("what derives is there", || read_metric(engine, "assay_sink_lag", "\"derive\"") == 0.0);
    // A sink whose store fails reads its positions one after the other; until then a partition's lag is not known.
    wait_until("its lag is known", || read_metric(engine, "assay_sink_lag", sink) >= 100.0);
    let before = read_metric(engine, "assay_sink_lag", sink);
    ingest(&running, 100..200);
    wait_until("what comes lags, too", || read_metric(engine, "assay_sink_lag", sink) >= before + 100.0);
    wait_until("it lags alone", || engine.readiness().ready);
    // AssayDeadLetters (a payment of nothing has no ratio), AssayLatencyHigh, AssayCheckpointSlow, AssayCatalogsDiffer.
    wait_until("failures are counted", || read_metric(engine, "assay_failures_total", "payments") > 0.0);
    for metric in [
        "assay_verdict_latency_seconds_bucket",
        "assay_checkpoint_time_seconds_bucket",
        "assay_catalog_version",
        "assay_events_scored_total",
        "assay_events_ingested_total",
    ] {
        wait_until(metric, || read_metric(engine, metric, "") > 0.0);
    }
}

/// The shipped alerts and dashboards read only metrics that the server registers.
#[test]
fn metrics_of_alerts_and_dashboards_are_registered() {
    let registered = include_str!("../../../../engine/src/metrics.rs");
    let shipped = [
        include_str!("../../../../../compose/prometheus/alerts.yml"),
        include_str!("../../../../../compose/grafana/dashboards/assay.json"),
    ];
    let mut checked = 0;
    for file in shipped {
        let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter_map(|word| word.strip_prefix("assay_")).filter(|name| *name != "1m") {
            let plain = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let plain = ["_seconds", "_bytes"].iter().find_map(|unit| plain.strip_suffix(unit)).unwrap_or(plain);
            assert!(registered.contains(&format!("\"{plain}\"")), "assay_{name} is none of the server's metrics");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}
