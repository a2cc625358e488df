//! The merge against a sort of everything.

use proptest::prelude::*;

use super::*;

const WAIT: Duration = Duration::from_secs(1);

/// A source partition: the times of its events, none where an event has none, and how many are read at once.
#[derive(Clone, Debug)]
struct Script {
    events: Vec<Option<i64>>,
    batch: usize,
    read: usize,
}

impl Script {
    fn new(events: &[i64], batch: usize) -> Self {
        Self { events: events.iter().map(|time| Some(*time)).collect(), batch, read: 0 }
    }

    /// Hands the merge its next batch, of the events before `end`.
    fn read(&mut self, merge: &mut Merge<(usize, u64)>, source: usize, end: usize, now: Instant) {
        assert_eq!(merge.next_read(source), Offset(self.read as u64), "it is read on where it was");
        let to = (self.read + self.batch).min(end).min(self.events.len());
        if self.read >= to {
            return merge.note_end(source);
        }
        for offset in self.read..to {
            let time = self.events[offset];
            merge.accept(source, Offset(offset as u64), time, time.map(|_| (source, offset as u64)));
        }
        merge.end_batch(source, Offset(to as u64), now);
        self.read = to;
    }
}

/// Takes all that can be taken at a time, with the events of each source before `ends`.
fn take(
    merge: &mut Merge<(usize, u64)>,
    scripts: &mut [Script],
    ends: &[usize],
    now: Instant,
) -> (Vec<(usize, u64)>, Vec<usize>) {
    let (mut taken, mut given_up) = (Vec::new(), Vec::new());
    merge.look_again();
    loop {
        match merge.step(now, &mut given_up) {
            Step::Take(_, value) => taken.push(value),
            Step::Read(source) => scripts[source].read(merge, source, ends[source], now),
            Step::Wait(_) => return (taken, given_up),
        }
    }
}

/// Takes everything: at the end one source after the other is waited for.
fn take_rest(
    merge: &mut Merge<(usize, u64)>,
    scripts: &mut [Script],
    ends: &[usize],
    now: Instant,
) -> Vec<(usize, u64)> {
    (0..=ends.len() as u32).flat_map(|wait| take(merge, scripts, ends, now + WAIT * wait).0).collect()
}

/// All events in the order of (running maximum, source, offset).
fn sorted(scripts: &[Script]) -> Vec<(usize, u64)> {
    let mut all = Vec::new();
    for (source, script) in scripts.iter().enumerate() {
        let mut progress = i64::MIN;
        for (offset, time) in script.events.iter().enumerate() {
            let Some(time) = time else { continue };
            progress = progress.max(*time);
            all.push((progress, source, offset as u64));
        }
    }
    all.sort_unstable();
    all.into_iter().map(|(_, source, offset)| (source, offset)).collect()
}

fn start(sources: usize) -> Merge<(usize, u64)> {
    Merge::new(vec![SourcePosition::default(); sources], WAIT)
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    let event = prop_oneof![9 => (0..200_i64).prop_map(Some), 1 => Just(None)];
    let script = (prop::collection::vec(event, 0..40), 1..7_usize);
    prop::collection::vec(script.prop_map(|(events, batch)| Script { events, batch, read: 0 }), 1..6)
}

