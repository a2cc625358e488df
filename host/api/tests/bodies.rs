//! Bodies other than plain JSON: Avro files, and what is compressed, both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::time::Duration;

use apache_avro::types::{Record, Value as Avro};
use assay_api::ApiConfig;
use serde_json::json;
use support::{Server, WAIT_TIMEOUT, payment};

const EVENTS: &str = "/v1/streams/payments/events";

/// What another team writes: more fields, in another order, an int where the stream has a double.
const WRITER: &str = r#"{"type": "record", "name": "Pay", "fields": [
    {"name": "shop", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "amount", "type": "int"},
    {"name": "card", "type": ["null", "string"]},
    {"name": "id", "type": "string"}
]}"#;

/// An Avro file of payments, as the Avro library writes it; a card that is none is null.
fn file(cards: &[Option<&str>]) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(WRITER).unwrap();
    let codec = apache_avro::Codec::Deflate(Default::default());
    let mut writer = apache_avro::Writer::with_codec(&schema, Vec::new(), codec).unwrap();
    for (i, card) in cards.iter().enumerate() {
        let mut record = Record::new(&schema).unwrap();
        record.put("shop", "m");
        record.put("time", Avro::TimestampMicros(1_000_000 * i as i64));
        record.put("amount", 600 + i as i32);
        let card = card.map_or(Avro::Union(0, Box::new(Avro::Null)), |card| {
            Avro::Union(1, Box::new(Avro::String(card.to_owned())))
        });
        record.put("card", card);
        record.put("id", format!("p{i}"));
        writer.append_value(record).unwrap();
    }
    writer.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn an_avro_file_of_another_schema_is_scored_like_the_streams_own_events() {
    let server = Server::start();
    server.define_payments();
    let body = file(&[Some("c"), None, Some("c")]);
    let admin = Some(server.admin.as_str());
    let sent = server.send("POST", &format!("{EVENTS}?wait=verdicts"), admin, Some(("application/avro", &body)));
    let answer = sent.expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{answer}");
    assert_eq!(answer["errors"][0]["row"], 2);
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("no branch 0"), "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[1]["row"], &results[1]["id"], &results[1]["time"]), (&json!(3), &json!("p2"), &json!(2000)));
    let big = results[1]["verdicts"].as_array().unwrap().iter().find(|verdict| verdict["rule"] == "big").unwrap();
    assert_eq!(big["score"], 0.602);
}

#[test]
fn a_damaged_avro_file_is_refused_whole() {
    let server = Server::start();
    server.define_payments();
    let admin = Some(server.admin.as_str());
    let send = |body: &[u8]| server.send("POST", EVENTS, admin, Some(("avro/binary", body)));
    let whole = file(&[Some("c"), Some("c")]);
    let problem = send(&whole[..whole.len() - 1]).problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("block 1 breaks off"), "{problem}");
    let other = String::from_utf8_lossy(&whole).contains("\"shop\"");
    assert!(other, "the schema stands in the header as text");
    let renamed: Vec<u8> = {
        let at = whole.windows(6).position(|window| window == b"\"card\"").unwrap();
        [&whole[..at], b"\"dard\"", &whole[at + 6..]].concat()
    };
    let problem = send(&renamed).problem(422, "invalid-events");
    assert!(problem["detail"].as_str().unwrap().contains("card: it is not written, and has no default"), "{problem}");
    send(&file(&[None])).problem(422, "invalid-events");
    send(b"").problem(400, "bad-request");
    assert_eq!(send(&file(&[])).expect(202)["accepted"], 0);
    server.get("/v1/entities/payments/c").problem(404, "entity-not-found");
}

