//! What each follower costs: a backlog that is judged already is carried into one store after the other, by a process
//! that runs this follower alone. Each keeps a position of its own, so all begin at the beginning.

use std::path::Path;
use std::time::{Duration, Instant};

use assay_engine::FOLLOWERS;
use serde_json::{Value, json};

use crate::events;
use crate::scrape::{metric, partitions, scored, wait_until};
use crate::stage::{Followers, Pack, Stage};
use crate::support::Server;
use crate::topics;
use crate::watch::{Clock, Lap, Run};

const CARDS: u32 = 100_000;
const JUDGED: Duration = Duration::from_secs(120);
/// A store that is slower than that is stopped in the middle.
const AT_MOST: Duration = Duration::from_secs(40);
/// A follower begins with the partitions that it has by then: only one that stays without lag is done.
const STAYS: Duration = Duration::from_millis(500);

pub(crate) fn measure(folder: &Path, count: usize) -> Value {
    let stage = Stage::new("followers", folder, Pack::Whole);
    let server = stage.start("process", Followers::None, &[]);
    let schema = stage.apply(&server);
    events::fill(stage.topic(), schema, &events::payments(count, CARDS));
    assert!(wait_until(JUDGED, || scored(&server) as usize == count), "{}", server.log_tail());
    assert!(server.stop().success());
    println!("{count} payments of {CARDS} cards are judged");
    let blocks: u64 = topics::ends(&stage.verdict_log()).iter().sum();
    // No stream is derived here.
    let names = FOLLOWERS.iter().filter(|name| **name != "derive");
    let figures: Vec<Value> = names.map(|name| follow(&stage, name, count, blocks)).collect();
    stage.clear();
    json!({
        "events": count,
        "cards": CARDS,
        "what": "the payments pack and a rule with edges, five rules; the process starts with a backlog that is judged, \
                 reads it from the broker and carries it into one store. No event failed: dead-letters passes over all blocks",
        "each": figures,
    })
}

fn follow(stage: &Stage, name: &'static str, count: usize, blocks: u64) -> Value {
    let server = stage.start("process", Followers::Only(name), &[]);
    assert!(wait_until(AT_MOST, || !partitions(&server).is_empty()), "no partitions: {}", server.log_tail());
    let clock = Clock::start(server.pid());
    let done = until_no_lag(&server, name, &clock);
    let run = match &done {
        Some(lap) => Run::new(count, lap.clone()),
        None => {
            // What its log holds: blocks for those that follow verdicts.
            let all = if name.ends_with("-events") { count as u64 } else { blocks };
            let lag = metric(&server, &lag_of(name)).unwrap_or(all as f64);
            Run::new((count as f64 * (1.0 - lag / all as f64)) as usize, clock.lap())
        }
    };
    let errors = metric(&server, &format!("assay_follower_errors_total{{follower=\"{name}\"}}")).unwrap_or(0.0);
    let note = if done.is_some() { "" } else { ", stopped before its end" };
    println!("{name:<17} {}{note}", run.line());
    match done {
        Some(_) => assert!(server.stop().success()),
        // It is in the middle of a large write, which would take its time.
        None => server.kill(),
    }
    let mut figure = run.to_json();
    figure["follower"] = name.into();
    figure["events"] = run.events.into();
    figure["is_complete"] = done.is_some().into();
    figure["store_errors"] = errors.into();
    figure
}

fn lag_of(name: &str) -> String {
    format!("assay_follower_lag{{follower=\"{name}\"}}")
}

/// What it took until the follower had carried everything; none: not in time.
fn until_no_lag(server: &Server, name: &str, clock: &Clock) -> Option<Lap> {
    let mut since: Option<(Instant, Lap)> = None;
    // Until it has asked its store how far it is, it says that nothing waits.
    let mut has_begun = false;
    wait_until(AT_MOST, || {
        let lag = metric(server, &lag_of(name)).unwrap_or(0.0);
        has_begun |= lag > 0.0;
        since = since.take().filter(|_| lag == 0.0);
        if has_begun && lag == 0.0 && since.is_none() {
            since = Some((Instant::now(), clock.lap()));
        }
        since.as_ref().is_some_and(|(since, _)| since.elapsed() >= STAYS)
    });
    since.filter(|(since, _)| since.elapsed() >= STAYS).map(|(_, lap)| lap)
}
