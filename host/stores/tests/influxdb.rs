//! The InfluxDB adapter, against a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "influxdb/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "only the time series' part is used here")]
mod contract;
#[allow(dead_code, reason = "shared with other tests")]
mod faults;
#[path = "influxdb/report.rs"]
mod report;

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::series::{FieldValue, Point};
use assay_stores::influxdb::InfluxDb;
use bucket::Bucket;
use contract::payments;
use contract::series::{NEW_YEAR, point, stored};
use faults::Proxy;

/// Points of one series, one per nanosecond, with an integer field.
fn numbers(count: i64) -> Vec<Point> {
    (0..count).map(|at| point("m", "t", &[("n", FieldValue::Int(at))], NEW_YEAR * 1_000_000 + at)).collect()
}

macro_rules! contract {
    ($($check:ident($($read:ident)?)),+) => {
        $(
            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $check() {
                let bucket = Bucket::create();
                contract::series::$check(&*bucket.open().series() $(, &|measurement| bucket.$read(measurement))?);
            }
        )+
    };
}

contract!(
    points_come_back(read),
    what_cannot_be_held_is_left_out(read),
    repeated_writes_change_nothing(read),
    events_of_the_same_millisecond_stay_apart(read),
    positions_are_kept_apart()
);

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn points_kept() {
    let bucket = Bucket::create();
    contract::series::points_written(&*bucket.open().series());
    contract::series::points_kept(&*bucket.open().series(), &|measurement| bucket.read(measurement));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn poison_is_set_aside_and_the_rest_is_written() {
    let bucket = Bucket::create();
    let series = bucket.open().series();
    series.write_events(&payments(0), numbers(1), Offset(1)).unwrap();
    let mut points = numbers(12_000);
    // Another type than the field has, a tag that cannot be, a key that is too long.
    points[17].fields = vec![("n".to_owned(), FieldValue::Text("no number".to_owned()))];
    points[5_000].fields = vec![("n".to_owned(), FieldValue::Float(0.5))];
    points[11_999].tags = (0..20).map(|at| (format!("tag{at}"), "x".repeat(4_000))).collect();
    points[3].measurement = String::new();
    let poison = series.write_events(&payments(0), points.clone(), Offset(12_000)).unwrap();
    assert_eq!(poison.iter().map(|poison| poison.index).collect::<Vec<_>>(), [3, 17, 5_000, 11_999]);
    assert!(poison[1].message.contains("already exists as type integer"), "{}", poison[1].message);
    assert!(poison[3].message.contains("max key length exceeded"), "{}", poison[3].message);
    let bad: BTreeSet<usize> = poison.iter().map(|poison| poison.index).collect();
    let expected: Vec<_> = (0..12_000).filter(|at| !bad.contains(at)).map(|at| stored(&points[at])).collect();
    assert!(bucket.read("m") == expected);
    assert_eq!(series.events_position(&payments(0)).unwrap(), Offset(12_000));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_batch_of_nothing_but_poison_is_not_searched() {
    let bucket = Bucket::create();
    bucket.open().series().write(numbers(1)).unwrap();
    let proxy = Proxy::with_faults(&bucket.url, []);
    let texts: Vec<Point> = (0..5_000)
        .map(|at| point("m", "t", &[("n", FieldValue::Text("x".to_owned()))], NEW_YEAR * 1_000_000 + at))
        .collect();
    assert_eq!(bucket.open_at(&proxy.url()).series().write(texts).unwrap().len(), 5_000);
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn points_older_than_the_bucket_keeps_them_are_left_out() {
    let bucket = Bucket::keeping(Duration::from_secs(3600));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let mut points = numbers(2);
    points[1].time_ns = now;
    assert!(bucket.open().series().write(points.clone()).unwrap().is_empty());
    assert_eq!(bucket.read("m"), [stored(&points[1])]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn bodies_are_compressed_batches_of_5000_lines() {
    let bucket = Bucket::create();
    let proxy = Proxy::with_faults(&bucket.url, []);
    bucket.open_at(&proxy.url()).series().write(numbers(12_000)).unwrap();
    let mut lines = Vec::new();
    for request in proxy.seen() {
        assert_eq!(request.header("content-encoding"), "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&request.body[..]).read_to_string(&mut text).unwrap();
        assert!(request.body.len() * 5 < text.len(), "{} of {}", request.body.len(), text.len());
        lines.push(text.lines().count());
    }
    assert_eq!(lines, [5_000, 5_000, 2_000]);
    assert_eq!(bucket.read("m").len(), 12_000);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn overload_is_waited_out() {
    let bucket = Bucket::create();
    let later = [
        (429, "retry-after: 1\r\n", String::new()),
        (503, "", "busy".to_owned()),
        (500, "", "{\"code\":\"internal error\",\"message\":\"timeout\"}".to_owned()),
    ];
    let proxy = Proxy::with_faults(&bucket.url, later);
    let started = Instant::now();
    bucket.open_at(&proxy.url()).series().write(numbers(10)).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "the pause that was asked for");
    assert_eq!(proxy.seen().len(), 4);
    assert_eq!(bucket.read("m").len(), 10);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn overload_is_not_waited_out_for_ever() {
    let bucket = Bucket::create();
    let proxy = Proxy::start(&bucket.url, Box::new(|_| Some((503, "", "busy".to_owned()))));
    let error = bucket.open_at(&proxy.url()).series().write(numbers(1)).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert!(error.to_string().contains("HTTP 503: busy (tried 6 times)"), "{error}");
    let patient =
        Proxy::start(&bucket.url, Box::new(|_| Some((429, "retry-after: 18446744073709551615\r\n", String::new()))));
    let started = Instant::now();
    assert!(bucket.open_at(&patient.url()).series().write(numbers(1)).is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "so long is for the follower to wait");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn batches_that_are_too_long_are_halved() {
    let bucket = Bucket::create();
    let decide = |request: &faults::Request| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&request.body[..]).read_to_string(&mut text).unwrap();
        let too_long = text.lines().count() > 100 || text.contains("long");
        too_long
            .then(|| (413, "", "{\"code\":\"request too large\",\"message\":\"points batch is too large\"}".to_owned()))
    };
    let proxy = Proxy::start(&bucket.url, Box::new(decide));
    let mut points = numbers(1_000);
    points[500].fields.push(("text".to_owned(), FieldValue::Text("long".to_owned())));
    let poison = bucket.open_at(&proxy.url()).series().write(points).unwrap();
    assert_eq!(poison.iter().map(|poison| poison.index).collect::<Vec<_>>(), [500]);
    assert_eq!(bucket.read("m").len(), 999);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn refusals_come_with_advice() {
    let bucket = Bucket::create();
    let mut config = bucket.config();
    config.token = "wrong".to_owned();
    let error = |config| InfluxDb::open(config).unwrap().series().write(numbers(1)).unwrap_err();
    let refused = error(&config);
    assert!(matches!(refused, StoreError::Broken { .. }));
    assert!(refused.to_string().contains("401") && refused.to_string().contains("is the token right?"), "{refused}");
    let mut config = bucket.config();
    config.bucket = "none".to_owned();
    let refused = error(&config);
    assert!(refused.to_string().contains("bucket 'none': HTTP 404"), "{refused}");
    let asked = InfluxDb::open(&config).unwrap().series().events_position(&payments(0)).unwrap_err();
    assert!(asked.to_string().contains("influx bucket create"), "{asked}");
}

#[test]
fn a_server_that_is_not_there_is_named_in_time() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = assay_stores::influxdb::Config::new(&format!("http://{address}"), "o", "b", "t");
    let started = Instant::now();
    let error = InfluxDb::open(&config).unwrap().series().write(numbers(1)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(11));
    assert!(matches!(error, StoreError::Unavailable { .. }));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("is InfluxDB running there?"), "{text}");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn throughput() {
    let bucket = Bucket::create();
    let series = bucket.open().series();
    let scores = |round: i64| -> Vec<Point> {
        (0..25_000)
            .map(|at| {
                let offset = round * 25_000 + at;
                let fields = [
                    ("score", FieldValue::Float(offset as f64 / 7.0)),
                    ("key", FieldValue::Text(format!("card-{}", offset % 1000))),
                ];
                let time = Point::time_ns(NEW_YEAR + offset / 100, Offset(offset as u64)).unwrap();
                point("scores", ["low", "high"][(at % 2) as usize], &fields, time)
            })
            .collect()
    };
    let started = Instant::now();
    for round in 0..8 {
        series.write_verdicts(&payments(0), scores(round), Offset(round as u64 + 1)).unwrap();
    }
    println!("{:.0} points/s", 200_000.0 / started.elapsed().as_secs_f64());
    assert_eq!(bucket.count("scores"), 200_000);
}
