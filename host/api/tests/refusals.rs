//! What is refused is refused in the API's own words, and in few of them, on every route: whatever is in the path, the
//! query string, the headers and the body.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::routes::{Operation, operations};
use support::{Answer, Server};

/// Words of the libraries beneath, which say nothing to a user.
const FORBIDDEN: [&str; 14] = [
    "Failed to deserialize",
    "Option<",
    "struct ",
    "invalid utf-8",
    "trailing characters",
    "EOF while",
    "invalid digit",
    "cannot parse",
    "missing field",
    "unknown variant",
    "invalid type",
    "length limit",
    "u32",
    "usize",
];
/// The most bytes of a refusal.
const MAX_REFUSAL: usize = 64 << 10;

/// A name that is as long as a path may have.
fn long() -> String {
    "n".repeat(20_000)
}

#[track_caller]
fn check(what: &str, answer: &Answer) {
    assert!(answer.status < 500 || answer.status == 501, "{what}: {} {}", answer.status, answer.text);
    if answer.status >= 400 {
        assert!(answer.text.len() < MAX_REFUSAL, "{what}: {} bytes", answer.text.len());
        assert_eq!(answer.content_type, "application/problem+json", "{what}");
        if answer.json()["type"] == "urn:assay:invalid-definition" {
            // What readers of definitions say is tested with them.
            return;
        }
        for word in FORBIDDEN {
            assert!(!answer.text.contains(word), "{what}: '{word}' in {}", answer.text);
        }
    }
}

/// A body for an operation that has one, of its first content type.
fn body<'a>(operation: &'a Operation, bytes: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    operation.bodies.first().map(|kind| (kind.as_str(), bytes))
}

/// All operations but the one whose answers have no end.
fn ending() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| operation.path != "/v1/verdicts/stream")
}

#[test]
fn wrong_parameters_have_readable_errors() {
    let server = Server::start();
    server.define_payments();
    for operation in operations().into_iter().filter(|operation| operation.path.starts_with("/v1/")) {
        let path = operation.filled(|_| "x".to_owned());
        let ask = |query: String| {
            let path = format!("{path}{query}");
            let answer = server.send(&operation.method, &path, Some(&server.admin), body(&operation, b"{}"));
            check(&format!("{} {path}", operation.method), &answer);
            answer
        };
        let with = |name: &str, value: &str| {
            let mut query = operation.required(|_| "x".to_owned());
            if operation.query.iter().any(|parameter| parameter.is_required && parameter.name == name) {
                query = query.replace(&format!("{name}=x"), &format!("{name}={value}"));
            } else {
                query.push_str(&format!("{}{name}={value}", if query.is_empty() { "?" } else { "&" }));
            }
            query
        };
        let unknown = ask(with("colour", "red")).problem(400, "bad-request");
        assert!(unknown["detail"].as_str().unwrap().contains("no parameter 'colour'"), "{unknown}");
        ask(with(&long(), "1")).problem(400, "bad-request");
        for parameter in &operation.query {
            let name = &parameter.name;
            let twice = ask(format!("{}&{name}=x", with(name, "x"))).problem(400, "bad-request");
            assert!(twice["detail"].as_str().unwrap().contains(name.as_str()), "{twice}");
            ask(with(name, "%ff")).problem(400, "bad-request");
            if operation.path != "/v1/verdicts/stream" {
                ask(with(name, &long()));
            }
            let kind = parameter.schema["type"].to_string();
            if ["integer", "number", "boolean"].iter().any(|of| kind.contains(of))
                || parameter.schema["enum"].is_array()
            {
                for bad in ["many", "", "1e400", "-1.5x", "NaN"] {
                    let told = ask(with(name, bad)).problem(400, "bad-request");
                    let detail = told["detail"].as_str().unwrap();
                    assert!(detail.contains(&format!("{name}: expected")) && detail.contains(bad), "{detail}");
                }
            }
            if parameter.is_required {
                let query = with(name, "x").replace(&format!("{name}=x"), "").replace("?&", "?");
                let missing = ask(query).problem(400, "bad-request");
                assert!(missing["detail"].as_str().unwrap().contains(&format!("'{name}' is missing")), "{missing}");
            }
        }
    }
}

/// Parameters that take any text, because it is looked for: a part of a name, an entity, a tag. All others refuse what
/// they do not know.
const ANY_TEXT: [&str; 12] = [
    "GET /v1/dead-letters stream",
    "GET /v1/dead-letters rule",
    "GET /v1/plugins name",
    "GET /v1/rules name",
    "GET /v1/rules plugin",
    "GET /v1/streams name",
    "GET /v1/views name",
    // It is open for as long as the client is.
    "GET /v1/verdicts/stream rule",
    "GET /v1/verdicts/stream stream",
    "GET /v1/verdicts/stream tag",
    "GET /v1/views/{name}/buckets key",
    "GET /v1/views/{name}/values key",
];

