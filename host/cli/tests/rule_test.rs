//! `assay rule test` through the real command, on the packs of this repository and on packs that fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::path::Path;
use std::process::Output;

use support::{assay, pack, plugins};

/// Runs `assay rule test DIR` with more arguments, and with a cache of its own.
fn rule_test(dir: &Path, more: &[&str]) -> Output {
    let mut command = assay();
    command.args(["rule", "test"]).arg(dir).arg("--plugins").arg(plugins()).args(more);
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (source, target) = {
            let path = entry.unwrap().path();
            let name = to.join(path.file_name().unwrap());
            (path, name)
        };
        if source.is_dir() {
            copy(&source, &target);
        } else {
            std::fs::copy(source, target).unwrap();
        }
    }
}

#[test]
fn all_cases_of_the_payments_pack_pass() {
    let output = rule_test(&pack("payments"), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let cases = std::fs::read_dir(pack("payments").join("cases")).unwrap().count();
    assert!(cases >= 6);
    assert_eq!(text.lines().last().unwrap(), format!("{cases} passed, 0 failed"));
}

const HOURS: &str =
    "view: card_hours\nstream: payments\nby: [card]\nmeasures: { payments: count() }\nevery: 1h\nkeep: 2h\n";
const HOURLY: &str = "rule: hourly\nstream: payments\nscore: double(views.card_hours.payments)\n";
const HOURS_CASE: &str = "name: each hour counts for itself
defaults: { merchant: m, category: grocery, country: DE, lat: 52.52, lon: 13.41, channel: chip, amount: 10.0, card: anna }
events:
  - { id: p1, time: 2026-01-05T08:59:59.999Z }
  - { id: p2, time: 2026-01-05T09:00:00Z }
  - { id: p3, time: 2026-01-05T08:00:00Z }
  - { id: p4, time: 2026-01-05T10:30:00Z }
  - { id: p5, time: 2026-01-05T08:30:00Z }
expect:
  - { event: p1, rule: hourly, score: 1.0 }
  - { event: p2, rule: hourly, score: 1.0 }
  - { event: p3, rule: hourly, score: 2.0 }
  - { event: p4, rule: hourly, score: 1.0 }
  - { event: p5, rule: hourly, score: 0.0 }
";

#[test]
fn a_tumbling_view_is_an_input_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    copy(&pack("payments"), dir.path());
    for (file, text) in [("views/card_hours", HOURS), ("rules/hourly", HOURLY), ("cases/hours", HOURS_CASE)] {
        std::fs::write(dir.path().join(format!("{file}.yaml")), text).unwrap();
    }
    let output = rule_test(dir.path(), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("each hour counts for itself"), "{text}");
}

#[test]
fn a_case_that_fails_shows_the_difference_and_the_exit_code_says_so() {
    let dir = tempfile::tempdir().unwrap();
    copy(&pack("payments"), dir.path());
    let case = dir.path().join("cases").join("stolen_card.yaml");
    let told = std::fs::read_to_string(&case).unwrap();
    std::fs::write(&case, told.replace("[impossible-travel]", "[impossible-travel, review]")).unwrap();

    let output = rule_test(dir.path(), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL  a card in Berlin and, half an hour later, in Sydney"), "{text}");
    assert!(text.contains("event away-1, rule card_geo"), "{text}");
    assert!(text.contains("          tag: impossible-travel\n        - tag: review\n"), "{text}");
    assert_eq!(text.lines().last(), Some("5 passed, 1 failed"));

    let output = rule_test(dir.path(), &["--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], 1);
    let failed = report["cases"].as_array().unwrap().iter().find(|case| case["passed"] == false).unwrap();
    assert_eq!(failed["mismatches"][0]["expected"][2], "tag: review");
}

#[test]
fn cases_that_cannot_run_are_errors_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    copy(&pack("payments"), dir.path());
    let rule = dir.path().join("rules").join("payment_risk.yaml");
    let text = std::fs::read_to_string(&rule).unwrap();

    std::fs::write(&rule, text.replace("tags:", "tgas:")).unwrap();
    let output = rule_test(dir.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("payment_risk.yaml") && said.contains("tgas") && said.contains("line 11"), "{said}");

    std::fs::write(&rule, text.replace("scores.card_geo", "scores.card_gio")).unwrap();
    let output = rule_test(dir.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("'payment_risk'") && said.contains("card_gio") && said.contains("did you mean"), "{said}");

    std::fs::write(&rule, &text).unwrap();
    std::fs::write(dir.path().join("rules").join("again.yaml"), &text).unwrap();
    let output = rule_test(dir.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the rule 'payment_risk' is defined in two files"), "{said}");
}
