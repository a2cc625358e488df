//! Where the crate `influxdb2` 0.5.2 does not do what the adapter needs, and the adapter has a part of its own for it.
//! A test that fails here after an update names a part that can go.

use influxdb2::models::{DataPoint, Query, WriteDataPoint};
use influxdb2::{Client, RequestError};
use tokio::runtime::Builder;

use super::faults::{Proxy, Request};

fn wait<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A server without a page for its health, whose answers end within a chunk.
pub(crate) fn server_that_breaks_off() -> Proxy {
    let answer = |request: &Request| match &*request.path {
        "/health" => (404, "", String::new()),
        _ => (200, "transfer-encoding: chunked\r\n", "64\r\n#datatype".to_owned()),
    };
    Proxy::start("http://127.0.0.1:1", Box::new(move |request| Some(answer(request))))
}

/// A server that gives every request this answer.
fn answering(status: u16, headers: &'static str, body: &'static str) -> (Client, Proxy) {
    let proxy = Proxy::start("http://127.0.0.1:1", Box::new(move |_| Some((status, headers, body.to_owned()))));
    (Client::new(proxy.url(), "o", "t"), proxy)
}

/// So the adapter writes its own lines (`line.rs`).
#[test]
fn its_points_become_other_lines() {
    let line = |measurement: &str, tag: &str, text: &str| {
        let point = DataPoint::builder(measurement).tag("t", tag).field("f", text).timestamp(1).build().unwrap();
        let mut line = Vec::new();
        point.write_data_point_to(&mut line).unwrap();
        String::from_utf8(line).unwrap()
    };
    assert_eq!(
        line("m", "v", "ends with \\"),
        "m,t=v f=\"ends with \\\" 1\n",
        "the quote is escaped, the text goes on"
    );
    assert_eq!(line("m", "v", "a\\\"b"), "m,t=v f=\"a\\\\\"b\" 1\n", "the text ends at its quote");
    assert_eq!(line("m", "v\\", "x"), "m,t=v\\ f=\"x\" 1\n", "the space is escaped, the tag goes on");
    assert_eq!(line("m", "v f=1\nother", "x").lines().count(), 2, "a tag makes a point of its own");
    assert!(line("#m", "v", "x").starts_with('#'), "the line is a comment: the point is lost in silence");
    assert!(line("m", "", "x").starts_with("m,t= "), "refused by the server");
    let infinite = DataPoint::builder("m").field("f", f64::NAN).build().unwrap();
    let mut line = Vec::new();
    infinite.write_data_point_to(&mut line).unwrap();
    assert_eq!(line, b"m f=NaN\n", "refused by the server");
}

/// So the adapter's pauses are its own, and its time limit is what bounds an answer.
#[test]
fn its_errors_have_all_of_the_body_and_none_of_the_headers() {
    let body: &'static str = "x".repeat(8 << 20).leak();
    let (client, _proxy) = answering(429, "retry-after: 1\r\n", body);
    let error = wait(client.write_line_protocol("o", "b", "m f=1")).unwrap_err();
    match error {
        // All fields that it has.
        RequestError::Http { status, text } => assert_eq!((status.as_u16(), text.len()), (429, 8 << 20)),
        other => panic!("{other}"),
    }
}

/// So the adapter takes other statuses of success out of the errors.
#[test]
fn it_takes_204_alone_for_success() {
    let (client, _proxy) = answering(200, "", "");
    assert!(wait(client.write_line_protocol("o", "b", "m f=1")).is_err());
}

/// So the adapter refuses addresses with a path.
#[test]
fn it_drops_the_path_of_an_address() {
    let (_, proxy) = answering(204, "", "");
    let client = Client::new(format!("{}/below", proxy.url()), "o", "t");
    wait(client.write_line_protocol("o", "b", "m f=1")).unwrap();
    assert_eq!(proxy.seen()[0].path, "/api/v2/write?bucket=b&org=o&precision=ns");
}

/// So the adapter checks addresses first.
#[test]
fn it_panics_at_a_bad_address() {
    assert!(std::panic::catch_unwind(|| Client::new("a b", "o", "t")).is_err());
}

/// So the adapter asks by `query_raw_iter`, and for values that are never null.
#[test]
fn its_queries_panic_at_answers_that_break_off_and_at_null() {
    let panics = |client: Client| {
        let query = move || wait(client.query_raw(Some(Query::new(String::new())))).map(|rows| rows.len());
        std::thread::spawn(query).join().is_err()
    };
    assert!(panics(Client::new(server_that_breaks_off().url(), "o", "t")));
    let (client, _proxy) =
        answering(200, "", "#datatype,string,long\r\n#group,false,false\r\n#default,,\r\n,result,_value\r\n,,\r\n");
    assert!(panics(client));
}
