//! The schema registry over HTTP, as the serializers of Kafka clients talk to it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use assay_api::ApiConfig;
use serde_json::{Value, json};
use support::{Answer, PAYMENTS, Server, payment};

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

fn record(fields: Value) -> String {
    json!({"type": "record", "name": "Payment", "namespace": "shop", "doc": "A payment.", "fields": fields}).to_string()
}

/// What a stream of payments reads.
fn first() -> String {
    record(json!([
        {"name": "id", "type": "string"},
        {"name": "card", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]))
}

fn with_country() -> String {
    let mut schema: Value = serde_json::from_str(&first()).unwrap();
    let country = json!({"name": "country", "type": ["null", "string"], "default": null, "doc": "ISO 3166."});
    schema["fields"].as_array_mut().unwrap().push(country);
    schema.to_string()
}

fn post_with(server: &Server, key: &str, path: &str, body: &Value) -> Answer {
    server.send("POST", &format!("/registry{path}"), Some(key), Some((MEDIA_TYPE, body.to_string().as_bytes())))
}

fn post(server: &Server, path: &str, schema: &str) -> Answer {
    post_with(server, &server.admin, path, &json!({ "schema": schema }))
}

fn get(server: &Server, path: &str) -> Answer {
    server.get(&format!("/registry{path}"))
}

/// The message of an error that must have this status and code.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: u32) -> String {
    assert_eq!((answer.status, answer.content_type.as_str()), (status, MEDIA_TYPE), "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["error_code"], code, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_schema_is_registered_evolved_and_read() {
    let server = Server::start();
    let registered = post(&server, "/subjects/payments-value/versions", &first());
    assert_eq!(registered.content_type, MEDIA_TYPE);
    assert_eq!(registered.expect(200), json!({"id": 1}));
    let versions = "/subjects/payments-value/versions";
    // Again, in another order and with blanks, and with all that clients add: the same.
    let mut again: Value = serde_json::from_str(&first()).unwrap();
    let fields = again["fields"].take();
    let again =
        json!({"fields": fields, "doc": "A payment.", "name": "Payment", "namespace": "shop", "type": "record"});
    let body =
        json!({"schema": format!("{again:#}"), "schemaType": "AVRO", "references": [], "metadata": null, "id": -1});
    let path = "/subjects/payments-value/versions?normalize=False";
    assert_eq!(post_with(&server, &server.admin, path, &body).expect(200), json!({"id": 1}));

    assert_eq!(post(&server, versions, &with_country()).expect(200), json!({"id": 2}));
    assert_eq!(post(&server, versions, &first()).expect(200), json!({"id": 1}), "an old version is still there");
    assert_eq!(get(&server, versions).expect(200), json!([1, 2]));
    assert_eq!(get(&server, "/subjects").expect(200), json!(["payments-value"]));
    let second = json!({"subject": "payments-value", "version": 2, "id": 2, "schema": with_country()});
    for version in ["2", "latest", "-1"] {
        assert_eq!(get(&server, &format!("{versions}/{version}")).expect(200), second);
    }
    let text = get(&server, &format!("{versions}/2/schema"));
    assert_eq!(text.text, with_country(), "docs, defaults and logical types are kept");
    assert_eq!(post(&server, "/subjects/payments-value", &with_country()).expect(200), second);

    let by_id = get(&server, "/schemas/ids/1");
    assert_eq!((by_id.expect(200), by_id.content_type.as_str()), (json!({"schema": first()}), MEDIA_TYPE));
    let with_max = get(&server, "/schemas/ids/1?fetchMaxId=true&subject=payments-value").expect(200);
    assert_eq!(with_max, json!({"schema": first(), "maxId": 2}));
    assert_eq!(get(&server, "/schemas/ids/2/schema").text, with_country());
}

#[test]
fn a_schema_has_one_id_under_all_subjects() {
    let server = Server::start();
    assert_eq!(post(&server, "/subjects/a-key/versions", "\"string\"").expect(200), json!({"id": 1}));
    assert_eq!(post(&server, "/subjects/b%2Fc-key/versions", "\"long\"").expect(200), json!({"id": 2}));
    assert_eq!(post(&server, "/subjects/b%2Fc-key/versions", "\"double\"").expect(200), json!({"id": 3}));
    assert_eq!(post(&server, "/subjects/d-key/versions", "\"double\"").expect(200), json!({"id": 3}));
    assert_eq!(get(&server, "/subjects").expect(200), json!(["a-key", "b/c-key", "d-key"]));
    assert_eq!(get(&server, "/subjects?subjectPrefix=b").expect(200), json!(["b/c-key"]));
    assert_eq!(get(&server, "/subjects?offset=1&limit=1").expect(200), json!(["b/c-key"]));
    assert_eq!(get(&server, "/schemas/ids/3/subjects").expect(200), json!(["b/c-key", "d-key"]));
    let places = json!([{"subject": "b/c-key", "version": 2}, {"subject": "d-key", "version": 1}]);
    assert_eq!(get(&server, "/schemas/ids/3/versions").expect(200), places);
    assert_eq!(get(&server, "/subjects/b%2Fc-key/versions/2").expect(200)["id"], 3);
}

#[test]
fn unknown_names_have_confluents_error_codes() {
    let server = Server::start();
    assert_eq!(refused(&get(&server, "/subjects/x/versions"), 404, 40401), "Subject 'x' not found.");
    refused(&get(&server, "/subjects/x/versions/latest"), 404, 40401);
    refused(&post(&server, "/subjects/x", "\"string\""), 404, 40401);
    post(&server, "/subjects/x/versions", "\"string\"").expect(200);
    assert_eq!(refused(&get(&server, "/subjects/x/versions/2"), 404, 40402), "Version 2 not found.");
    assert_eq!(refused(&post(&server, "/subjects/x", "\"int\""), 404, 40403), "Schema not found");
    for id in ["2", "0", "-1", "one", "99999999999"] {
        assert_eq!(refused(&get(&server, &format!("/schemas/ids/{id}")), 404, 40403), format!("Schema {id} not found"));
    }
    for version in ["0", "first", "2147483648"] {
        refused(&get(&server, &format!("/subjects/x/versions/{version}")), 422, 42202);
    }
    assert!(refused(&get(&server, "/nonsense"), 404, 404).contains("/registry/nonsense"));
}

#[test]
fn unreadable_schemas_are_not_registered() {
    let server = Server::start();
    let versions = "/subjects/payments-value/versions";
    post(&server, versions, &first()).expect(200);
    let narrowed = first().replace("\"double\"", "\"int\"");
    let message = refused(&post(&server, versions, &narrowed), 409, 409);
    assert!(message.contains("version 1"), "{message}");
    assert!(message.contains("field `amount`: the writer's double cannot be read as the reader's int"), "{message}");
    let demanding = with_country().replace(",\"default\":null", "");
    let message = refused(&post(&server, versions, &demanding), 409, 409);
    assert!(message.contains("field `country`"), "{message}");

    let compatibility = "/compatibility/subjects/payments-value/versions/latest";
    assert_eq!(post(&server, compatibility, &with_country()).expect(200), json!({"is_compatible": true}));
    assert_eq!(post(&server, compatibility, &narrowed).expect(200), json!({"is_compatible": false}));
    let told = post(&server, &format!("{compatibility}?verbose=True"), &narrowed).expect(200);
    assert!(told["messages"][0].as_str().unwrap().contains("field `amount`"), "{told}");
    let verbose = post(&server, &format!("{compatibility}?verbose=true"), &first()).expect(200);
    assert_eq!(verbose, json!({"is_compatible": true, "messages": []}));
    refused(&post(&server, "/compatibility/subjects/payments-value/versions/9", &first()), 404, 40402);
    let unknown = post(&server, "/compatibility/subjects/unknown/versions/latest", &first());
    assert_eq!(unknown.expect(200), json!({"is_compatible": true}));
    assert_eq!(get(&server, versions).expect(200), json!([1]), "nothing was kept");
}

#[test]
fn a_streams_own_schema_must_read_what_its_producers_write() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    server
        .put_yaml("/v1/streams/others", &PAYMENTS.replace("stream: payments", "stream: others\ntopic: elsewhere"))
        .expect(201);
    let without = json!({"type": "record", "name": "X", "fields": [{"name": "id", "type": "string"}]}).to_string();
    for (topic, stream) in [("payments", "payments"), ("elsewhere", "others")] {
        let message = refused(&post(&server, &format!("/subjects/{topic}-value/versions"), &without), 409, 409);
        assert!(message.contains(&format!("the stream '{stream}'")) && message.contains("field `card`"), "{message}");
        // More fields, wider types and another name are fine: Avro resolves them.
        post(&server, &format!("/subjects/{topic}-value/versions"), &with_country()).expect(200);
    }
    for subject in ["others-value", "payments-key", "payments"] {
        post(&server, &format!("/subjects/{subject}/versions"), &without).expect(200);
    }
}

