//! A guest that misbehaves on some rows: exactly those rows fail, and all others are scored as if they were alone.

use std::time::Duration;

use assay_core::failure_code::FailureCode;
use assay_runtime::{Limits, ScoreError, Scored};
use proptest::prelude::*;

use crate::guests::{hostile, instance};
use crate::rows::{Row, RowColumns, assert_same, expected, plain};

const POISON: f64 = 13.0;

fn limits() -> Limits {
    Limits { time_per_call_floor: Duration::from_millis(5), ..Limits::default() }
}

fn score(mode: &str, rows: &[Row]) -> Scored {
    score_within(limits(), mode, rows)
}

fn score_within(limits: Limits, mode: &str, rows: &[Row]) -> Scored {
    instance(hostile(), mode, POISON as u32, limits)
        .score(&RowColumns::from_rows(rows).batch())
        .expect("nothing stops it")
}

/// Limits with enough time to touch all the memory that a guest may have.
fn limits_with_time() -> Limits {
    Limits { time_per_call_floor: Duration::from_secs(2), ..Limits::default() }
}

/// The error of row 3 of 8, after a check that all other rows are scored.
fn error_of(mode: &str) -> ScoreError {
    let rows: Vec<Row> = [1.0, 200.0, 3.0, POISON, 5.0, 150.0, 7.0, 8.0].into_iter().map(plain).collect();
    let scored = score(mode, &rows);
    assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
    assert_eq!(scored.failures.iter().map(|failure| failure.row).collect::<Vec<_>>(), [3], "{mode}");
    scored.failures[0].error.clone()
}

#[test]
fn a_trap_costs_only_its_row() {
    for (mode, message) in [
        ("trap", "panicked at hostile/src/lib.rs:"),
        ("trap-without-words", "wasm trap: wasm `unreachable` instruction executed"),
        ("recurse", "wasm trap: call stack exhausted"),
    ] {
        let error = error_of(mode);
        assert!(matches!(&error, ScoreError::Trap(text) if text.starts_with(message)), "{mode}: {error}");
    }
}

#[test]
fn a_trap_names_the_functions_of_the_plugin() {
    let error = error_of("trap").to_string();
    assert!(error.contains(" in hostile::") || error.contains("called by hostile::"), "{error}");
    assert!(!error.contains("panicking::panic_handler") && !error.contains("_RN"), "{error}");
    assert!(error.len() < 2_000, "{error}");
    let error = error_of("recurse").to_string();
    assert!(error.matches("hostile::recurse").count() > 1, "{error}");
}

#[test]
fn the_error_of_a_panic_has_the_plugins_message() {
    let error = error_of("trap").to_string();
    assert!(error.starts_with("the plugin trapped: panicked at hostile/src/lib.rs:"), "{error}");
    assert!(error.contains(": as asked (in hostile::"), "{error}");
    let configured = hostile().instance(r#"{"mode":"trap-in-configure"}"#, Limits::default()).map(drop);
    assert!(matches!(&configured, Err(error) if error.to_string().contains(": as asked (in ")), "{configured:?}");
}

#[test]
fn a_hostile_panic_message_is_escaped_and_truncated() {
    let error = error_of("trap-with-hostile-words").to_string();
    assert!(error.contains("\\u{1b}[31m\\u{202e}\\nword word word") && error.len() < 2_000, "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}

#[test]
fn a_loop_is_stopped_after_the_time_of_a_single_row() {
    assert_eq!(error_of("loop"), ScoreError::Deadline { ms: 5 });
}

#[test]
fn a_row_that_allocates_too_much_fails_alone() {
    let rows = [plain(1.0), plain(POISON), plain(3.0)];
    let scored = score_within(limits_with_time(), "allocate", &rows);
    assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
    let error = &scored.failures[0].error;
    assert!(matches!(error, ScoreError::OutOfMemory(text) if text.contains("16777216 are allowed")), "{error}");
}

#[test]
fn a_refusal_has_the_plugins_text() {
    assert_eq!(error_of("refuse"), ScoreError::Refused("refused row 0".into()));
}

#[test]
fn each_violation_of_the_contract_has_its_message() {
    let cases = [
        ("infinite", "the score of row 0 is infinite"),
        ("tag-of-no-row", "tags name row 1000000 of a batch of 1"),
        ("tag-without-name", "tags have index 77, the manifest names 2"),
        ("reasons-out-of-order", "reasons name row 1 of a batch of 1"),
        ("nan-weight", "the weight of a reason of row 0 is NaN"),
        ("many-tags", "row 0 has more than 32 tags"),
        ("long-text", "a text has 2000 bytes, at most 1024 are allowed"),
        ("state", "expected 0 states, found 1"),
        ("not-utf8", "invalid utf-8"),
    ];
    for (mode, text) in cases {
        let error = error_of(mode);
        assert!(matches!(&error, ScoreError::Malformed(found) if found.contains(text)), "{mode}: {error}");
        assert_eq!(error.code(), Some(FailureCode::PluginMalformed));
    }
}

#[test]
fn a_missing_score_is_found_in_a_batch_and_is_no_score_alone() {
    let rows = [plain(1.0), plain(POISON), plain(2.0)];
    let scored = score("too-few-scores", &rows);
    assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
    assert_eq!(scored.failures, []);
}

#[test]
fn an_answer_that_is_too_large_is_refused_before_it_is_copied() {
    let limits = Limits { memory_bytes: 64 << 20, max_output_bytes: 1 << 20, ..limits_with_time() };
    let scored = score_within(limits, "much-text", &[plain(POISON), plain(1.0)]);
    let [failure] = &scored.failures[..] else { panic!("one row fails: {:?}", scored.failures) };
    assert!(
        matches!(&failure.error, ScoreError::Malformed(text) if text.contains("too much data")),
        "{}",
        failure.error
    );
}

#[test]
fn an_instance_scores_further_batches_after_failures() {
    let mut instance = instance(hostile(), "trap", POISON as u32, limits());
    for _ in 0..3 {
        let failed = instance.score(&RowColumns::from_rows(&[plain(POISON)]).batch()).expect("nothing stops it");
        assert_eq!(failed.failures.len(), 1);
        let rows = [plain(1.0), plain(2.0)];
        let scored = instance.score(&RowColumns::from_rows(&rows).batch()).expect("nothing stops it");
        assert_same(&scored.verdicts, &expected(&rows, |_| false));
        assert_eq!(scored.failures, []);
    }
}

fn row() -> impl Strategy<Value = Row> {
    let note = proptest::option::of("[a-zé]{0,9}");
    let small = 0_u32..40;
    (small, -50.0..200.0, note, any::<Option<bool>>(), any::<Option<i64>>(), any::<i64>())
        .prop_map(|(a, b, note, flag, count, at)| Row { a: f64::from(a), b, note, flag, count, at })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_poisonous_rows_fail(
        rows in proptest::collection::vec(row(), 1..120),
        mode in prop::sample::select(vec!["trap", "refuse", "infinite", "tag-of-no-row", "recurse"]),
    ) {
        let scored = score(mode, &rows);
        assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
        let failed: Vec<u32> = scored.failures.iter().map(|failure| failure.row).collect();
        let poisonous: Vec<u32> = (0..rows.len() as u32).filter(|row| rows[*row as usize].a == POISON).collect();
        prop_assert_eq!(failed, poisonous);
    }
}