#[test]
fn an_unknown_value_is_refused_with_the_known_ones() {
    let server = Server::start();
    server.define_payments();
    let mut enums = 0;
    for operation in operations().into_iter().filter(|operation| operation.path.starts_with("/v1/")) {
        let path = operation.filled(|part| if part == "stream" { "payments".to_owned() } else { "x".to_owned() });
        for parameter in &operation.query {
            let name = format!("{} {}", operation.name(), parameter.name);
            if ANY_TEXT.contains(&name.as_str()) {
                continue;
            }
            let required = operation.query.iter().filter(|other| other.is_required && other.name != parameter.name);
            let query: Vec<String> = required.map(|other| format!("{}=x", other.name)).collect();
            let path = format!("{path}?{}&{}=nonsense", query.join("&"), parameter.name).replace("?&", "?");
            let answer = server.send(&operation.method, &path, Some(&server.admin), body(&operation, b"{}"));
            check(&name, &answer);
            assert!([400, 404].contains(&answer.status), "{name} takes any word: {} {}", answer.status, answer.text);
            assert!(
                answer.text.contains(&parameter.name) || answer.text.contains("nonsense"),
                "{name}: {}",
                answer.text
            );
            for known in parameter.schema["enum"].as_array().into_iter().flatten() {
                enums += 1;
                assert!(answer.text.contains(known.as_str().unwrap()), "{name}: {}", answer.text);
            }
        }
    }
    assert!(enums >= 4, "the words of parameters are not in the document: {enums}");
}

#[test]
fn wrong_paths_have_readable_errors() {
    let server = Server::start();
    server.define_payments();
    for operation in ending() {
        let query = operation.required(|_| "x".to_owned());
        for bad in [long(), "%ff".to_owned(), "%00".to_owned(), "-1".to_owned(), "%F0%9F%92%A5".repeat(1000)] {
            let path = format!("{}{query}", operation.filled(|_| bad.clone()));
            let answer = server.send(&operation.method, &path, Some(&server.admin), body(&operation, b"{}"));
            check(&format!("{} {}", operation.name(), &bad[..bad.len().min(20)]), &answer);
        }
    }
    for path in ["/", "/v1", "/v1/nonsense", &format!("/v1/{}", long()), &format!("/{}", "%22".repeat(9000))] {
        check(path, &server.get(path));
    }
}

#[test]
fn wrong_headers_have_readable_errors() {
    let server = Server::start();
    server.define_payments();
    let long = long();
    let headers = [
        ("if-match", long.as_str()),
        ("if-match", "W/\"1\""),
        ("if-match", "nonsense, \"\""),
        ("if-none-match", long.as_str()),
        ("content-encoding", long.as_str()),
        ("content-encoding", "br"),
        ("accept-encoding", long.as_str()),
        ("last-event-id", long.as_str()),
        ("last-event-id", "nonsense"),
    ];
    for operation in operations() {
        let path = format!("{}{}", operation.filled(|_| "x".to_owned()), operation.required(|_| "x".to_owned()));
        if operation.path == "/v1/verdicts/stream" {
            for value in [long.as_str(), "nonsense"] {
                let answer = server.admin_with("GET", &path, None, &[("last-event-id", value)]);
                check(value, &answer);
                answer.problem(400, "bad-request");
            }
            continue;
        }
        for header in headers {
            let answer = server.admin_with(&operation.method, &path, body(&operation, b"{}"), &[header]);
            check(&format!("{} {}", operation.name(), header.0), &answer);
        }
        let kinds = [long.as_str(), "text/plain", "nonsense"];
        for kind in kinds.into_iter().filter(|_| !operation.bodies.is_empty()) {
            let answer = server.send(&operation.method, &path, Some(&server.admin), Some((kind, b"{}")));
            check(&format!("{} as {}", operation.name(), &kind[..kind.len().min(20)]), &answer);
        }
        check(&operation.name(), &server.send(&operation.method, &path, Some(&long), body(&operation, b"{}")));
        for scheme in ["Basic", "Digest"] {
            let value = format!("{scheme} {long}");
            let answer =
                server.send_with(&operation.method, &path, None, body(&operation, b"{}"), &[("authorization", &value)]);
            check(&operation.name(), &answer);
        }
    }
}

#[test]
fn wrong_bodies_have_readable_errors() {
    let server = Server::start();
    server.define_payments();
    // The largest body of a definition is 4 MiB, and some bodies have it four times.
    let huge = "n".repeat(900 << 10);
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"[{}".to_vec(),
        b"12".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"{} {}".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"a\": \"\xff\"}".to_vec(),
        b"\x1f\x8b\x08\x00".to_vec(),
        b"[".repeat(5000),
        b"{\"changes\": 1, \"name\": 2, \"schema\": 3}".to_vec(),
        json!({ huge.as_str(): 1 }).to_string().into_bytes(),
        json!({ "id": huge.as_str(), "card": huge.as_str(), "name": huge.as_str(), "roles": [huge.as_str()] })
            .to_string()
            .into_bytes(),
        json!({ "changes": [{ "kind": huge.as_str(), "name": huge.as_str(), "definition": null }] })
            .to_string()
            .into_bytes(),
        json!({ "changes": vec![json!({ "kind": "rule", "name": "n".repeat(3000), "definition": {} }); 900] })
            .to_string()
            .into_bytes(),
        format!("[{}]", vec![format!("{{\"{}\": 1}}", "n".repeat(20_000)); 150].join(",")).into_bytes(),
    ];
    for operation in ending().filter(|operation| !operation.bodies.is_empty()) {
        let path = operation.filled(|part| if part == "stream" { "payments".to_owned() } else { "x".to_owned() });
        for kind in &operation.bodies {
            for sent in &bodies {
                let answer = server.send(&operation.method, &path, Some(&server.admin), Some((kind, sent)));
                let shown = String::from_utf8_lossy(&sent[..sent.len().min(60)]).into_owned();
                check(&format!("{} with {kind}: {shown}", operation.name()), &answer);
            }
        }
    }
}