#[test]
fn unsupported_parts_of_the_protocol_are_refused() {
    let server = Server::start();
    let versions = "/subjects/x/versions";
    let send = |body: Value| post_with(&server, &server.admin, versions, &body);
    for (bad, word) in [
        (json!({"schema": "{"}), "JSON"),
        (json!({"schema": "{\"type\": \"strin\"}"}), "strin"),
        (json!({"schema": ""}), "JSON"),
        (json!({"schema": {"type": "string"}}), "string that holds"),
        (json!({}), "no 'schema'"),
        (json!({"schema": "{}", "schemaType": "PROTOBUF"}), "PROTOBUF"),
        (json!({"schema": "\"int\"", "references": [{"name": "a", "subject": "b", "version": 1}]}), "references"),
        (json!({"schema": "\"int\"", "ruleSet": {"domainRules": []}}), "ruleSet"),
    ] {
        let message = refused(&send(bad), 422, 42201);
        assert!(message.contains(word), "{message}");
    }
    refused(&send(json!({"schema": "\"int\"", "id": 7})), 422, 42205);
    refused(&send(json!([])), 400, 400);
    for subject in ["%0a", &"x".repeat(1025)] {
        refused(&post(&server, &format!("/subjects/{subject}/versions"), "\"int\""), 422, 42208);
    }
    let admin = Some(server.admin.as_str());
    let untyped = server.send(
        "POST",
        "/registry/subjects/x/versions",
        admin,
        Some(("text/plain", b"{\"schema\": \"\\\"int\\\"\"}")),
    );
    refused(&untyped, 415, 415);
    for (method, path) in [
        ("DELETE", "/subjects/x"),
        ("DELETE", "/subjects/x/versions/1"),
        ("PUT", "/config"),
        ("PUT", "/config/x"),
        ("DELETE", "/config/x"),
        ("PUT", "/mode"),
        ("PATCH", "/subjects"),
    ] {
        let answer = server.send(method, &format!("/registry{path}"), admin, None);
        let message = refused(&answer, 405, 405);
        assert!(
            message.contains("never deleted") || message.contains("BACKWARD") || message.contains("takes"),
            "{message}"
        );
    }
    assert_eq!(get(&server, "/subjects").expect(200), json!([]));
}

