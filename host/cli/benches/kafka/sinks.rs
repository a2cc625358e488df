//! The cost of each sink: a process that runs only this sink writes a judged backlog to its store. Each sink has its
//! own position, so all of them begin at the beginning.

use std::path::Path;
use std::time::{Duration, Instant};

use assay_engine::SINK_NAMES;
use serde_json::{Value, json};

use crate::events;
use crate::scrape::{metric, partitions, scored, wait_until};
use crate::stage::{Pack, Sinks, Stage};
use crate::support::Server;
use crate::topics;
use crate::watch::{Clock, Lap, Run};

const CARDS: u32 = 100_000;
const SCORED_TIMEOUT: Duration = Duration::from_secs(120);
/// A slower sink is stopped in the middle.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);
/// A sink is done when it has no lag for this time. A shorter one may be that of partitions that it does not own yet.
const NO_LAG_TIME: Duration = Duration::from_millis(500);

pub(crate) fn measure(folder: &Path, count: usize) -> Value {
    let stage = Stage::new("sinks", folder, Pack::Whole);
    let server = stage.start("process", Sinks::None, &[]);
    let schema = stage.apply(&server);
    events::fill(stage.topic(), schema, &events::payments(count, CARDS));
    assert!(wait_until(SCORED_TIMEOUT, || scored(&server) as usize == count), "{}", server.log_tail());
    assert!(server.stop().success());
    println!("{count} payments of {CARDS} cards are judged");
    let blocks: u64 = topics::ends(&stage.verdict_log()).iter().sum();
    // No stream is derived here.
    let names = SINK_NAMES.iter().filter(|name| **name != "derive");
    let figures: Vec<Value> = names.map(|name| measure_sink(&stage, name, count, blocks)).collect();
    stage.clear();
    json!({
        "events": count,
        "cards": CARDS,
        "what": "the payments pack and a rule with edges, five rules; the process starts with a backlog that is judged, \
                 reads it from the broker and carries it into one store. No event failed: dead-letters passes over all blocks",
        "each": figures,
    })
}

fn measure_sink(stage: &Stage, name: &'static str, count: usize, blocks: u64) -> Value {
    let server = stage.start("process", Sinks::Only(name), &[]);
    assert!(wait_until(WAIT_TIMEOUT, || !partitions(&server).is_empty()), "no partitions: {}", server.log_tail());
    let clock = Clock::start(server.pid());
    let done = measure_until_no_lag(&server, name, &clock);
    let run = match &done {
        Some(lap) => Run::new(count, lap.clone()),
        None => {
            // The number of records in its log: blocks for sinks of verdicts.
            let all = if name.ends_with("-events") { count as u64 } else { blocks };
            let lag = metric(&server, &lag_of(name)).unwrap_or(all as f64);
            Run::new((count as f64 * (1.0 - lag / all as f64)) as usize, clock.lap())
        }
    };
    let errors = metric(&server, &format!("assay_sink_errors_total{{sink=\"{name}\"}}")).unwrap_or(0.0);
    let note = if done.is_some() { "" } else { ", stopped before its end" };
    println!("{name:<17} {}{note}", run.line());
    match done {
        Some(_) => assert!(server.stop().success()),
        // A stop would wait for a large write.
        None => server.kill(),
    }
    let mut figure = run.to_json();
    figure["sink"] = name.into();
    figure["events"] = run.events.into();
    figure["is_complete"] = done.is_some().into();
    figure["store_errors"] = errors.into();
    figure
}

fn lag_of(name: &str) -> String {
    format!("assay_sink_lag{{sink=\"{name}\"}}")
}

/// The time and the cost until the sink has written everything; none after the timeout.
fn measure_until_no_lag(server: &Server, name: &str, clock: &Clock) -> Option<Lap> {
    let mut since: Option<(Instant, Lap)> = None;
    // Its lag is 0 until it has read its position from the store.
    let mut has_begun = false;
    wait_until(WAIT_TIMEOUT, || {
        let lag = metric(server, &lag_of(name)).unwrap_or(0.0);
        has_begun |= lag > 0.0;
        since = since.take().filter(|_| lag == 0.0);
        if has_begun && lag == 0.0 && since.is_none() {
            since = Some((Instant::now(), clock.lap()));
        }
        since.as_ref().is_some_and(|(since, _)| since.elapsed() >= NO_LAG_TIME)
    });
    since.filter(|(since, _)| since.elapsed() >= NO_LAG_TIME).map(|(_, lap)| lap)
}
