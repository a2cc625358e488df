//! Events that panic in folds, in a process that is killed again and again: afterwards each of them is one dead letter, and
//! everything else is as if they had never come.
//!
//! The process is this test binary again, with an environment variable that names the folder.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::profiles::Profile;
use assay_engine::{Probe, ProbePoint};

use crate::payments::{TestEngine, partitions, payment};
use crate::results::{JudgedById, Results, by_id, card, define, letters, start};
use crate::{OFTEN, wait_until_ready};

const FOLDER: &str = "ASSAY_PANIC_KILLS_TEST_FOLDER";
const EVENTS: u64 = 3_000;
/// The events of a request, and the pause before the next one: so most kills come before everything is scored.
const REQUEST_EVENTS: usize = 25;
const REQUEST_INTERVAL: Duration = Duration::from_millis(4);
/// The time for kills. The process is not killed after that.
const KILLS_TIME: Duration = Duration::from_secs(8);

/// True for the payments that panic. All of them are without a device, so that they have no copies.
fn is_hostile(number: u64) -> bool {
    number % 140 == 77
}

/// The number of a payment, from its Avro bytes: they begin with the id.
fn payment_number(bytes: &[u8]) -> Option<u64> {
    let length = usize::from(bytes.first()? / 2);
    std::str::from_utf8(bytes.get(1..=length)?).ok()?.strip_prefix('p')?.parse().ok()
}

fn hostile_probe() -> Probe {
    Probe::new(|at| {
        let ProbePoint::Fold(partition, records) = at else { return };
        let panics = |(_, bytes): &(Offset, &[u8])| payment_number(bytes).is_some_and(is_hostile);
        assert!(&*partition.stream != "payments" || !records.iter().any(panics), "hostile words");
    })
}

/// The payments in the log.
fn logged_payments(running: &TestEngine) -> BTreeSet<u64> {
    let log = running.ports().log;
    let of_partition = |partition: &assay_engine::ports::PartitionId| {
        let blocks =
            log.read(&partition.stream, Topic::Events, partition.partition, Offset(0), 100_000, 1 << 30).unwrap();
        let numbers = blocks.iter().flat_map(Records::iter).map(|(_, bytes)| payment_number(bytes).unwrap());
        numbers.collect::<Vec<u64>>()
    };
    partitions()[..2].iter().flat_map(of_partition).collect()
}

/// Ingests the payments that are not in the log yet.
fn ingest_rest(running: &TestEngine, interval: Duration) {
    let logged = logged_payments(running);
    let rest: Vec<u64> = (0..EVENTS).filter(|number| !logged.contains(number)).collect();
    for request in rest.chunks(REQUEST_EVENTS) {
        running.ingest(request.iter().map(|number| payment(*number, &card(*number))));
        std::thread::sleep(interval);
    }
}

/// Runs the process and kills it at a random moment after its start. Returns whether it came to its end before.
fn run_and_kill(dir: &Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::each_event_that_panics_is_one_dead_letter_despite_kills", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("started")), "the process starts");
    let moment = RandomState::new().hash_one(std::process::id()) % 250;
    std::thread::sleep(Duration::from_millis(moment));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.any(|line| line.contains("all ingested"))
}

/// The results without offsets, which the hostile events shift.
fn comparable(running: &TestEngine) -> (JudgedById, Results, Vec<Option<Profile>>) {
    let (mut results, mut profiles) = (Results::read(running), Vec::new());
    for mut profile in results.remove_places() {
        let latest = profile.iter_mut().flat_map(|profile| profile.rules.values_mut());
        latest.for_each(|latest| latest.offset = Offset(0));
        profiles.push(profile);
    }
    (by_id(&running.ports()), results, profiles)
}

#[test]
fn each_event_that_panics_is_one_dead_letter_despite_kills() {
    if let Some(dir) = std::env::var_os(FOLDER) {
        let running = start(Path::new(&dir), hostile_probe(), OFTEN, |ports| ports);
        println!("started");
        ingest_rest(&running, REQUEST_INTERVAL);
        println!("all ingested");
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), hostile_probe(), OFTEN, |ports| ports);
    define(&running);
    drop(running);
    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < KILLS_TIME {
        kills += 1;
        if run_and_kill(dir.path()) {
            break;
        }
    }
    println!("{kills} kills in {:?}", begun.elapsed());
    let running = start(dir.path(), hostile_probe(), OFTEN, |ports| ports);
    println!("{} events were logged", logged_payments(&running).len());
    ingest_rest(&running, Duration::ZERO);
    running.wait_until_written();
    wait_until_ready(&running);

    let undisturbed = tempfile::tempdir().unwrap();
    let expected = start(undisturbed.path(), Probe::default(), OFTEN, |ports| ports);
    define(&expected);
    let others: Vec<u64> = (0..EVENTS).filter(|number| !is_hostile(*number)).collect();
    for request in others.chunks(100) {
        expected.ingest(request.iter().map(|number| payment(*number, &card(*number))));
    }
    expected.wait_until_written();
    assert!(comparable(&running) == comparable(&expected), "the other results differ");

    let ports = running.ports();
    let number = |letter: &assay_engine::ports::dead_letters::DeadLetter| {
        let partition = partitions()[letter.place.partition.0 as usize].clone();
        let event = ports.archive.event(&partition, letter.place.offset).unwrap().unwrap();
        payment_number(&event.bytes).unwrap()
    };
    let found = letters(&ports);
    let mut panicked: Vec<u64> =
        found.iter().filter(|one| one.code == FailureCode::EventPanicked).map(number).collect();
    panicked.sort_unstable();
    assert_eq!(panicked, (0..EVENTS).filter(|number| is_hostile(*number)).collect::<Vec<_>>());
}
