//! Tests of the schema registry client against a server with canned answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use assay_engine::ports::StoreError;
use assay_kafka::{RegistryClient, Schemas as _};

/// The received requests: request line, authorization, body.
type ReceivedRequests = Arc<Mutex<Vec<(String, String, String)>>>;

/// Starts a server that answers each request with the next of `answers`. Returns its address and the received requests.
fn serve(answers: &[(u16, &str)]) -> (String, ReceivedRequests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let received = ReceivedRequests::default();
    let answers: Vec<(u16, String)> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    std::thread::spawn({
        let received = received.clone();
        move || {
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let (mut head, mut authorization, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut head).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    match line.trim_end().split_once(": ") {
                        Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                            authorization = value.to_owned();
                        }
                        Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                            length = value.parse().unwrap();
                        }
                        Some(_) => {}
                        None => break,
                    }
                }
                let mut sent = vec![0; length];
                reader.read_exact(&mut sent).unwrap();
                let sent = String::from_utf8(sent).unwrap();
                received.lock().unwrap().push((head.trim_end().to_owned(), authorization, sent));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (address, received)
}

#[test]
fn schemas_are_requested_once() {
    let (address, received) = serve(&[
        (200, r#"{"schema": "\"string\""}"#),
        (404, r#"{"error_code": 40403, "message": "Schema 9 not found"}"#),
        (404, r#"{"error_code": 40403, "message": "Schema 9 not found"}"#),
    ]);
    let client = RegistryClient::new(&format!("http://me:p%40ss@{address}/registry/"));
    for _ in 0..3 {
        assert_eq!(client.by_id(7), Ok(Some("\"string\"".to_owned())));
    }
    // An unknown id is not cached: it may become known.
    assert_eq!((client.by_id(9), client.by_id(9)), (Ok(None), Ok(None)));
    let received = received.lock().unwrap();
    let lines: Vec<&str> = received.iter().map(|(line, _, _)| line.as_str()).collect();
    let nine = "GET /registry/schemas/ids/9 HTTP/1.1";
    assert_eq!(lines, ["GET /registry/schemas/ids/7 HTTP/1.1", nine, nine]);
    assert_eq!(received[0].1, "Basic bWU6cEBzcw==");
}

#[test]
fn schemas_are_registered_or_refused_with_a_reason() {
    let conflict = r#"{"error_code": 409, "message": "reader field shop is missing"}"#;
    let (address, received) = serve(&[(200, r#"{"id": 12}"#), (409, conflict)]);
    let client = RegistryClient::new(&format!("http://{address}"));
    assert_eq!(client.register("payments-value", "{\"type\": \"int\"}"), Ok(12));
    let error = client.register("payments-value", "\"long\"").unwrap_err();
    assert!(matches!(error, StoreError::Broken { .. }));
    let text = error.to_string();
    assert!(text.contains("payments-value") && text.contains("reader field shop is missing"), "{text}");
    let received = received.lock().unwrap();
    assert_eq!(received[0].0, "POST /subjects/payments-value/versions HTTP/1.1");
    assert_eq!(received[0].2, r#"{"schema":"{\"type\": \"int\"}"}"#);
}

#[test]
fn a_failing_registry_is_retried_and_then_named() {
    let (address, received) = serve(&[(503, ""), (200, r#"{"schema": "\"int\""}"#), (500, "oh"), (500, "oh")]);
    let client = RegistryClient::new(&format!("http://{address}"));
    assert_eq!(client.by_id(1), Ok(Some("\"int\"".to_owned())));
    assert!(client.by_id(2).unwrap_err().to_string().contains("it answered 500"));
    assert_eq!(received.lock().unwrap().len(), 4);
    // Nobody listens any more.
    let error = client.by_id(3).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert!(error.to_string().contains(&address), "{error}");
}
