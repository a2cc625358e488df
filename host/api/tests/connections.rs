//! Peers that say nothing keep nobody out: through real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use assay_api::ApiConfig;
use serde_json::{Value, json};
use support::{PAYMENTS, Server, WAIT_TIMEOUT, payment};

const EVENTS: &str = "/v1/streams/payments/events";

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    stream
}

/// The head of a request with the key `admin` that announces a body.
fn head(server: &Server, length: usize) -> String {
    format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n",
        server.admin
    )
}

/// Whether the server closes a connection before the deadline.
fn is_closed(mut stream: TcpStream) -> bool {
    let mut byte = [0];
    // A reset is a close, too.
    stream.read(&mut byte).map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |read| read == 0)
}

/// The status of an answer.
fn status(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn silent_connections_do_not_block_new_ones() {
    let config = ApiConfig { max_connections: 24, max_keyless_per_address: 24, ..ApiConfig::default() };
    let server = Server::with(ApiConfig { keyless_timeout: Duration::from_secs(600), ..config });
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    // One that is busy stays: its client sends the rest of its body when all others are there.
    let event = payment("p1", "c", 1.0, 1).to_string();
    let mut busy = connect(&server);
    let head = head(&server, event.len()).replace("Host: x", "Host: x\r\nExpect: 100-continue");
    busy.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    busy.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    busy.write_all(&event.as_bytes()[..5]).unwrap();
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = connect(&server);
        if number % 2 == 0 {
            stream.write_all(b"GET /v1/rules HTTP/1.1\r\nHo").unwrap();
        }
        silent.push(stream);
        if number % 50 == 49 {
            // Far more than may be open are there, and nobody waits for a timeout.
            assert_eq!(server.send("GET", "/healthz", None, None).status, 200);
            server.post(EVENTS, &payment(&format!("q{number}"), "c", 1.0, 1)).expect(202);
        }
    }
    busy.write_all(&event.as_bytes()[5..]).unwrap();
    assert_eq!(status(&mut busy), "HTTP/1.1 202");
    assert!(is_closed(silent.swap_remove(0)), "the oldest made room");
}

#[test]
fn keyless_connections_are_limited_per_address_and_time_out_soon() {
    let config =
        ApiConfig { max_keyless_per_address: 3, keyless_timeout: Duration::from_millis(300), ..ApiConfig::default() };
    let server = Server::with(config);
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let mut with_key = connect(&server);
    let event = payment("p1", "c", 1.0, 1).to_string();
    let request = format!("{}{event}", head(&server, event.len()));
    with_key.write_all(request.as_bytes()).unwrap();
    assert_eq!(status(&mut with_key), "HTTP/1.1 202");
    let silent: Vec<TcpStream> = (0..10).map(|_| connect(&server)).collect();
    for stream in silent {
        assert!(is_closed(stream), "a silent connection lives on");
    }
    let begin = Instant::now();
    let mut wrong = connect(&server);
    wrong.write_all(b"GET /v1/rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\n\r\n").unwrap();
    assert_eq!(status(&mut wrong), "HTTP/1.1 401");
    let mut rest = Vec::new();
    assert!(wrong.read_to_end(&mut rest).is_ok() && begin.elapsed() < WAIT_TIMEOUT, "a wrong key gives no longer life");
    // The one with a key has idled for as long as all of these together.
    with_key.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let read = with_key.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).contains("accepted"), "the connection with a key was closed");
}

#[test]
fn announced_bodies_do_not_use_the_budget() {
    let config = ApiConfig {
        max_events_body: 1 << 20,
        max_definition_body: 1 << 20,
        max_plugin_body: 1 << 20,
        max_in_flight: 2 << 20,
        body_timeout: Duration::from_secs(2),
        ..ApiConfig::default()
    };
    let server = Server::with(config);
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let mut silent: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(format!("{}[", head(&server, 1 << 20)).as_bytes()).unwrap();
            stream
        })
        .collect();
    // Nearly a whole body, while twenty others have announced one each.
    let events: Vec<Value> = (0..9000).map(|at| payment(&format!("p{at}"), "c", 1.0, at)).collect();
    server.post(EVENTS, &json!(events)).expect(202);
    for stream in &mut silent {
        assert_eq!(status(stream), "HTTP/1.1 408", "a body that stops is refused");
    }
}

#[test]
fn bodies_beyond_the_budget_are_read_one_after_the_other() {
    let config = ApiConfig {
        max_events_body: 1 << 20,
        max_definition_body: 1 << 20,
        max_plugin_body: 1 << 20,
        max_in_flight: 2 << 20,
        queue_timeout: WAIT_TIMEOUT,
        ..ApiConfig::default()
    };
    let server = Server::with(config);
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let events: Vec<Value> = (0..9000).map(|at| payment(&format!("p{at}"), &format!("c{at}"), 1.0, at)).collect();
    let body = json!(events);
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| server.post(EVENTS, &body).status)).collect();
        for one in sent {
            assert_eq!(one.join().unwrap(), 202);
        }
    });
}

#[test]
fn live_streams_do_not_count_as_idle() {
    let config = ApiConfig { max_connections: 6, max_keyless_per_address: 6, ..ApiConfig::default() };
    let server = Server::with(config);
    server.define_payments();
    let mut follower = connect(&server);
    let asked =
        format!("GET /v1/verdicts/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", server.admin);
    follower.write_all(asked.as_bytes()).unwrap();
    assert_eq!(status(&mut follower), "HTTP/1.1 200");
    // It is silent for longer than others must be to be closed.
    let until = Instant::now() + Duration::from_millis(1500);
    let mut silent = Vec::new();
    while Instant::now() < until {
        silent.push(connect(&server));
        assert_eq!(server.send("GET", "/healthz", None, None).status, 200);
    }
    server.post(EVENTS, &payment("p1", "c", 600.0, 1)).expect(202);
    let mut seen = String::new();
    let mut bytes = [0; 4096];
    while !seen.contains("event: verdict") {
        let read = follower.read(&mut bytes).unwrap();
        assert!(read > 0, "the follower was cut off");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}
