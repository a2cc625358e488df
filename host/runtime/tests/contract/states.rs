//! Stateful plugins: the result of a batch does not depend on its division into calls, and a failing row does not
//! change the state.

use assay_runtime::{Batch, Blobs, Column, Ints, Limits, ScoreError, Scored, States};
use proptest::prelude::*;

use crate::guests::{folding, instance};

const POISON: i64 = 7;

/// Scores rows of (entity, value) with the states.
fn score(mode: &str, rows: &[(u32, i64)], states: &States) -> Scored {
    let entities: Vec<u32> = rows.iter().map(|(entity, _)| *entity).collect();
    let values: Vec<i64> = rows.iter().map(|(_, value)| *value).collect();
    let batch = Batch {
        rows: rows.len() as u32,
        columns: vec![Column::Ints(Ints { values: &values, present: &[] })],
        entities: &entities,
        states: states.as_blobs(),
    };
    instance(folding(), mode, POISON as u32, Limits::default()).score(&batch).expect("nothing stops it")
}

fn state(sum: i64, count: i64) -> Vec<u8> {
    [sum.to_le_bytes(), count.to_le_bytes()].concat()
}

/// The fold as the guest does it, without the rows that fail.
fn fold(rows: &[(u32, i64)], states: &mut [(i64, i64)], skip: Option<i64>) -> Vec<f64> {
    let fold_row = |&(entity, value): &(u32, i64)| {
        if Some(value) == skip {
            return f64::NAN;
        }
        let state = &mut states[entity as usize];
        *state = (state.0.wrapping_mul(31).wrapping_add(value), state.1 + 1);
        (state.0 % 1_000_003) as f64
    };
    rows.iter().map(fold_row).collect()
}

fn pack(states: &[(i64, i64)]) -> States {
    let mut packed = States::default();
    for (sum, count) in states {
        packed.push(&state(*sum, *count));
    }
    packed
}

fn bits(scores: &[f64]) -> Vec<u64> {
    scores.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn an_entity_without_state_begins_with_an_empty_one() {
    let mut states = States::default();
    states.push(b"");
    let scored = score("none", &[(0, 4), (0, 5)], &states);
    assert_eq!(scored.verdicts.scores, [4.0, 129.0]);
    assert_eq!(scored.states.get(0), state(129, 2));
}

#[test]
fn a_failed_row_does_not_change_the_state() {
    let scored = score("trap", &[(0, 4), (0, POISON), (0, 5), (1, POISON)], &pack(&[(0, 0), (3, 1)]));
    assert_eq!(scored.failures.iter().map(|failure| failure.row).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(scored.states.get(0), state(129, 2));
    assert_eq!(scored.states.get(1), state(3, 1));
}

#[test]
fn a_state_above_the_limit_is_a_failure_of_its_row() {
    let scored = score("grow", &[(0, 1), (1, POISON), (0, 2)], &pack(&[(0, 0), (0, 0)]));
    let [failure] = &scored.failures[..] else { panic!("one row fails: {:?}", scored.failures) };
    assert_eq!(failure.row, 1);
    assert_eq!(failure.error, ScoreError::Malformed("a state has 5016 bytes, at most 4096 are allowed".into()));
    assert_eq!(scored.states, pack(&[(33, 2), (0, 0)]));
}

#[test]
fn states_are_migrated_in_their_order() {
    let mut old = States::default();
    old.push(&11_i64.to_le_bytes());
    old.push(&22_i64.to_le_bytes());
    let mut instance = instance(folding(), "none", 0, Limits::default());
    assert_eq!(instance.migrate(1, old.as_blobs()), Ok(pack(&[(11, 0), (22, 0)])));
    assert_eq!(
        instance.migrate(9, Blobs::default()),
        Err(ScoreError::Refused("version 9 is unknown".into())),
        "the plugin's words are kept"
    );
    assert!(instance.migrate(1, old.as_blobs()).is_ok(), "a refusal does not end the instance");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_gives_the_same_as_a_fold_row_by_row(
        rows in proptest::collection::vec((0_u32..5, 0_i64..24), 1..100),
        start in proptest::collection::vec((any::<i32>(), 0_i64..9), 5),
        mode in prop::sample::select(vec!["none", "trap", "refuse", "lose-a-state", "grow"]),
    ) {
        let mut states: Vec<(i64, i64)> = start.iter().map(|(sum, count)| (i64::from(*sum), *count)).collect();
        let scored = score(mode, &rows, &pack(&states));
        let skip = (mode != "none").then_some(POISON);
        let scores = fold(&rows, &mut states, skip);
        prop_assert_eq!(bits(&scored.verdicts.scores), bits(&scores));
        prop_assert_eq!(scored.states, pack(&states));
        prop_assert_eq!(scored.failures.len(), rows.iter().filter(|row| Some(row.1) == skip).count());
    }
}