#[test]
fn settings_are_shown() {
    let server = Server::start();
    assert_eq!(get(&server, "").expect(200), json!({}));
    assert_eq!(get(&server, "/").expect(200), json!({}));
    assert_eq!(get(&server, "/schemas/types").expect(200), json!(["AVRO"]));
    assert_eq!(get(&server, "/config").expect(200), json!({"compatibilityLevel": "BACKWARD"}));
    assert_eq!(get(&server, "/mode").expect(200), json!({"mode": "READWRITE"}));
    refused(&get(&server, "/config/x"), 404, 40408);
    refused(&get(&server, "/mode/x"), 404, 40409);
    let config = get(&server, "/config/x?defaultToGlobal=true").expect(200);
    assert_eq!(config, json!({"compatibilityLevel": "BACKWARD"}));
}

#[test]
fn many_that_register_at_once_get_one_id() {
    let server = Server::start();
    let barrier = std::sync::Barrier::new(8);
    let ids: Vec<Value> = std::thread::scope(|scope| {
        let register = |thread: usize| {
            let (server, barrier) = (&server, &barrier);
            move || {
                barrier.wait();
                let same = post(server, "/subjects/same-value/versions", &first()).expect(200);
                let own = post(server, &format!("/subjects/own-{thread}-value/versions"), &with_country()).expect(200);
                json!([same["id"], own["id"]])
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(register(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|pair| pair == &ids[0]), "{ids:?}");
    assert_ne!(ids[0][0], ids[0][1]);
    assert_eq!(get(&server, "/subjects/same-value/versions").expect(200), json!([1]));
    let id = &ids[0][1];
    let subjects = get(&server, &format!("/schemas/ids/{id}/subjects")).expect(200);
    assert_eq!(subjects.as_array().unwrap().len(), 8);
    refused(&get(&server, "/schemas/ids/3"), 404, 40403);
}

#[test]
fn each_role_has_its_permissions() {
    let server = Server::start();
    let versions = "/subjects/x/versions";
    let body = json!({"schema": "\"int\""});
    for (role, registers) in [("ingest", true), ("author", true), ("admin", true), ("read", false)] {
        let key = server.key(&format!("{role}-key"), role);
        let answer = post_with(&server, &key, versions, &body);
        if registers {
            answer.expect(200);
        } else {
            let message = refused(&answer, 403, 403);
            assert!(message.contains("role ingest or author") && message.contains("'read-key' has: read"), "{message}");
        }
        server.send("GET", "/registry/schemas/ids/1", Some(&key), None).expect(200);
        post_with(&server, &key, "/subjects/x", &body).expect(200);
        post_with(&server, &key, "/compatibility/subjects/x/versions/latest", &body).expect(200);
    }
    let author = server.store.ports().catalog.revisions(assay_engine::ports::catalog::Kind::Schema, "1").unwrap();
    assert_eq!(author[0].author, "ingest-key");
    for key in [None, Some("assay_0000")] {
        let answer = server.send("GET", "/registry/subjects", key, None);
        refused(&answer, 401, 401);
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("Bearer") && challenge.contains("Basic"), "{challenge}");
    }
}

#[test]
fn the_key_is_taken_as_the_password_of_basic() {
    let server = Server::start();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let status = |path: &str, user: &str, password: &str| {
        let credentials = base64(&format!("{user}:{password}"));
        let request =
            agent.get(format!("{}{path}", server.url)).header("authorization", format!("Basic {credentials}"));
        request.call().unwrap().status().as_u16()
    };
    for user in ["", "admin", "anybody"] {
        assert_eq!(status("/registry/subjects", user, &server.admin), 200);
        assert_eq!(status("/v1/streams", user, &server.admin), 200);
    }
    assert_eq!(status("/registry/subjects", &server.admin, ""), 401);
    assert_eq!(status("/registry/subjects", "admin", "assay_0000"), 401);
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit =
            move |i: usize| if i <= chunk.len() { DIGITS[((bits >> (18 - 6 * i)) & 63) as usize] } else { b'=' };
        [0, 1, 2, 3].map(digit)
    });
    digits.map(char::from).collect()
}

#[test]
fn bodies_are_limited() {
    let server = Server::with(ApiConfig { max_definition_body: 1000, ..ApiConfig::default() });
    let answer = post(&server, "/subjects/x/versions", &" ".repeat(1001));
    assert!(refused(&answer, 413, 413).contains("a schema is smaller"));
}

#[test]
fn a_registration_does_not_stop_workers_and_reaches_the_engine() {
    let server = Server::start();
    server.define_payments();
    let plan = server.engine.catalog().plan();
    post(&server, "/subjects/x/versions", "\"int\"").expect(200);
    let deadline = std::time::Instant::now() + support::WAIT_TIMEOUT;
    while server.engine.catalog().snapshot().version <= plan.snapshot.version {
        assert!(std::time::Instant::now() < deadline, "the engine does not see the new version");
        std::thread::yield_now();
    }
    let now = server.engine.catalog().plan();
    assert!(std::sync::Arc::ptr_eq(&now.streams["payments"], &plan.streams["payments"]), "nothing was compiled again");
    let scored =
        server.post("/v1/streams/payments/events?wait=verdicts", &payment("p1", "c", 500.0, 1_767_225_600_000));
    assert_eq!(scored.expect(200)["results"][0]["verdicts"].as_array().unwrap().len(), 2);
    server.put_yaml("/v1/rules/big", &support::BIG.replace("1000.0", "100.0")).expect(200);
    let direct = json!({"changes": [{"kind": "schema", "name": "1", "definition": null}]});
    server.post("/v1/changes", &direct).problem(422, "invalid-definition");
}
