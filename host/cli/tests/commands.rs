//! Every command with every option, through the real binary against a real server. What there is to test comes from the
//! tree of commands itself: a new command or option without a scenario fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "commands/scenarios.rs"]
mod scenarios;
#[path = "commands/setting.rs"]
mod setting;
mod support;
#[path = "commands/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use clap::ValueHint;
use scenarios::{BUILDS, LOCAL, NOT_JSON, SCENARIOS, Scenario};
use serde_json::Value;
use setting::Setting;

/// A path where nothing is and nothing can be made.
const NOWHERE: &str = "/dev/null/nothing";

#[test]
fn every_command_and_option_has_a_scenario() {
    let mut missing = tree::arguments();
    for scenario in SCENARIOS.iter().chain(BUILDS) {
        for argument in tree::given(scenario.line) {
            missing.remove(&argument);
        }
    }
    assert!(missing.is_empty(), "add scenarios with these: {missing:#?}");
    let tested: BTreeSet<String> =
        SCENARIOS.iter().chain(BUILDS).map(|scenario| tree::command_of(scenario.line)).collect();
    let leaves: BTreeSet<String> = tree::leaves().into_iter().map(|(path, _)| path).collect();
    assert_eq!(tested, leaves, "each command has a scenario");
}

#[test]
fn every_command_does_what_it_says() {
    let setting = Setting::start();
    for scenario in SCENARIOS {
        play(&setting, scenario);
    }
    assert!(setting.server.stop().success());
}

#[test]
#[ignore = "builds a plugin: cargo xtask test --servers"]
fn every_command_that_builds_does_what_it_says() {
    let setting = Setting::start();
    for scenario in BUILDS {
        play(&setting, scenario);
    }
}

/// Runs a scenario's command and compares what comes of it.
fn play(setting: &Setting, scenario: &Scenario) {
    if tree::command_of(scenario.line) == "tail" {
        return follow(setting, scenario);
    }
    if scenario.is_settled {
        setting.wait_for_sinks();
    }
    let output = setting.run(scenario.line);
    check(scenario, &output);
}

fn check(scenario: &Scenario, output: &Output) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let told = format!("assay {}\n{stdout}\n{stderr}", scenario.line);
    assert_eq!(output.status.code(), Some(scenario.exit), "{told}");
    for wanted in scenario.out {
        assert!(stdout.contains(wanted), "'{wanted}' is not in the output of {told}");
    }
    for wanted in scenario.err {
        assert!(stderr.contains(wanted), "'{wanted}' is not in the errors of {told}");
    }
}

/// A command without an end: events are sent until it has shown a line.
fn follow(setting: &Setting, scenario: &Scenario) {
    let mut child = setting.command(scenario.line).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let line = BufReader::new(stdout).lines().next();
        let _ = send.send(line.unwrap().unwrap());
    });
    let line = loop {
        setting.run_well("generate payments --count 500 --fraud-share 0.5 --to-stream payments");
        if let Ok(line) = lines.recv_timeout(std::time::Duration::from_millis(500)) {
            break line;
        }
        assert!(child.try_wait().unwrap().is_none(), "assay {} ended", scenario.line);
    };
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    for wanted in scenario.out {
        assert!(line.contains(wanted), "'{wanted}' is not in: {line}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON object in the last line of stderr.
#[track_caller]
fn error_of(output: &Output, line: &str) -> Value {
    let stderr = text(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("assay {line}: {error}: {stderr}"));
    assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string(), "assay {line}: {error}");
    error["error"].clone()
}

#[test]
fn errors_of_every_command_are_json_where_that_is_asked_for() {
    let setting = Setting::start();
    for (path, _) in tree::leaves() {
        let line = format!("{path} --no-such-option --output json");
        let output = setting.run(&line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(error_of(&output, &line)["code"], "usage");
        if LOCAL.contains(&path.as_str()) {
            continue;
        }
        let is_it = |scenario: &&Scenario| {
            tree::command_of(scenario.line) == path
                && !scenario.line.contains("--key")
                && !scenario.line.contains("--output")
        };
        let scenario = SCENARIOS.iter().find(is_it).unwrap();
        let line = format!("{} --key no-such-key --output json", scenario.line);
        let output = setting.run(&line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        let error = error_of(&output, &line);
        assert_eq!((&error["code"], &error["status"]), (&Value::from("unauthorized"), &Value::from(401)), "{line}");
        assert_eq!(error["problem"]["status"], 401, "{line}");
    }
}

/// Each line of stderr is an error or a warning as JSON; the last one is an error if the command wrote any.
#[track_caller]
fn check_stderr_is_json(output: &Output, line: &str) {
    let stderr = text(&output.stderr);
    for told in stderr.lines() {
        let read: Value = serde_json::from_str(told).unwrap_or_else(|error| panic!("assay {line}: {error}: {stderr}"));
        assert!(read["error"].is_object() || read["warning"].is_object(), "assay {line}: {told}");
    }
    if !stderr.is_empty() && !output.status.success() {
        error_of(output, line);
    }
}

#[test]
fn refused_events_are_one_error_for_programs() {
    let setting = Setting::start();
    setting.run_well("apply {dir}/counts");
    for line in ["ingest counts {dir}/counts.csv", "ingest counts {dir}/counts.csv --errors {dir}/refused.txt"] {
        let line = format!("{line} --output json");
        let output = setting.run(&line);
        assert_eq!((output.status.code(), text(&output.stderr).lines().count()), (Some(1), 1), "{line}");
        let error = error_of(&output, &line);
        assert_eq!((&error["code"], &error["rejected"]), (&Value::from("events-refused"), &Value::from(1)), "{error}");
        let refused = &error["errors"][0];
        assert!(refused["line"] == 4 && refused["message"].is_string(), "{error}");
        let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&sent["accepted"], &sent["rejected"]), (&Value::from(2), &Value::from(1)), "{sent}");
    }
}

#[test]
fn results_of_every_command_are_json_where_that_is_asked_for() {
    let setting = Setting::start();
    for scenario in SCENARIOS {
        let path = tree::command_of(scenario.line);
        if path == "tail" {
            continue;
        }
        if scenario.is_settled {
            setting.wait_for_sinks();
        }
        let asked = if scenario.line.contains("--output") { "" } else { " --output json" };
        let output = setting.run(&format!("{}{asked}", scenario.line));
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(scenario.exit), "{}: {stdout}{}", scenario.line, text(&output.stderr));
        // Its stderr is read by the server only.
        if path != "compile-plugin" {
            check_stderr_is_json(&output, scenario.line);
        }
        if !NOT_JSON.contains(&path.as_str()) && !stdout.is_empty() {
            let read = serde_json::from_str::<Value>(&stdout);
            assert!(read.is_ok(), "assay {}: {:?}: {stdout}", scenario.line, read.err());
        }
    }
}

