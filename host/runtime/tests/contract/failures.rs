//! Whatever a guest does on some rows: exactly those rows are set aside, and all others are scored as if alone.

use std::time::Duration;

use assay_runtime::{Limits, ScoreError, Scored};
use proptest::prelude::*;

use crate::guests::{hostile, instance};
use crate::rows::{Columns, Row, assert_same, expected, plain};

const POISON: f64 = 13.0;

fn limits() -> Limits {
    Limits { time_per_call_floor: Duration::from_millis(5), ..Limits::default() }
}

fn score(mode: &str, rows: &[Row]) -> Scored {
    score_within(limits(), mode, rows)
}

fn score_within(limits: Limits, mode: &str, rows: &[Row]) -> Scored {
    instance(hostile(), mode, POISON as u32, limits).score(&Columns::of(rows).batch()).expect("nothing stops it")
}

/// Time enough to touch all the memory that there is.
fn patient() -> Limits {
    Limits { time_per_call_floor: Duration::from_secs(2), ..Limits::default() }
}

/// The error of row 3 of 8, after a check that nothing else suffered.
fn error_of(mode: &str) -> ScoreError {
    let rows: Vec<Row> = [1.0, 200.0, 3.0, POISON, 5.0, 150.0, 7.0, 8.0].into_iter().map(plain).collect();
    let scored = score(mode, &rows);
    assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
    assert_eq!(scored.failures.iter().map(|failure| failure.row).collect::<Vec<_>>(), [3], "{mode}");
    scored.failures[0].error.clone()
}

#[test]
fn a_trap_costs_only_its_row() {
    let unreachable = "wasm trap: wasm `unreachable` instruction executed";
    for (mode, said) in [("trap", unreachable), ("recurse", "wasm trap: call stack exhausted")] {
        let error = error_of(mode);
        assert!(matches!(&error, ScoreError::Trap(text) if text.starts_with(said)), "{mode}: {error}");
    }
}

#[test]
fn a_trap_names_the_functions_of_the_plugin() {
    let error = error_of("trap").to_string();
    assert!(error.contains(" in hostile::") || error.contains("called by hostile::"), "{error}");
    assert!(!error.contains("panicking::panic_handler") && !error.contains("_RN"), "{error}");
    assert!(error.len() < 1_000, "{error}");
    let error = error_of("recurse").to_string();
    assert!(error.matches("hostile::recurse").count() > 1, "{error}");
}

#[test]
fn a_loop_is_stopped_after_the_time_of_a_single_row() {
    assert_eq!(error_of("loop"), ScoreError::Deadline { ms: 5 });
}

#[test]
fn memory_is_bounded() {
    let rows = [plain(1.0), plain(POISON), plain(3.0)];
    let scored = score_within(patient(), "allocate", &rows);
    assert_same(&scored.verdicts, &expected(&rows, |row| row.a == POISON));
    let error = &scored.failures[0].error;
    assert!(matches!(error, ScoreError::OutOfMemory(text) if text.contains("16777216 are allowed")), "{error}");
}

#[test]
fn a_refusal_keeps_the_plugins_words() {
    assert_eq!(error_of("refuse"), ScoreError::Refused("refused row 0".into()));
}

#[test]
fn malformed_answers_are_named() {
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
        assert_eq!(error.code(), "plugin-malformed");
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
fn an_answer_that_is_too_large_is_refused_before_the_host_holds_it() {
    let limits = Limits { memory_bytes: 64 << 20, max_output_bytes: 1 << 20, ..patient() };
    let scored = score_within(limits, "much-text", &[plain(POISON), plain(1.0)]);
    let [failure] = &scored.failures[..] else { panic!("one row fails: {:?}", scored.failures) };
    assert!(
        matches!(&failure.error, ScoreError::Malformed(text) if text.contains("too much data")),
        "{}",
        failure.error
    );
}

#[test]
fn an_instance_goes_on_after_failures() {
    let mut instance = instance(hostile(), "trap", POISON as u32, limits());
    for _ in 0..3 {
        let failed = instance.score(&Columns::of(&[plain(POISON)]).batch()).expect("nothing stops it");
        assert_eq!(failed.failures.len(), 1);
        let rows = [plain(1.0), plain(2.0)];
        let scored = instance.score(&Columns::of(&rows).batch()).expect("nothing stops it");
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
    fn exactly_the_poisonous_rows_are_set_aside(
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
