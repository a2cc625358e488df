//! Limits of instances: memory, deadlines, batch times and interrupts.

use std::time::{Duration, Instant};

use assay_runtime::{Interrupt, Limits, PluginError, Runtime, RuntimeConfig, ScoreError, Unfinished};

use crate::guests::{hostile, instance, module};
use crate::rows::{Row, RowColumns, plain};

#[test]
fn a_plugin_that_does_not_fit_its_memory_is_not_started() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };
    let error = hostile().instance(r#"{"mode":"none"}"#, limits).map(drop).expect_err("it needs more");
    assert!(matches!(&error, PluginError::Start(text) if text.contains("65536 are allowed")), "{error}");
}

#[test]
fn an_endless_row_among_many_is_found_in_much_less_time_than_their_limits() {
    let limits = Limits { time_per_call_floor: Duration::from_millis(5), ..Limits::default() };
    let mut instance = instance(hostile(), "loop", 13, limits);
    let mut rows: Vec<Row> = (0..4_096).map(|i| plain(f64::from(i + 100))).collect();
    rows[2_777] = plain(13.0);
    let columns = RowColumns::from_rows(&rows);
    let scored = instance.score(&columns.batch()).expect("nothing stops it");
    let failed: Vec<u32> = scored.failures.iter().map(|failure| failure.row).collect();
    assert_eq!(failed, [2_777]);
    assert_eq!(scored.failures[0].error, ScoreError::Deadline { ms: 5 });
    assert_eq!(scored.verdicts.scores.iter().filter(|score| score.is_nan()).count(), 1);
    // The limits allow 4 s for 4,096 rows. The search takes 70 ms on an idle machine.
    assert!(scored.cpu_time < Duration::from_secs(1), "{:?}", scored.cpu_time);
    assert!(scored.exhausted_time <= scored.elapsed, "{scored:?}");
}

#[test]
fn plugins_keep_their_deadlines_after_the_runtime_is_dropped() {
    let runtime = Runtime::new(RuntimeConfig::default()).expect("the runtime starts");
    let plugin = runtime.load(&module("hostile")).expect("the guest is a plugin");
    drop(runtime);
    let started = Instant::now();
    let mut instance = instance(&plugin, "loop", 13, Limits::default());
    drop(plugin);
    let scored = instance.score(&RowColumns::from_rows(&[plain(13.0)]).batch()).expect("nothing stops it");
    assert_eq!(scored.failures[0].error, ScoreError::Deadline { ms: 10 });
    assert!(started.elapsed() < Duration::from_secs(20));
}

/// Rows on which the guest never ends: their first float is 13.
fn endless(count: usize) -> Vec<Row> {
    vec![plain(13.0); count]
}

#[test]
fn many_endless_rows_cost_a_deadline_each() {
    let limits = Limits { time_per_call_floor: Duration::from_millis(5), ..Limits::default() };
    let mut instance = instance(hostile(), "loop", 13, limits);
    let scored = instance.score(&RowColumns::from_rows(&endless(40)).batch()).expect("nothing stops it");
    assert_eq!(scored.failures.len(), 40);
    // About 45 deadlines of 5 ms. On a busy machine each is seen late.
    assert!(scored.cpu_time < Duration::from_secs(5), "{:?}", scored.cpu_time);
    assert!(scored.exhausted_time > Duration::from_millis(40 * 5), "{:?}", scored.exhausted_time);
}

#[test]
fn a_bounded_instance_abandons_a_slow_batch_and_scores_smaller_ones() {
    let mut instance = instance(hostile(), "loop", 13, Limits::default()).with_batch_limit();
    let given_up = instance.score(&RowColumns::from_rows(&endless(4_096)).batch()).map(drop);
    assert!(
        matches!(given_up, Err(Unfinished::TooSlow { spent, .. }) if spent < Duration::from_secs(5)),
        "{given_up:?}"
    );
    for rows in [1, 2, 4] {
        let scored = instance.score(&RowColumns::from_rows(&endless(rows)).batch()).expect("so few are never given up");
        assert_eq!(scored.failures.len(), rows);
    }
    let good: Vec<Row> = (0..4_096).map(|i| plain(f64::from(i + 100))).collect();
    let scored = instance.score(&RowColumns::from_rows(&good).batch()).expect("it is fast");
    assert_eq!(scored.failures, []);
}

#[test]
fn an_interrupt_stops_a_call_and_fails_no_row() {
    let interrupt = Interrupt::default();
    // An hour for a single row, so that nothing but the interrupt can stop it.
    let limits = Limits { time_per_event: Duration::from_secs(3_600), ..Limits::default() };
    let mut instance = instance(hostile(), "loop", 13, limits).with_interrupt(&interrupt);
    let raise = interrupt.clone();
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        raise.raise();
    });
    let started = Instant::now();
    let stopped = instance.score(&RowColumns::from_rows(&endless(1)).batch()).map(drop);
    assert_eq!(stopped, Err(Unfinished::Interrupted));
    assert!(started.elapsed() < Duration::from_secs(20));
    other.join().expect("it only sleeps");
    let good = [plain(1.0), plain(2.0)];
    assert_eq!(
        instance.score(&RowColumns::from_rows(&good).batch()).map(drop),
        Err(Unfinished::Interrupted),
        "until it is cleared"
    );
    interrupt.clear();
    assert_eq!(instance.score(&RowColumns::from_rows(&good).batch()).expect("nothing stops it").failures, []);
}