#[test]
fn an_option_with_a_set_of_values_refuses_others_with_their_list() {
    let setting = Setting::new();
    let mut tried = 0;
    for (scenario, argument, words) in with_each_argument("no-such-value") {
        let possible = argument.get_value_parser().possible_values();
        let Some(possible) = possible.filter(|_| argument.get_action().takes_values()) else { continue };
        let output = setting.run_words(&words);
        assert_eq!(output.status.code(), Some(2), "{}", scenario.line);
        for value in possible {
            let said = text(&output.stderr);
            assert!(said.contains(value.get_name()), "{}: {} of {argument}: {said}", scenario.line, value.get_name());
        }
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
}

#[test]
fn a_path_that_is_not_there_is_refused_by_its_name() {
    let setting = Setting::start();
    let mut tried = 0;
    for (scenario, argument, mut words) in with_each_argument(NOWHERE) {
        if !matches!(argument.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath) {
            continue;
        }
        // It would print the settings, and open nothing.
        words.retain(|word| word != "--print-config");
        let output = setting.run_words(&words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", scenario.line);
        assert!(said.contains(NOWHERE), "{} with {argument} elsewhere: {said}", scenario.line);
        tried += 1;
    }
    assert!(tried >= 12, "{tried}");
}

/// For each argument of the tree, a scenario that gives it, with this value instead of its own.
fn with_each_argument(value: &str) -> Vec<(&'static Scenario, clap::Arg, Vec<String>)> {
    let mut found = Vec::new();
    for (path, id) in tree::arguments() {
        let argument = tree::argument(&path, &id);
        let all = SCENARIOS.iter().chain(BUILDS);
        let mut giving = all.filter(|scenario| tree::given(scenario.line).contains(&(path.clone(), id.clone())));
        if let Some(scenario) = giving.next()
            && argument.get_action().takes_values()
        {
            found.push((scenario, argument, tree::with_value(scenario.line, &path, &id, value)));
        }
    }
    found
}

#[test]
fn every_help_has_examples_that_can_be_parsed() {
    for (path, command) in tree::all() {
        if command.is_hide_set() {
            continue;
        }
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        // The terminal's width ends lines: a line end inside a paragraph would end them twice.
        for (line, next) in help.lines().zip(help.lines().skip(1)) {
            let is_inside = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            assert!(
                !(is_inside(line) && is_inside(next)),
                "assay {path} --help: a line ends inside a paragraph: {line}"
            );
        }
        let examples = tree::examples(&help);
        let is_root = path.is_empty();
        assert!(is_root || help.starts_with("Examples:\n"), "assay {path} --help has no examples");
        let of_its_own = examples.iter().any(|example| format!("{example} ").contains(&format!("assay {path} ")));
        assert!(is_root || of_its_own, "assay {path} --help has no example of its own: {examples:?}");
        for example in examples {
            let parsed = tree::parse(&example);
            assert!(parsed.is_ok(), "assay {path} --help: {example}\n{}", parsed.err().unwrap());
        }
    }
}

#[test]
fn long_work_says_how_far_it_is_where_there_is_no_terminal() {
    let setting = Setting::start();
    setting.run_well("apply {pack} --plugins {plugins}");
    let slowly = "generate payments --count 50 --rate 10 --to-stream payments";
    let output = setting.run(slowly);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.starts_with("generate: ") && said.contains(" of 50, "), "{said}");
    let output = setting.run(&format!("{slowly} --quiet"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}
