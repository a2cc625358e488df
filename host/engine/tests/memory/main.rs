//! What the in-memory ports promise while things go wrong: the same seed gives the same answers, nothing that is
//! acknowledged is lost, and what is lost is the newest.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appenders;
mod group;

use appenders::{Appenders, create_stream, partition, records_of};
use assay_core::names::Offset;
use assay_engine::memory::{FaultRates, Port, World};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Durability, Topic};
use assay_engine::ports::profiles::{LatestVerdict, Profile};
use assay_engine::ports::state::{Checkpoint, StateRow};

const SEEDS: u64 = 100;

fn checkpoint(events: u64) -> Checkpoint {
    Checkpoint { events: Offset(events), catalog: 1, ..Checkpoint::default() }
}

fn row(key: &str, state: &str) -> StateRow {
    StateRow { key: key.to_owned(), state: state.as_bytes().to_vec() }
}

fn profile(key: &str, offset: u64) -> Profile {
    let latest = LatestVerdict {
        score: Some(offset as f64),
        tags: Vec::new(),
        offset: Offset(offset),
        time: 0,
        event: String::new(),
        revision: 1,
        plugin: None,
    };
    Profile { key: key.to_owned(), rules: [("r".to_owned(), latest)].into() }
}

/// Rates of which one is certain.
fn always(set: impl FnOnce(&mut FaultRates)) -> FaultRates {
    let mut rates = FaultRates::NONE;
    set(&mut rates);
    rates
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = |seed| {
        let mut appenders = Appenders::new(World::new(seed, FaultRates::ROUGH), seed);
        appenders.run(300);
        appenders.into_history()
    };
    for seed in 0..SEEDS {
        assert_eq!(run(seed), run(seed), "{seed}");
    }
    assert_ne!(run(1), run(2));
}

#[test]
fn what_is_acknowledged_is_kept_in_its_place_and_the_order_of_each_appender_is_kept() {
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        let mut appenders = Appenders::new(World::new(seed, FaultRates::ROUGH), seed);
        appenders.run(300);
        acknowledged += appenders.check();
    }
    assert!(acknowledged > 50 * SEEDS as usize, "{acknowledged}");
}

#[test]
fn a_power_failure_takes_back_the_newest_writes_of_all_stores_in_one_order() {
    let mut lost_something = 0;
    for seed in 0..SEEDS {
        let world = World::new(seed, FaultRates::NONE);
        let ports = world.start_process().ports();
        create_stream(&ports);
        // Each verdict is carried into the profiles after it is in the log; the fifth is followed by a checkpoint.
        for offset in 0..10 {
            drop(appenders::append(&ports, Topic::Verdicts, 0, &offset.to_string(), Durability::Ordered).unwrap());
            ports.profiles.write(&partition(0), vec![profile("a", offset)], Offset(offset + 1)).unwrap();
            if offset == 4 {
                ports.state.save(&partition(0), &checkpoint(5), &[row("a", "5")]).unwrap();
            }
        }
        assert_eq!(world.unsynced_writes(), 10);
        world.cut_power();
        assert!(ports.state.checkpoint(&partition(0)).is_err(), "its process has ended");
        let ports = world.start_process().ports();
        let verdicts = records_of(&ports, Topic::Verdicts, 0);
        let position = ports.profiles.position(&partition(0)).unwrap().0;
        assert!(verdicts.len() >= 5, "what was written before something durable is kept: {verdicts:?}");
        assert!(verdicts.len() as u64 == position || verdicts.len() as u64 == position + 1, "{verdicts:?} {position}");
        assert_eq!(ports.profiles.get(&partition(0), "a").unwrap(), Some(profile("a", position - 1)));
        assert_eq!(ports.state.checkpoint(&partition(0)).unwrap(), Some(checkpoint(5)));
        lost_something += u64::from(verdicts.len() < 10);
        assert_eq!(world.unsynced_writes(), 0);
        drop(appenders::append(&ports, Topic::Verdicts, 0, "next", Durability::Synced).unwrap());
        world.cut_power();
        assert_eq!(records_of(&world.observer(), Topic::Verdicts, 0).len(), verdicts.len() + 1);
    }
    assert!(lost_something > SEEDS / 2, "{lost_something}");
}

