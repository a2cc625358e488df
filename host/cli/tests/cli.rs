//! The command as its users meet it: help, exit codes, errors that say what to do, and a server from first start to stop.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Server, assay, pack, plugins};

fn run(arguments: &[&str]) -> Output {
    assay().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command on a server, which may fail.
fn on(server: &Server, arguments: &[&str]) -> Output {
    assay().args(arguments).env("ASSAY_URL", &server.url).env("ASSAY_KEY", &server.key).output().unwrap()
}

#[test]
fn the_help_is_as_published() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn completions_know_the_commands() {
    let output = run(&["completions", "bash"]);
    assert!(output.status.success());
    let script = stdout(&output);
    for word in ["dead-letters", "tail", "explain", "--prune", "--compress"] {
        assert!(script.contains(word), "{word}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for wrong in [&["nope"][..], &["ingest", "payments"], &["keys", "create", "x", "--role", "boss"]] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", stderr(&output));
    }
}

#[test]
fn a_start_of_generated_events_that_is_no_instant_is_refused() {
    for start in ["2026-01-05", "+5", "yesterday"] {
        let output = run(&["generate", "payments", "--count", "1", "--start", start]);
        let told = format!("'{start}' is not a time: expected RFC 3339");
        assert_eq!(output.status.code(), Some(2), "{start}");
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    }
}

#[test]
fn commands_without_a_server_say_how_to_start_one() {
    let output = run(&["rule", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: no API key: set ASSAY_KEY or give --key; the server's first start prints one\n"
    );
    // Port 1 is reserved: nobody listens there.
    let output = run(&["rule", "list", "--key", "k", "--url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: no answer from http://127.0.0.1:1: "), "{said}");
    assert!(said.ends_with("is the server running? (assay serve)\n"), "{said}");
}

#[test]
fn a_wrong_address_of_the_server_is_named_with_its_source() {
    let said = |arguments: &[&str], url: &str| {
        let output = assay().args(arguments).env("ASSAY_URL", url).env("ASSAY_KEY", "k").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        stderr(&output)
    };
    let expected = "'foo' is not the URL of a server: expected http://HOST:PORT, such as http://127.0.0.1:7717\n";
    assert_eq!(said(&["rule", "list"], "foo"), format!("error: ASSAY_URL: {expected}"));
    assert_eq!(said(&["rule", "list", "--url", "foo"], "http://127.0.0.1:1"), format!("error: --url: {expected}"));
    let wrong_key = said(&["rule", "list", "--key", "a\r"], "http://127.0.0.1:1");
    assert!(wrong_key.starts_with("error: --key is not an API key: "), "{wrong_key}");
}

#[test]
fn no_list_of_commands_has_one_that_only_the_server_calls() {
    for arguments in [&[][..], &["--help"], &["help"], &["--quiet"], &["nope"]] {
        let output = assay().args(arguments).env("ASSAY_URL", "http://127.0.0.1:1").output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains("compile-plugin"), "{arguments:?}: {said}");
        assert!(arguments == ["nope"] || said.contains("dead-letters"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_in_the_format_that_was_asked_for() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = assay().args(["explain", "--output", "json"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(said["error"]["message"].as_str().unwrap().contains("cannot write to standard output"), "{said}");
    let output = assay().arg("explain").stdout(full()).output().unwrap();
    assert!(stderr(&output).starts_with("error: cannot write to standard output"), "{}", stderr(&output));
}

#[test]
fn a_mistake_in_the_config_is_reported_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("assay.toml");
    let data = dir.path().join("data");
    let serve = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = assay().args(["serve", "--config"]).arg(&file).arg("--data").arg(&data).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!data.exists(), "{text}");
        stderr(&output)
    };
    let said = serve("[engine]\nworker = 2\n");
    assert!(said.contains("assay.toml") && said.contains("line 2, column 1"), "{said}");
    assert!(said.ends_with("did you mean 'workers'?\n"), "{said}");
    let said = serve("[engine]\npartitions = 0\n");
    assert_eq!(said, "error: engine.partitions: expected 1 to 1024\n");
    let said = serve("[plugins]\ntime_per_event = \"fast\"\n");
    assert!(said.contains("'fast' is not a duration: expected a number with us, ms, s, m or h"), "{said}");
    let said = serve("[log]\nlevel = \"verbose\"\n");
    assert!(said.contains("'verbose' is not a level: expected off, error, warn, info, debug, trace"), "{said}");
    let said = serve("[log]\nformat = \"xml\"\n");
    assert!(said.contains("xml") && said.contains("'text' or 'json'"), "{said}");
}

#[test]
fn the_printed_config_is_a_file_that_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let output = assay().args(["serve", "--print-config"]).env("ASSAY_ENGINE__WORKERS", "3").output().unwrap();
    let printed = stdout(&output);
    assert!(output.status.success() && printed.contains("# scoring threads; 0: one per core\nworkers = 3\n"));
    let file = dir.path().join("assay.toml");
    std::fs::write(&file, &printed).unwrap();
    let again = assay().args(["serve", "--print-config", "--config"]).arg(&file).output().unwrap();
    assert_eq!(stdout(&again), printed);
}

#[test]
fn the_same_seed_gives_the_same_events_and_a_reader_may_leave_early() {
    let some = ["generate", "payments", "--count", "100", "--seed", "7"];
    let (one, two) = (run(&some), run(&some));
    assert_eq!(stdout(&one).lines().count(), 100);
    assert_eq!(one.stdout, two.stdout);
    let mut child = assay()
        .args(["generate", "payments", "--count", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

/// Runs a command whose output nobody reads. It must end well and without a word.
fn unread(arguments: &[&str], variables: &[(&str, &str)]) {
    let mut command = assay();
    // A machine that is busy makes even these take so long that their progress would be told.
    command.args(arguments).arg("--quiet");
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", stderr(&output));
}

#[test]
fn a_reader_may_leave_any_command_early() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    apply_payments(&server);
    let (payments, plugins) = (pack("payments"), plugins());
    let (payments, plugins) = (payments.to_string_lossy(), plugins.to_string_lossy());
    let velocity = format!("{plugins}/velocity.wasm");
    let variables = [("ASSAY_URL", &*server.url), ("ASSAY_KEY", &*server.key)];
    for arguments in [
        &["completions", "zsh"][..],
        &["explain"],
        &["explain", "plugin-trap"],
        &["serve", "--print-config"],
        &["generate", "payments"],
        &["plugin", "inspect", &velocity],
        &["plugin", "push", &velocity],
        &["apply", &payments],
        &["rule", "list"],
        &["rule", "list", "--output", "json"],
        &["rule", "test", &payments, "--plugins", &plugins],
        &["show", "scores", "payment_risk"],
        &["keys", "list"],
        &["dead-letters", "list"],
    ] {
        unread(arguments, &variables);
    }
}

#[test]
fn an_avro_file_is_ingested_as_its_lines_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    apply_payments(&server);
    let file = dir.path().join("payments.avro");
    let file = file.to_string_lossy();
    let made = run(&["generate", "payments", "--count", "20000", "--to-file", &file]);
    assert!(made.status.success(), "{}", stderr(&made));
    for compress in ["always", "never", "auto"] {
        let sent = server.command(&[&"ingest", &"payments", &&*file, &"--compress", &compress]);
        assert!(sent.starts_with("20000 events accepted, 0 rejected, "), "{sent}");
    }
    let cut = dir.path().join("cut.avro");
    let bytes = std::fs::read(&*file).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    let output = on(&server, &["ingest", "payments", &cut.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("breaks off inside a block"), "{}", stderr(&output));
    let lines = dir.path().join("payments.jsonl");
    run(&["generate", "payments", "--count", "3", "--to-file", &lines.to_string_lossy()]);
    let sent = server.command(&[&"ingest", &"payments", &lines, &"--compress", &"always"]);
    assert!(sent.starts_with("3 events accepted"), "{sent}");
}

#[test]
fn a_pack_that_lacks_its_plugins_changes_nothing_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    let payments = pack("payments");
    let output = on(&server, &["apply", &payments.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("rule 'card_velocity', plugin: no uploaded plugin is 'velocity@1'"), "{said}");
    assert!(said.contains("assay plugin push"), "{said}");
    assert_eq!(said.matches("rule 'card_velocity', plugin").count(), 1, "{said}");
    assert_eq!(server.read("/v1/streams")["items"], serde_json::json!([]));
    assert!(server.stop().success());
}

/// Applies the payments pack twice; the second time nothing changes.
fn apply_payments(server: &Server) {
    let (payments, plugins) = (pack("payments"), plugins());
    let apply: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"apply", &payments, &"--plugins", &plugins];
    let first = server.command(&apply);
    assert!(first.contains("plugin  velocity@1.0.0") && first.matches("created").count() == 7, "{first}");
    let second = server.command(&apply);
    let states =
        |kind: fn(&str) -> bool| second.lines().filter(|line| kind(line) && line.ends_with("unchanged")).count();
    let sent = states(|line| line.starts_with("plugin"));
    assert_eq!((states(|line| !line.starts_with("plugin")), sent), (7, second.matches("plugin  ").count()), "{second}");
    assert!(sent >= 3 && !second.contains("created") && !second.contains("uploaded"), "{second}");
}

fn ingest_with_mistakes(server: &Server, dir: &Path) {
    let good = stdout(&run(&["generate", "payments", "--count", "2000"]));
    let mut lines: Vec<&str> = good.lines().collect();
    lines.insert(10, r#"{"id":"lacks-everything"}"#);
    lines.insert(1500, "not json");
    lines.insert(1600, "");
    let file = dir.join("events.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let errors = dir.join("errors.txt");
    let arguments = ["ingest", "payments", &file.to_string_lossy(), "--batch", "300", "--errors"];
    let output = on(server, &[&arguments[..], &[&errors.to_string_lossy()]].concat());
    assert_eq!(output.status.code(), Some(1), "refused events are a failure");
    assert!(stdout(&output).starts_with("2000 events accepted, 2 rejected, "), "{}", stdout(&output));
    let told = std::fs::read_to_string(&errors).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert!(told[0].starts_with("line 11: field `card` is missing"), "{told:?}");
    assert!(told[1].starts_with("line 1501: not valid JSON"), "{told:?}");
    assert_eq!(told.len(), 2);
}

/// A file of nothing but mistakes; more than the server tells of one request.
fn ingest_only_mistakes(server: &Server, dir: &Path) {
    let file = dir.join("bad.jsonl");
    std::fs::write(&file, "{}\n".repeat(250)).unwrap();
    let output = on(server, &["ingest", "payments", &file.to_string_lossy(), "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&0.into(), &250.into()), "{answer}");
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&said["error"]["rejected"], said["error"]["errors"].as_array().unwrap().len()), (&250.into(), 100));
    let output = on(server, &["ingest", "payments", &file.to_string_lossy()]);
    let said = stderr(&output);
    assert!(said.contains("line 10: ") && !said.contains("line 11: "), "{said}");
    assert!(
        said.contains("250 of 250 events were refused; 240 of the reasons are left out: --errors FILE --batch 100"),
        "{said}"
    );
}

#[test]
fn events_without_an_end_end_at_ctrl_c_with_a_summary() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    apply_payments(&server);
    let mut command = assay();
    command.args(["generate", "payments", "--rate", "200", "--to-stream", "payments", "--quiet"]);
    command.env("ASSAY_URL", &server.url).env("ASSAY_KEY", &server.key);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.until("/v1/rules/payment_risk/status", |_, status| status["since_start"]["judged"].as_u64() > Some(0));
    support::signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let said = stdout(&output);
    let (count, rest) = said.split_once(' ').unwrap();
    assert!(count.parse::<u64>().unwrap() > 0, "{said}");
    assert!(rest.starts_with("events accepted, 0 rejected, ") && rest.ends_with(" events/s\n"), "{said}");
}

/// Waits until all events are scored and all stores have what came of them. Asked twice: a sink that had nothing to
/// do may have been asked before the scoring ended.
fn wait_for_sinks(server: &Server) {
    let is_done = |_: u16, answer: &serde_json::Value| {
        let mut parts = answer["parts"].as_array().into_iter().flatten();
        answer["ready"] == true && parts.all(|part| part["ok"] == true && part["lag"] == 0)
    };
    server.until("/readyz", is_done);
    server.until("/readyz", is_done);
}

#[test]
fn from_the_first_start_to_scores_and_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data, None, &[]);
    apply_payments(&server);
    ingest_with_mistakes(&server, dir.path());
    ingest_only_mistakes(&server, dir.path());

    wait_for_sinks(&server);
    let scores = server.command(&[&"show", &"scores", &"payment_risk", &"--limit", &"2"]);
    assert!(scores.starts_with("ENTITY") && scores.lines().count() == 3, "{scores}");
    let first = stdout(&run(&["generate", "payments", "--count", "1"]));
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let shown = server.command(&[&"show", &"event", &"payments", &first["id"].as_str().unwrap()]);
    assert!(shown.contains("card_velocity"), "{shown}");

    let secret = server.command(&[&"keys", &"create", &"producer", &"--role", &"ingest"]);
    let refused = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["rule", "list", "--url", &server.url, "--key", secret.trim()])
        .output()
        .unwrap();
    assert!(!refused.status.success() && stderr(&refused).contains("HTTP 403"), "{}", stderr(&refused));

    // Another server on the same data is told so; this one is not disturbed.
    let second = assay().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap();
    assert!(stderr(&second).contains("is in use by process"), "{}", stderr(&second));
    assert!(stdout(&second).is_empty());

    let key = server.key.clone();
    assert_eq!(server.stop().code(), Some(0), "SIGTERM is a good end");
    let server = Server::start(&data, Some(&key), &[]);
    let again = server.command(&[&"show", &"scores", &"payment_risk", &"--limit", &"2"]);
    assert_eq!(again, scores);
}
