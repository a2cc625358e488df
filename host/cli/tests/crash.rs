//! The crash test: a real server is killed (SIGKILL) at random moments under load, and sometimes again while it
//! recovers. Afterwards every verdict with the inputs that the rule saw, every profile, every value of every view and
//! every ranking equals those of a server that nobody disturbed.
//!
//! The producer sends one batch after the other. Of a batch without an answer it asks whether it is stored, and sends it
//! again if it is not; so both servers get the same events in the same order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use assay::generate::{Payments, PaymentsConfig, write_json};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use serde_json::Value;
use support::{Server, pack, plugins};

const EVENTS: usize = 40_000;
const CARDS: u32 = 2_000;
/// Kills under load. Those while the server recovers come on top.
const KILLS: usize = 20;
/// Another one: ASSAY_CRASH_SEED=8 cargo test --release --workspace --test crash
const SEED: u64 = 7;
const RULES: [&str; 4] = ["card_velocity", "card_geo", "card_thresholds", "payment_risk"];

/// Events that are sent together.
struct Batch {
    ids: Vec<String>,
    body: Vec<u8>,
}

struct SeededRng(Xoshiro256PlusPlus);

impl SeededRng {
    fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.0.next_u64() % (to - from + 1) as u64) as usize
    }
}

/// The same payments on every run, in batches of 200 to 500, and the cards that pay.
fn batches(rng: &mut SeededRng) -> (Vec<Batch>, BTreeSet<String>) {
    let config = PaymentsConfig { cards: CARDS, fraud_share: 0.02, ..PaymentsConfig::default() };
    let mut payments = Payments::new(&config).unwrap();
    let (mut batches, mut cards) = (Vec::new(), BTreeSet::new());
    let mut left = EVENTS;
    while left > 0 {
        let size = rng.between(200, 500).min(left);
        let mut batch = Batch { ids: Vec::new(), body: Vec::new() };
        for payment in payments.by_ref().take(size) {
            let start = batch.body.len();
            write_json(&payment, &mut batch.body);
            let event: Value = serde_json::from_slice(&batch.body[start..]).unwrap();
            batch.ids.push(event["id"].as_str().unwrap().to_owned());
            cards.insert(event["card"].as_str().unwrap().to_owned());
            batch.body.push(b'\n');
        }
        left -= size;
        batches.push(batch);
    }
    (batches, cards)
}

/// Starts a server on a fresh folder with the pack and its plugins.
fn fresh(data: &Path) -> Server {
    let server = Server::start(data, None, &[]);
    server.command(&[&"apply", &pack("payments"), &"--plugins", &plugins()]);
    server
}

