//! The document at /openapi.json, as others use it: Schemathesis makes requests of it and checks every answer against it,
//! and a generator makes a client of it that does the main job. What they do is in `openapi/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "support/python.rs"]
mod python;
mod support;

use std::path::Path;

use python::Python;
use support::{Server, pack, plugins};

/// What every answer is checked for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";

#[test]
#[ignore = "needs Python packages: cargo xtask test --servers"]
fn every_answer_is_as_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    server.command(&[&"apply", &pack("payments"), &"--plugins", &plugins()]);
    let event = r#"{"id":"p1","card":"card-1","merchant":"m","category":"c","country":"DE","amount":950.0,"time":1767225600000,"lat":52.5,"lon":13.4,"channel":"chip","device":null}"#;
    let path = "/v1/streams/payments/events?wait=verdicts";
    let (status, answer) = server.send("POST", path, Some(("application/json", event.as_bytes()))).unwrap();
    assert_eq!(status, 200, "{answer}");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi");
    let settings = scripts.join("schemathesis.toml");
    let (document, key) = (format!("{}/openapi.json", server.url), format!("Authorization: Bearer {}", server.key));
    let python = Python::of("openapi");
    let arguments = [
        &["--config-file", settings.to_str().unwrap(), "run", &document, "--header", &key, "--no-color"][..],
        // A stream of events has no end.
        &["--exclude-path", "/v1/verdicts/stream", "--workers", "1", "--seed", "1", "--max-examples", "50"],
        &["--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--generation-database", "none"],
    ];
    let variables = [("SCHEMATHESIS_HOOKS", "hooks"), ("PYTHONPATH", scripts.to_str().unwrap())];
    python.tool("schemathesis", &arguments.concat(), &variables);
    assert!(server.stop().success());
}

#[test]
#[ignore = "needs Python packages: cargo xtask test --servers"]
fn a_generated_client_does_the_main_job() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    let (status, document) = server.send("GET", "/openapi.json", None).unwrap();
    assert_eq!(status, 200);
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, document).unwrap();
    let client = dir.path().join("assay_client");
    let python = Python::of("openapi");
    let (file, client) = (file.to_str().unwrap(), client.to_str().unwrap());
    let arguments = ["generate", "--path", file, "--meta", "none", "--output-path", client];
    python.tool("openapi-python-client", &arguments, &[]);
    let folder = dir.path().to_str().unwrap();
    let plugin = plugins().join("threshold_tagger.wasm");
    let variables = [
        ("CLIENT_FOLDER", folder),
        ("ASSAY_URL", &server.url),
        ("ASSAY_KEY", &server.key),
        ("PLUGIN", plugin.to_str().unwrap()),
    ];
    python.run("client.py", &variables);
    assert!(server.stop().success());
}
