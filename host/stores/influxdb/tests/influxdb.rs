//! The InfluxDB adapter, against a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "influxdb/bucket.rs"]
mod bucket;
#[path = "influxdb/client.rs"]
mod client;
use assay_contract as contract;
use assay_contract::faults;
#[path = "influxdb/report.rs"]
mod report;

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::series::{FieldValue, Point};
use assay_influxdb::{Config, InfluxDb};
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
    points_round_trip(read),
    unstorable_values_are_left_out(read),
    repeated_writes_change_nothing(read),
    events_of_the_same_millisecond_stay_apart(read),
    positions_are_kept_apart()
);

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn points_survive_reopen() {
    let bucket = Bucket::create();
    contract::series::write_points_before_reopen(&*bucket.open().series());
    contract::series::points_survive_reopen(&*bucket.open().series(), &|measurement| bucket.read(measurement));
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
    assert_eq!(series.events_position(&payments(0)).unwrap(), Offset(1), "it stays until the rest is kept elsewhere");
    assert_eq!(series.write_events(&payments(0), Vec::new(), Offset(12_000)).unwrap(), []);
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
    bucket.open_at(&proxy.url()).series().write(numbers(10)).unwrap();
    assert_eq!(proxy.seen().len(), 4);
    assert_eq!(bucket.read("m").len(), 10);
}

/// The adapter on a server that gives every request this answer.
fn open_at_server_that_answers(status: u16, body: &'static str) -> (InfluxDb, Proxy) {
    let proxy = Proxy::start("http://127.0.0.1:1", Box::new(move |_| Some((status, "", body.to_owned()))));
    (InfluxDb::open(&Config::new(&proxy.url(), "o", "b", "t")).unwrap(), proxy)
}

#[test]
fn overload_is_not_waited_out_for_ever() {
    let (database, proxy) = open_at_server_that_answers(503, "busy");
    let error = database.series().write(numbers(1)).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert!(error.to_string().contains("HTTP 503: busy (tried 6 times)"), "{error}");
    assert_eq!(proxy.seen().len(), 6);
}

#[test]
fn a_redirect_is_not_followed_and_any_success_is_one() {
    let (database, _proxy) = open_at_server_that_answers(307, "");
    let error = database.series().write(numbers(1)).unwrap_err();
    assert!(error.to_string().contains("HTTP 307") && error.to_string().contains("redirects"), "{error}");
    let (database, proxy) = open_at_server_that_answers(200, "{}");
    assert!(database.series().write(numbers(1)).unwrap().is_empty());
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn a_server_that_is_not_well_says_so() {
    let unwell = r#"{"name":"influxdb","message":"the disk is full","status":"fail","checks":[]}"#;
    for status in [200, 503] {
        let (database, proxy) = open_at_server_that_answers(status, unwell);
        let error = database.series().events_position(&payments(0)).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }));
        assert!(error.to_string().contains("it is not well: the disk is full"), "{error}");
        assert_eq!(proxy.seen().len(), 1);
    }
}

#[test]
fn positions_are_read_from_rows_and_from_nothing_else() {
    let head =
        "#datatype,string,long,long\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n";
    let failed =
        "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,out of memory,897\r\n";
    let read = |body: String| {
        let answer = move |request: &faults::Request| {
            let is_query = request.path.starts_with("/api/v2/query?org=an+org%26");
            Some(if is_query { (200, "", body.clone()) } else { (404, "", String::new()) })
        };
        let proxy = Proxy::start("http://127.0.0.1:1", Box::new(answer));
        let config = Config::new(&proxy.url(), "an org&", "b", "t");
        InfluxDb::open(&config).unwrap().series().events_position(&payments(0))
    };
    assert_eq!(read(format!("{head},,0,123\r\n\r\n")).unwrap(), Offset(123));
    assert_eq!(read(format!("{head},,0,1\r\n,,1,9007199254740993\r\n")).unwrap(), Offset((1 << 53) + 1));
    assert_eq!(read("\r\n".to_owned()).unwrap(), Offset(0));
    assert_eq!(read(String::new()).unwrap(), Offset(0));
    for (body, expected) in [
        (failed.to_owned(), "out of memory"),
        ("<html><p>hello, world</p></html>\r\n".to_owned(), "annotations not found"),
        (format!("{head},,0,-1\r\n"), "no position"),
    ] {
        let error = read(body).unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = client::server_that_breaks_off();
    let config = Config { timeout: Duration::from_secs(2), ..Config::new(&server.url(), "o", "b", "t") };
    let error = InfluxDb::open(&config).unwrap().series().events_position(&payments(0)).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("tried"), "{error}");
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
    let config = Config::new(&format!("http://{address}"), "o", "b", "t");
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
