//! Property test of the archive's index against a plain scan: any events, archived in any pieces, with repeated writes and
//! a restart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assay_contract as contract;

use assay_embedded::{Config, Embedded};
use contract::archive::{Event, append_events, archive_events, between, expected_history, history};
use contract::payments;
use proptest::prelude::*;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (-20_i64..20, 0_u8..4, prop_oneof![Just(String::new()), "[a-c]"])
        .prop_map(|(time, key, id)| Event::new(time, &format!("key-{key}"), &id));
    prop::collection::vec(event, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_index_equals_a_scan(
        events in events(),
        pieces in prop::collection::vec((1_usize..9, 0_usize..4), 1..60),
        restart_at in any::<prop::sample::Index>(),
        (from, length, limit) in (-25_i64..20, 0_i64..45, 1_usize..50),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let restart_at = restart_at.index(pieces.len());
        let mut store = Embedded::open(dir.path(), &Config::default()).unwrap();
        append_events(&*store.ports().log, &events);
        let mut through = 0_usize;
        for (i, (size, back)) in pieces.iter().enumerate() {
            if i == restart_at {
                drop(store);
                store = Embedded::open(dir.path(), &Config::default()).unwrap();
            }
            let ports = store.ports();
            let start = through.saturating_sub(*back);
            through = (through + size).min(events.len());
            archive_events(&*ports.archive, &*ports.log, &events, start.min(through), through);
        }
        let (ports, archived) = (store.ports(), &events[..through]);
        for key in ["key-0", "key-1", "key-2", "key-3"] {
            let found = history(&*ports.archive, key, between(from, from + length), limit);
            prop_assert_eq!(found, expected_history(archived, key, between(from, from + length)));
        }
        for id in ["a", "b", "c"] {
            let found: Vec<usize> =
                ports.archive.by_id(&payments(0), id, None, 1000).unwrap().iter().map(|event| event.place.offset.0 as usize).collect();
            let expected: Vec<usize> = (0..through).filter(|i| events[*i].id == id).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
