//! The process's own metrics as points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assay_engine::ports::series::FieldValue;
use assay_engine::{Metrics, RouteLabel};
use assay_influxdb::{Config, MetricsReport};

use super::bucket::Bucket;
use super::faults::{Proxy, Request};

/// Metrics of a process, and a report of them to a server every second.
fn report(config: &Config) -> (Arc<Metrics>, MetricsReport) {
    let metrics = Arc::new(Metrics::new());
    let measured = metrics.clone();
    let tags = vec![("host".to_owned(), "h 1".to_owned()), ("instance".to_owned(), "h 1:7717".to_owned())];
    let report = MetricsReport::start(config, Duration::from_secs(1), tags, move || measured.encode()).unwrap();
    (metrics, report)
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The newest value of a field of a measurement's only series.
fn newest(bucket: &Bucket, measurement: &str, field: &str) -> Option<FieldValue> {
    bucket.read(measurement).last().map(|point| point.fields[field].clone())
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn the_processes_own_metrics_are_points_too() {
    let bucket = Bucket::create();
    let proxy = Proxy::with_faults(&bucket.url, []);
    let (metrics, report) = report(&Config { url: proxy.url(), ..bucket.config() });
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    metrics.ingested.get_or_create(&Metrics::stream("pay, ments")).inc_by(3);
    metrics.checkpoint_time.observe(0.003);
    metrics.checkpoint_time.observe(1000.0);
    let route = RouteLabel { method: "GET".to_owned(), route: "/v1/{name}".to_owned(), status: 200 };
    metrics.requests.get_or_create(&route).inc();
    let is = |measurement: &str, field: &str, value: f64| {
        newest(&bucket, measurement, field) == Some(FieldValue::Float(value))
    };
    until("they are written", || is("assay_events_ingested_total", "value", 3.0));
    let tags = |measurement: &str| bucket.read(measurement).pop().unwrap().tags;
    let with = |more: &[(&str, &str)]| -> BTreeMap<String, String> {
        let all = [&[("host", "h 1"), ("instance", "h 1:7717")], more].concat();
        all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    assert_eq!(tags("assay_events_ingested_total"), with(&[("stream", "pay, ments")]));
    let expected = with(&[("method", "GET"), ("route", "/v1/{name}"), ("status", "200")]);
    assert_eq!(tags("assay_http_requests_total"), expected);
    assert_eq!(tags("assay_checkpoint_time_seconds"), with(&[]));
    for (field, value) in [
        ("count", 2.0),
        ("sum", 1000.003),
        ("le_0.0016", 0.0),
        ("le_0.0032", 1.0),
        ("le_52.4288", 1.0),
        ("le_+Inf", 2.0),
    ] {
        assert!(is("assay_checkpoint_time_seconds", field, value), "{field}");
    }
    assert!(bucket.read("assay_catalog_version").iter().all(|point| point.time_ns > began));
    metrics.ingested.get_or_create(&Metrics::stream("pay, ments")).inc_by(4);
    until("they are written again", || is("assay_events_ingested_total", "value", 7.0));
    assert!(proxy.seen().iter().all(|request| request.header("content-encoding") == "gzip"));

    drop(report);
    until("the writer has ended and let go of the metrics", || Arc::strong_count(&metrics) == 1);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn metrics_that_cannot_be_written_are_dropped_and_hold_nothing_up() {
    let bucket = Bucket::create();
    let is_down = Arc::new(AtomicBool::new(true));
    let fails = is_down.clone();
    let fault = move |_: &Request| fails.load(Ordering::SeqCst).then(|| (503, "", "busy".to_owned()));
    let proxy = Proxy::start(&bucket.url, Box::new(fault));
    let (metrics, report) = report(&Config { url: proxy.url(), ..bucket.config() });
    metrics.checkpoint_time.observe(1.0);
    until("a write is given up and another tried", || proxy.seen().len() > 8);
    assert!(bucket.read("assay_checkpoint_time_seconds").is_empty());
    is_down.store(false, Ordering::SeqCst);
    until("the next one is written", || newest(&bucket, "assay_checkpoint_time_seconds", "count").is_some());
    is_down.store(true, Ordering::SeqCst);
    let tried = proxy.seen().len();
    until("a write is under way", || proxy.seen().len() > tried);
    let ending = Instant::now();
    drop(report);
    assert!(ending.elapsed() < Duration::from_millis(100), "nobody waits for it");
}