/// Sends a batch. False: no answer came.
fn send(server: &Server, batch: &Batch) -> bool {
    match server.send("POST", "/v1/streams/payments/events", Some(("application/x-ndjson", &batch.body))) {
        Ok((status, text)) => {
            assert_eq!(status, 202, "{text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["accepted"], batch.ids.len());
            true
        }
        Err(_) => false,
    }
}

/// Whether a batch is stored; it must be stored whole or not at all, and never twice.
fn is_stored(server: &Server, batch: &Batch) -> bool {
    let mut stored = 0;
    for id in &batch.ids {
        let (status, answer) = server.get(&format!("/v1/events/payments/{id}"));
        match status {
            200 => {
                assert_eq!(answer["events"].as_array().map(Vec::len), Some(1), "{id} is stored more than once");
                stored += 1;
            }
            404 => {}
            _ => panic!("{id}: {status} {answer}"),
        }
    }
    assert!(stored == 0 || stored == batch.ids.len(), "{stored} of {} events of a batch are stored", batch.ids.len());
    stored > 0
}

/// Starts the server again after it was killed; now and then it is killed once more while it recovers.
fn restart(data: &Path, key: &str, rng: &mut SeededRng) -> (Server, usize) {
    let mut kills = 0;
    loop {
        // Between rare and constant checkpoints: kills then come before, within and after one.
        let every = ["1s", "200ms", "40ms", "5ms"][rng.between(0, 3)];
        let server = Server::start(data, Some(key), &[("ASSAY_ENGINE__CHECKPOINT_EVERY", every)]);
        if rng.between(0, 3) > 0 {
            server.wait_findable();
            return (server, kills);
        }
        let delay = Duration::from_micros(rng.between(0, 30_000) as u64);
        server.kill_after(delay).join().unwrap();
        kills += 1;
    }
}

/// Sends all batches to a server that is killed now and then. Returns the last life of it.
fn disturbed(data: &Path, batches: &[Batch], rng: &mut SeededRng) -> Server {
    let mut server = fresh(data);
    let key = server.key.clone();
    let mut at: Vec<usize> = (0..KILLS).map(|_| rng.between(1, batches.len() - 10)).collect();
    at.sort_unstable();
    let (mut kills, mut kills_recovering, mut resent) = (0, 0, 0);
    let mut killer = None;
    let mut next = 0;
    while next < batches.len() {
        if killer.is_none() && kills < KILLS && next >= at[kills] {
            killer = Some(server.kill_after(Duration::from_micros(rng.between(0, 25_000) as u64)));
        }
        if send(&server, &batches[next]) {
            next += 1;
            continue;
        }
        let Some(killer) = killer.take() else { panic!("the server does not answer, and nobody killed it") };
        killer.join().unwrap();
        kills += 1;
        let (again, more) = restart(data, &key, rng);
        server = again;
        kills_recovering += more;
        if is_stored(&server, &batches[next]) {
            next += 1;
        } else {
            resent += 1;
        }
    }
    assert!(killer.is_none(), "the events ended before the last kill");
    assert_eq!(kills, KILLS);
    println!("{kills} kills under load, {kills_recovering} while it recovered, {resent} batches sent again");
    server
}

/// Waits until the last event of each partition is judged and in the profile of its card: then all before it are too.
fn wait_judged(server: &Server, batches: &[Batch]) {
    let mut last = BTreeMap::new();
    // Enough of them to meet every partition.
    for id in batches[batches.len() - 2..].iter().flat_map(|batch| &batch.ids) {
        let path = format!("/v1/events/payments/{id}");
        let found = server.until(&path, |status, answer| status == 200 && answer["events"][0]["judged"] == true);
        let event = &found["events"][0];
        last.insert(
            event["place"]["partition"].as_u64().unwrap(),
            (id.clone(), event["key"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(last.len(), 8, "not all partitions have an event in the last batches");
    for (id, card) in last.into_values() {
        let path = format!("/v1/entities/payments/{card}");
        server.until(&path, |_, answer| answer["rules"]["payment_risk"]["event"] == id.as_str());
    }
}

/// All items of a listing, page by page.
fn listing(server: &Server, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = match cursor.as_str() {
            Some(cursor) => server.read(&format!("{path}&cursor={cursor}")),
            None => server.read(path),
        };
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            return items;
        }
    }
}

/// Compares profiles, values of views and rankings.
fn compare_state(one: &Server, other: &Server, cards: &BTreeSet<String>) {
    for card in cards {
        let path = format!("/v1/entities/payments/{card}");
        let (profile, expected) = (one.read(&path), other.read(&path));
        assert_eq!(profile["views"].as_object().map(serde_json::Map::len), Some(2), "views of {card}");
        assert_eq!(profile["views"], expected["views"], "views of {card}");
        assert_eq!(profile, expected, "profile of {card}");
    }
    for rule in RULES {
        let path = format!("/v1/scores?rule={rule}&limit=1000");
        let (scores, expected) = (listing(one, &path), listing(other, &path));
        assert!(!scores.is_empty() && scores == expected, "the rankings by {rule} differ");
    }
}

/// Compares every verdict, with the inputs that the rule saw; every event must have been judged once.
fn compare_verdicts(one: &Server, other: &Server, cards: &BTreeSet<String>, ids: &BTreeSet<&str>) {
    let (mut judged, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for card in cards {
        let path = format!("/v1/entities/payments/{card}/verdicts?limit=1000");
        let (outcomes, expected) = (listing(one, &path), listing(other, &path));
        assert_eq!(outcomes.len(), expected.len(), "verdicts on {card}");
        for (outcome, expected) in outcomes.iter().zip(&expected) {
            assert_eq!(outcome, expected, "verdicts on {} of {card}", expected["id"]);
            assert_eq!(outcome["failures"], Value::Array(Vec::new()), "{outcome}");
            let verdicts = outcome["verdicts"].as_array().unwrap();
            assert!(verdicts.iter().any(|verdict| verdict["rule"] == "payment_risk"), "{outcome}");
            let all = verdicts.iter().flat_map(|verdict| verdict["tags"].as_array().into_iter().flatten());
            tags.extend(all.map(|tag| tag.as_str().unwrap().to_owned()));
            assert!(judged.insert(outcome["id"].as_str().unwrap().to_owned()), "listed twice: {outcome}");
        }
    }
    assert!(judged.iter().map(String::as_str).eq(ids.iter().copied()), "other events were judged than were sent");
    for tag in ["impossible-travel", "high-velocity", "review", "block"] {
        assert!(tags.contains(tag), "no event has the tag {tag}: the events exercise too little");
    }
}

#[test]
fn a_server_that_is_killed_repeatedly_gives_the_results_of_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let seed = std::env::var("ASSAY_CRASH_SEED").map_or(SEED, |seed| seed.parse().expect("a seed is a number"));
    println!("seed {seed}");
    let mut rng = SeededRng(Xoshiro256PlusPlus::seed_from_u64(seed));
    let (batches, cards) = batches(&mut rng);
    let ids: BTreeSet<&str> = batches.iter().flat_map(|batch| &batch.ids).map(String::as_str).collect();
    assert_eq!(ids.len(), EVENTS);

    let undisturbed = fresh(&dir.path().join("undisturbed"));
    for batch in &batches {
        assert!(send(&undisturbed, batch), "no answer");
    }
    let data = dir.path().join("disturbed");
    let server = disturbed(&data, &batches, &mut rng);

    wait_judged(&undisturbed, &batches);
    wait_judged(&server, &batches);
    compare_state(&server, &undisturbed, &cards);
    compare_verdicts(&server, &undisturbed, &cards, &ids);
    for server in [&server, &undisturbed] {
        assert_eq!(server.read("/v1/dead-letters?limit=1")["items"], Value::Array(Vec::new()));
    }

    // What it knows in memory is also what it has on disk.
    let key = server.key.clone();
    let status = server.stop();
    assert!(status.success(), "asked to stop, the server ended with {status}");
    let server = Server::start(&data, Some(&key), &[]);
    compare_state(&server, &undisturbed, &cards);
}