#[test]
fn a_replaced_owner_that_writes_late_changes_nothing_newer() {
    let world = World::default();
    let (old, new) = (world.start_process().ports(), world.start_process().ports());
    world.set_rates(always(|rates| rates.failed_late = 1000));
    assert!(old.state.save(&partition(0), &checkpoint(5), &[row("a", "5"), row("b", "5")]).is_err());
    assert!(old.profiles.write(&partition(0), vec![profile("a", 4)], Offset(5)).is_err());
    world.set_rates(FaultRates::NONE);
    new.state.save(&partition(0), &checkpoint(8), &[row("a", "8")]).unwrap();
    new.profiles.write(&partition(0), vec![profile("a", 7)], Offset(8)).unwrap();
    world.deliver_all();
    assert_eq!(new.state.checkpoint(&partition(0)).unwrap(), Some(checkpoint(8)));
    assert_eq!(new.state.load(&partition(0), &["a", "b"]).unwrap(), [Some(b"8".to_vec()), None]);
    assert_eq!(new.profiles.get(&partition(0), "a").unwrap(), Some(profile("a", 7)));
    assert_eq!(new.profiles.position(&partition(0)).unwrap(), Offset(8));
}

#[test]
fn a_write_that_fails_on_the_way_leaves_some_items_and_no_position() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let world = World::new(seed, FaultRates::NONE);
        let ports = world.start_process().ports();
        ports.state.save(&partition(0), &checkpoint(1), &[row("a", "1"), row("b", "1")]).unwrap();
        world.set_rates(always(|rates| rates.failed_partly = 1000));
        assert!(ports.state.save(&partition(0), &checkpoint(2), &[row("a", "2"), row("b", "2")]).is_err());
        assert!(ports.profiles.write(&partition(0), vec![profile("a", 1), profile("b", 1)], Offset(2)).is_err());
        world.set_rates(FaultRates::NONE);
        assert_eq!(ports.state.checkpoint(&partition(0)).unwrap(), Some(checkpoint(1)));
        assert_eq!(ports.profiles.position(&partition(0)).unwrap(), Offset(0));
        assert_eq!(ports.state.load(&partition(0), &["b"]).unwrap(), [Some(b"1".to_vec())]);
        kept.insert(ports.state.load(&partition(0), &["a"]).unwrap());
        // A row that goes farther than the checkpoint is not taken back by an owner that is not there yet.
        ports.state.save(&partition(0), &Checkpoint { catalog: 2, ..checkpoint(1) }, &[row("a", "1")]).unwrap();
        kept.insert(ports.state.load(&partition(0), &["a"]).unwrap());
    }
    assert_eq!(kept.len(), 2, "{kept:?}");
}

#[test]
fn calls_of_a_process_that_has_crashed_and_of_a_store_that_is_out_fail() {
    let world = World::default();
    let process = world.start_process();
    let (ports, observer) = (process.ports(), world.observer());
    world.set_outage(Port::Profiles, true);
    let told = ports.profiles.position(&partition(0)).unwrap_err();
    assert!(matches!(told, StoreError::Unavailable { store: "profiles", .. }), "{told}");
    assert_eq!(observer.profiles.position(&partition(0)).unwrap(), Offset(0), "an observer is let in");
    world.set_outage(Port::Profiles, false);
    assert_eq!(ports.profiles.position(&partition(0)).unwrap(), Offset(0));
    world.crash(process.id());
    assert!(
        ports.profiles.position(&partition(0)).is_err()
            && ports.state.save(&partition(0), &checkpoint(1), &[]).is_err()
    );
    assert_eq!(observer.state.checkpoint(&partition(0)).unwrap(), None);
}
