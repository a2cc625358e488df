//! The test of faults: three real `assay serve` on real servers, under load, while members are killed, stopped and
//! frozen, the broker freezes, and Kafka and every store are killed and come back; rules and a plugin change meanwhile.
//! Afterwards no acked event is lost, and every verdict with the inputs that the rule saw, every profile, view value,
//! ranking, edge, dead letter, point and published verdict equals what one undisturbed embedded server says of the
//! same events in the same order; and a stream that is derived by another key has counted each event once.
//!
//! The order is the log's: what is sent again after an answer that did not come may be in it twice, as two events. Each
//! partition goes over to new rules at an event of its own, which is where the undisturbed server is made to change, too.
//!
//! Runs on servers of its own, some minutes. Another course of things: ASSAY_FAULTS_SEED=8. To look at what a failure
//! leaves: ASSAY_FAULTS_KEEP=1; end its servers by `CARGO_TARGET_DIR=... cargo xtask servers down --wipe` then.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "../support/ask.rs"]
mod ask;
mod changes;
mod compare;
mod course;
mod derived;
mod load;
mod members;
mod points;
mod published;
mod rng;
mod servers;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/ties/mod.rs"]
mod ties;
mod truth;
mod undisturbed;

use std::sync::atomic::{AtomicBool, Ordering};

use changes::{Change, Pack};
use course::{Course, Fault};
use load::Load;
use members::Members;
use rng::SeededRng;
use servers::Servers;
use truth::Truth;

/// Another one: ASSAY_FAULTS_SEED=8 cargo xtask test --servers -- faults
const SEED: u64 = 7;
/// The faults of each phase, in an order that the seed makes. Rules change between two phases.
const PHASES: [&[Fault]; 3] = [
    &[
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Stop,
        Fault::Freeze,
        Fault::PauseBroker,
        Fault::Crash("mongodb"),
        Fault::Crash("cassandra"),
    ],
    &[
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Stop,
        Fault::Freeze,
        Fault::PauseBroker,
        Fault::Crash("kafka"),
        Fault::Crash("dgraph"),
    ],
    &[
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Kill,
        Fault::Stop,
        Fault::Freeze,
        Fault::PauseBroker,
        Fault::Crash("kafka"),
        Fault::Crash("influxdb"),
    ],
];

/// The faults of a phase: all of them in a long run (`cargo xtask test --servers --long`), else one of each kind.
fn faults_of(phase: &[Fault]) -> Vec<Fault> {
    let is_long = std::env::var_os("ASSAY_TEST_LONG").is_some();
    let mut faults: Vec<Fault> = Vec::new();
    for fault in phase {
        if is_long || !faults.contains(fault) {
            faults.push(*fault);
        }
    }
    faults
}

struct EnoughWhenDropped<'a>(&'a AtomicBool);

impl Drop for EnoughWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn three_members_under_faults_say_what_one_undisturbed_server_says() {
    let seed = std::env::var("ASSAY_FAULTS_SEED").map_or(SEED, |seed| seed.parse().expect("a seed is a number"));
    println!("seed {seed}");
    let servers = Servers::up();
    let folder = servers.folder().to_owned();
    let pack = Pack::make(&folder);
    let members = Members::start(&folder, &servers);
    members.with_any(&mut SeededRng::new(seed), |server| pack.apply(server));
    let load = Load::new(seed);
    let course = Course::new(&servers, &members, &load);
    let changes = [Change::Rules, Change::Plugin];

    for (phase, faults) in (0..).zip(PHASES.map(faults_of)) {
        println!("phase {}: {} faults", phase + 1, faults.len());
        let mut rng = SeededRng::new(seed ^ (phase << 32));
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = load.spawn(scope, &members, &enough, rng.next());
            // Also if a fault panics: else the senders would never end.
            let until_here = EnoughWhenDropped(&enough);
            course.run(&faults, &mut rng);
            drop(until_here);
            sending.into_iter().for_each(|sender| sender.join().unwrap());
        });
        let last = load.send_to_all_partitions(&members, &mut rng);
        load.wait_judged(&members, &last);
        if let Some(change) = changes.get(phase as usize) {
            course.change_while_frozen(change, &pack, &mut rng);
        }
    }

    members.wait_settled();
    let truth = Truth::read(&members, &load);
    println!("{}", course.report(&load, &truth));
    let undisturbed = undisturbed::run(&folder, &pack, &changes, &truth);
    compare::all(&members, &undisturbed, &load, &truth);
    derived::compare(&members, &truth);
    points::compare(&servers, &truth);
    published::compare(&servers, &truth);
    members.stop();
    servers.wipe();
}