#[test]
fn compressed_bodies_are_accepted_everywhere_and_limits_hold_for_their_uncompressed_size() {
    let server = Server::with(ApiConfig { max_events_body: 10_000, ..ApiConfig::default() });
    server.define_payments();
    let send = |path: &str, method: &str, kind: &str, body: &[u8], encoding: &str| {
        server.admin_with(method, path, Some((kind, body)), &[("content-encoding", encoding)])
    };
    let event = payment("p1", "c", 20.0, 1).to_string();
    let json = "application/json";
    assert_eq!(send(EVENTS, "POST", json, &gzip(event.as_bytes()), "gzip").expect(202)["accepted"], 1);
    let zstd = zstd::encode_all(event.as_bytes(), 3).unwrap();
    assert_eq!(send(EVENTS, "POST", json, &zstd, "zstd").expect(202)["accepted"], 1);
    let rule = gzip(support::BIG.replace("1000.0", "2000.0").as_bytes());
    send("/v1/rules/big", "PUT", "application/yaml", &rule, "gzip").expect(200);
    send("/v1/changes", "POST", json, &gzip(br#"{"changes": []}"#), "gzip").expect(200);

    let bomb = gzip(&vec![b' '; 50 << 20]);
    let small_bomb = zstd::encode_all(vec![b' '; 10_001].as_slice(), 3).unwrap();
    assert!(small_bomb.len() < 100);
    for (body, encoding) in [(&bomb, "gzip"), (&small_bomb, "zstd")] {
        let problem = send(EVENTS, "POST", json, body, encoding).problem(413, "too-large");
        assert!(problem["detail"].as_str().unwrap().contains("larger than 10000 bytes"), "{problem}");
    }
    send(EVENTS, "POST", json, event.as_bytes(), "gzip").problem(400, "bad-request");
    let problem = send(EVENTS, "POST", json, event.as_bytes(), "br").problem(415, "unsupported-media-type");
    assert!(problem["detail"].as_str().unwrap().contains("gzip or zstd, got 'br'"), "{problem}");
}

#[test]
fn answers_are_compressed_as_accept_encoding_asks() {
    let server = Server::start();
    server.define_payments();
    let plain = server.get("/v1/rules");
    assert_eq!(plain.headers.get("content-encoding"), None);
    for encoding in ["gzip", "zstd"] {
        let answer = server.admin_with("GET", "/openapi.json", None, &[("accept-encoding", encoding)]);
        assert_eq!(answer.headers["content-encoding"], encoding);
        // A small one is not worth it.
        let answer = server.admin_with("GET", "/healthz", None, &[("accept-encoding", encoding)]);
        assert_eq!(answer.headers.get("content-encoding"), None);
    }
}

#[test]
fn only_configured_origins_may_send_requests() {
    let origin = ("origin", "https://example.com");
    let server = Server::start();
    let answer = server.admin_with("GET", "/v1/rules", None, &[origin]);
    assert_eq!(answer.headers.get("access-control-allow-origin"), None);
    let named = ApiConfig { cors_origins: vec!["https://example.com".to_owned()], ..ApiConfig::default() };
    let server = Server::with(named);
    let wish = [origin, ("access-control-request-method", "PUT"), ("access-control-request-headers", "authorization")];
    let answer = server.admin_with("OPTIONS", "/v1/rules/big", None, &wish);
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (200, &"https://example.com".parse().unwrap())
    );
    assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    // An error is read as well.
    let answer = server.admin_with("GET", "/v1/rules/none", None, &[origin]);
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (404, &"https://example.com".parse().unwrap())
    );
    let answer = server.admin_with("GET", "/v1/rules", None, &[("origin", "https://elsewhere.com")]);
    assert_eq!(answer.headers.get("access-control-allow-origin"), None);
}

/// The head of the answer to a request whose body comes later than its head.
fn answer_to_a_late_body(server: &Server, path: &str, kind: &str, body: &str) -> String {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    let head = format!(
        "{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        server.admin,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // Who does not want it may have closed already.
    let _ = stream.write_all(body.as_bytes());
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[test]
fn a_connection_with_an_unread_body_announces_its_end() {
    let server = Server::start();
    server.define_payments();
    let pause = answer_to_a_late_body(&server, "POST /v1/rules/big/pause", "application/json", "null");
    assert!(pause.starts_with("http/1.1 200") && pause.contains("connection: close"), "{pause}");
    let unknown = answer_to_a_late_body(&server, "POST /v1/nothing", "application/json", "{}");
    assert!(unknown.starts_with("http/1.1 404") && unknown.contains("connection: close"), "{unknown}");
    // What is read leaves the connection open, also if it is refused.
    for (body, status) in [(r#"{"changes":[]}"#, "200"), (r#"{"changes":7}"#, "4")] {
        let read = answer_to_a_late_body(&server, "POST /v1/changes", "application/json", body);
        assert!(read.starts_with(&format!("http/1.1 {status}")) && !read.contains("connection: close"), "{read}");
    }
}
