//! The contract of the state port.

use assay_core::names::Offset;
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};

use super::payments;

fn row(key: &str, state: &[u8]) -> StateRow {
    StateRow { key: key.to_owned(), state: state.to_vec() }
}

fn checkpoint(events: u64) -> Checkpoint {
    let origins = (0..events.min(3)).map(|partition| Offset(events - partition)).collect();
    Checkpoint { events: Offset(events), verdicts: Offset(events / 2), catalog: 3, origins }
}

/// A partition without a save has no checkpoint and no states.
pub fn new_partitions_are_empty(state: &dyn StateStore) {
    assert_eq!(state.checkpoint(&payments(0)).unwrap(), None);
    assert_eq!(state.load(&payments(0), &["a", ""]).unwrap(), [None, None]);
    state.save(&payments(1), &checkpoint(5), &[row("a", b"1")]).unwrap();
    assert_eq!(state.checkpoint(&payments(0)).unwrap(), None);
    assert_eq!(state.load(&payments(0), &["a"]).unwrap(), [None]);
}

/// An older checkpoint, such as a late one of a replaced owner, changes nothing. Of two checkpoints at the same offset the
/// one with the newer catalog version is newer.
pub fn older_checkpoints_change_nothing(state: &dyn StateStore) {
    let partition = payments(2);
    state.save(&partition, &checkpoint(20), &[row("a", b"20")]).unwrap();
    state.save(&partition, &checkpoint(10), &[row("a", b"10")]).unwrap();
    assert_eq!(state.checkpoint(&partition).unwrap(), Some(checkpoint(20)));
    assert_eq!(state.load(&partition, &["a"]).unwrap(), [Some(b"20".to_vec())]);
    let newer = Checkpoint { catalog: 4, ..checkpoint(20) };
    state.save(&partition, &newer, &[row("a", b"converted")]).unwrap();
    state.save(&partition, &checkpoint(20), &[row("a", b"20")]).unwrap();
    assert_eq!(state.checkpoint(&partition).unwrap(), Some(newer));
    assert_eq!(state.load(&partition, &["a"]).unwrap(), [Some(b"converted".to_vec())]);
    state.save(&partition, &Checkpoint { catalog: 4, ..checkpoint(21) }, &[row("a", b"21")]).unwrap();
    assert_eq!(state.load(&partition, &["a"]).unwrap(), [Some(b"21".to_vec())]);
}

/// Saves states that [`states_survive_reopen`] expects.
pub fn save_states_before_reopen(state: &dyn StateStore) {
    let long = "k".repeat(100_000);
    state.save(&payments(0), &checkpoint(10), &[row("a", b"old"), row("b", b"1"), row(&long, b"long")]).unwrap();
    state
        .save(&payments(0), &checkpoint(u64::MAX), &[row("a", b"new"), row("", b""), row("ä\0", &[9; 70_000])])
        .unwrap();
    state.save(&payments(7), &checkpoint(1), &[row("a", b"other")]).unwrap();
    let none = Checkpoint { origins: Vec::new(), ..checkpoint(2) };
    state.save(&payments(8), &none, &[]).unwrap();
}

/// After a reopen the checkpoints and states are there. A load returns them in the order of the keys.
pub fn states_survive_reopen(state: &dyn StateStore) {
    let long = "k".repeat(100_000);
    let longer = format!("{long}k");
    let loaded = state.load(&payments(0), &["b", "none", "a", "", "ä\0", &long, &longer, "a"]).unwrap();
    let expected: [Option<Vec<u8>>; 8] = [
        Some(b"1".to_vec()),
        None,
        Some(b"new".to_vec()),
        Some(Vec::new()),
        Some(vec![9; 70_000]),
        Some(b"long".to_vec()),
        None,
        Some(b"new".to_vec()),
    ];
    assert_eq!(loaded, expected);
    assert_eq!(state.load(&payments(7), &["a"]).unwrap(), [Some(b"other".to_vec())]);
    assert_eq!(state.checkpoint(&payments(0)).unwrap(), Some(checkpoint(u64::MAX)));
    let none = Checkpoint { origins: Vec::new(), ..checkpoint(2) };
    assert_eq!(state.checkpoint(&payments(8)).unwrap(), Some(none));
    assert!(state.load(&payments(0), &[]).unwrap().is_empty());
}