proptest! {
    #[test]
    fn everything_is_taken_in_order(mut scripts in scripts(), arrivals in prop::collection::vec(0..1_000_usize, 0..60)) {
        let (mut merge, now) = (start(scripts.len()), Instant::now());
        let mut ends = vec![0; scripts.len()];
        let mut taken = Vec::new();
        // Events arrive in pieces, and time stands still.
        for arrival in arrivals {
            let source = arrival % scripts.len();
            ends[source] = (ends[source] + arrival % 9).min(scripts[source].events.len());
            let (more, given_up) = take(&mut merge, &mut scripts, &ends, now);
            prop_assert!(given_up.is_empty());
            taken.extend(more);
        }
        let ends: Vec<usize> = scripts.iter().map(|script| script.events.len()).collect();
        taken.extend(take_rest(&mut merge, &mut scripts, &ends, now));
        prop_assert_eq!(taken, sorted(&scripts));
        let read: Vec<u64> = merge.position().iter().map(|one| one.next.0).collect();
        prop_assert_eq!(read, ends.iter().map(|end| *end as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_merge_that_starts_again_goes_on_in_order(mut scripts in scripts(), steps in 0..100_usize) {
        let (mut merge, now) = (start(scripts.len()), Instant::now());
        let ends: Vec<usize> = scripts.iter().map(|script| script.events.len()).collect();
        let mut given_up = Vec::new();
        let mut taken = Vec::new();
        while taken.len() < steps {
            match merge.step(now, &mut given_up) {
                Step::Take(_, value) => taken.push(value),
                Step::Read(source) => scripts[source].read(&mut merge, source, ends[source], now),
                Step::Wait(_) => break,
            }
        }
        let position = merge.position();
        for (script, one) in scripts.iter_mut().zip(&position) {
            script.read = one.next.0 as usize;
        }
        let mut again = Merge::new(position, WAIT);
        taken.extend(take_rest(&mut again, &mut scripts, &ends, now));
        prop_assert_eq!(taken, sorted(&scripts));
    }
}

#[test]
fn a_source_at_its_end_is_waited_for_once() {
    let mut scripts = [Script::new(&[10, 20, 30, 40], 2), Script::new(&[15, 35], 2), Script::new(&[], 2)];
    let (mut merge, now) = (start(3), Instant::now());
    assert_eq!(take(&mut merge, &mut scripts, &[1, 1, 0], now), (vec![], vec![]));
    let almost = now + WAIT - Duration::from_millis(1);
    assert_eq!(take(&mut merge, &mut scripts, &[1, 1, 0], almost), (vec![], vec![]), "it is still waited for");
    // All have been silent for as long, so nobody is waited for once more.
    assert_eq!(take(&mut merge, &mut scripts, &[1, 1, 0], now + WAIT), (vec![(0, 0), (1, 0)], vec![2, 0]));
    // Source 0 has events again and waits for source 1, but not for source 2, which is idle.
    assert_eq!(take(&mut merge, &mut scripts, &[2, 1, 0], now + WAIT), (vec![], vec![]));
    // After an event, which is late, source 2 is waited for again.
    scripts[2].events.push(Some(5));
    let later = now + WAIT * 3 / 2;
    assert_eq!(take(&mut merge, &mut scripts, &[2, 2, 1], later), (vec![(2, 0)], vec![]));
    let (taken, given_up) = take(&mut merge, &mut scripts, &[2, 2, 1], later + WAIT);
    assert_eq!((taken, given_up), (vec![(0, 1), (1, 1)], vec![2, 0]));
}

#[test]
fn a_source_that_is_slow_all_the_time_blocks_nobody_for_longer() {
    let mut scripts = [Script::new(&[1_000], 1), Script::new(&(0..100).collect::<Vec<_>>(), 1)];
    let (mut merge, start) = (start(2), Instant::now());
    let mut taken = Vec::new();
    for piece in 0..4 {
        let now = start + WAIT / 3 * piece;
        taken.extend(take(&mut merge, &mut scripts, &[1, piece as usize + 1], now).0);
    }
    let (more, given_up) = take(&mut merge, &mut scripts, &[1, 4], start + WAIT);
    taken.extend(more);
    assert_eq!((taken, given_up), (vec![(1, 0), (1, 1), (1, 2), (1, 3), (0, 0)], vec![1]));
}

#[test]
fn what_is_on_its_way_is_waited_for_without_end() {
    let mut scripts = [Script::new(&[1], 1), Script::new(&[0], 1)];
    let (mut merge, now) = (start(2), Instant::now());
    let mut given_up = Vec::new();
    assert_eq!(merge.step(now, &mut given_up), Step::Read(0));
    scripts[0].read(&mut merge, 0, 1, now);
    assert_eq!(merge.step(now, &mut given_up), Step::Read(1));
    merge.note_delayed(1);
    assert_eq!(merge.step(now + WAIT * 100, &mut given_up), Step::Wait(None));
    assert!(given_up.is_empty());
    assert_eq!(take(&mut merge, &mut scripts, &[1, 1], now + WAIT * 100).0, [(1, 0)]);
}

#[test]
fn a_source_that_is_farther_is_not_waited_for() {
    let mut scripts = [Script::new(&[10, 20], 9), Script::new(&[20], 9)];
    let (mut merge, now) = (start(2), Instant::now());
    // At the same progress the lower partition comes first, so source 0 needs not wait for source 1.
    assert_eq!(take(&mut merge, &mut scripts, &[2, 1], now), (vec![(0, 0), (0, 1)], vec![]));
}
