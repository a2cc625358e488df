//! Limits belong to the instance, and the search for a bad row does not cost the time of all rows.

use std::time::{Duration, Instant};

use assay_runtime::{Limits, PluginError, Runtime, RuntimeConfig, ScoreError};

use crate::guests::{hostile, instance, module};
use crate::rows::{Columns, Row, plain};

#[test]
fn a_plugin_that_does_not_fit_its_memory_is_not_started() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };
    let error = hostile().instance(r#"{"mode":"none"}"#, limits).map(drop).expect_err("it needs more");
    assert!(matches!(&error, PluginError::Start(text) if text.contains("65536 are allowed")), "{error}");
}

#[test]
fn an_endless_row_among_many_is_found_within_the_time_of_few() {
    let limits = Limits { time_per_call_floor: Duration::from_millis(5), ..Limits::default() };
    let mut instance = instance(hostile(), "loop", 13, limits);
    let mut rows: Vec<Row> = (0..4_096).map(|i| plain(f64::from(i + 100))).collect();
    rows[2_777] = plain(13.0);
    let columns = Columns::of(&rows);
    let scored = instance.score(&columns.batch());
    let failed: Vec<u32> = scored.failures.iter().map(|failure| failure.row).collect();
    assert_eq!(failed, [2_777]);
    assert_eq!(scored.failures[0].error, ScoreError::Deadline { ms: 5 });
    assert_eq!(scored.verdicts.scores.iter().filter(|score| score.is_nan()).count(), 1);
    // 4,096 rows may take 4 s by their limits; the search must not use that up. Measured in CPU time it takes 100 ms.
    assert!(scored.elapsed < Duration::from_secs(3), "{:?}", scored.elapsed);
}

#[test]
fn plugins_outlive_the_runtime_that_made_them_with_their_deadlines() {
    let runtime = Runtime::new(RuntimeConfig::default()).expect("the runtime starts");
    let plugin = runtime.load(&module("hostile")).expect("the guest is a plugin");
    drop(runtime);
    let started = Instant::now();
    let mut instance = instance(&plugin, "loop", 13, Limits::default());
    drop(plugin);
    let scored = instance.score(&Columns::of(&[plain(13.0)]).batch());
    assert_eq!(scored.failures[0].error, ScoreError::Deadline { ms: 10 });
    assert!(started.elapsed() < Duration::from_secs(20));
}
