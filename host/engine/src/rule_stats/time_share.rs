//! How much of each worker's time a rule's plugin has taken over the last seconds.

use std::collections::{HashMap, VecDeque};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::PluginTime;

/// Over which the share of calls is measured that run out of time.
pub(super) const SHORT_WINDOW: Duration = Duration::from_secs(1);
/// Over which the time per event is measured.
pub(super) const LONG_WINDOW: Duration = Duration::from_secs(10);
/// What is kept in one count.
const SLICE_TIME: Duration = Duration::from_millis(100);

/// The times of one rule's plugin, by the thread that called it.
#[derive(Default)]
pub(super) struct TimeShare {
    by_thread: HashMap<ThreadId, VecDeque<Slice>>,
}

/// What happened in about 100 ms.
struct Slice {
    since: Instant,
    judged: u64,
    time: PluginTime,
    /// How long ago the oldest of its events was appended.
    age: Duration,
}

/// What a thread did for a rule over the last [`LONG_WINDOW`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LongTime {
    pub(super) judged: u64,
    pub(super) cpu: Duration,
    pub(super) elapsed: Duration,
    /// The least age of events when they were judged.
    pub(super) min_age: Duration,
}

impl TimeShare {
    /// Adds what a thread did, at the time when that ended.
    pub(super) fn add(&mut self, now: Instant, thread: ThreadId, judged: u64, time: PluginTime, age: Duration) {
        let slices = self.by_thread.entry(thread).or_default();
        match slices.back_mut() {
            Some(slice) if now - slice.since < SLICE_TIME => {
                slice.judged += judged;
                slice.time.cpu += time.cpu;
                slice.time.elapsed += time.elapsed;
                slice.time.exhausted += time.exhausted;
                slice.age = slice.age.max(age);
            }
            _ => slices.push_back(Slice { since: now, judged, time, age }),
        }
        while slices.front().is_some_and(|slice| now - slice.since > LONG_WINDOW) {
            slices.pop_front();
        }
    }

    /// By thread, how long calls took over the last second that ran out of time or memory.
    pub(super) fn exhausted(&self, now: Instant) -> impl Iterator<Item = (ThreadId, Duration)> {
        self.by_thread.iter().map(move |(thread, slices)| {
            let recent = slices.iter().filter(|slice| now.saturating_duration_since(slice.since) <= SHORT_WINDOW);
            (*thread, recent.map(|slice| slice.time.exhausted).sum())
        })
    }

    /// What each thread did over the last ten seconds; threads that began later are left out.
    pub(super) fn long_times(&self, now: Instant) -> impl Iterator<Item = LongTime> {
        let is_recent = move |slice: &&Slice| now.saturating_duration_since(slice.since) <= LONG_WINDOW;
        let began = now.checked_sub(LONG_WINDOW - SHORT_WINDOW);
        let has_begun = move |slices: &&VecDeque<Slice>| slices.front().map(|slice| slice.since) <= began;
        self.by_thread.values().filter(has_begun).map(move |slices| {
            let mut all = LongTime { min_age: Duration::MAX, ..LongTime::default() };
            for slice in slices.iter().filter(is_recent) {
                all.judged += slice.judged;
                all.cpu += slice.time.cpu;
                all.elapsed += slice.time.elapsed;
                all.min_age = all.min_age.min(slice.age);
            }
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn calls_of_the_last_second_that_ran_out_of_time_count_for_each_thread() {
        let (begin, mut share) = (Instant::now(), TimeShare::default());
        let this = std::thread::current().id();
        for call in 0..300 {
            let time = PluginTime { cpu: 10 * MS, elapsed: 10 * MS, exhausted: 10 * MS };
            share.add(begin + call * 10 * MS, this, 1, time, Duration::ZERO);
        }
        let exhausted = |share: &TimeShare, at| share.exhausted(at).map(|(_, time)| time).sum::<Duration>();
        let at_end = exhausted(&share, begin + 2_990 * MS);
        assert!((900 * MS..=1_100 * MS).contains(&at_end), "{at_end:?}");
        assert_eq!(exhausted(&share, begin + 5_000 * MS), Duration::ZERO);
        let other = std::thread::spawn(|| std::thread::current().id()).join().unwrap_or(this);
        share.add(begin + 2_990 * MS, other, 1, PluginTime::default(), Duration::ZERO);
        assert_eq!(share.exhausted(begin + 2_990 * MS).filter(|(_, time)| time.is_zero()).count(), 1);
    }

    #[test]
    fn times_of_events_are_known_after_ten_seconds() {
        let (begin, mut share) = (Instant::now(), TimeShare::default());
        let this = std::thread::current().id();
        for second in 0..30 {
            let time = PluginTime { cpu: 900 * MS, elapsed: 950 * MS, exhausted: Duration::ZERO };
            share.add(begin + 1_000 * MS * second, this, 600, time, Duration::from_secs(second.into()));
        }
        let long: Vec<LongTime> = share.long_times(begin + 29 * SHORT_WINDOW).collect();
        assert_eq!(long.len(), 1);
        assert_eq!(long[0].cpu / u32::try_from(long[0].judged).unwrap_or(1), 1_500 * MS / 1_000);
        assert_eq!(long[0].min_age, Duration::from_secs(19));
        let mut young = TimeShare::default();
        young.add(begin, this, 1, PluginTime::default(), Duration::ZERO);
        assert_eq!(young.long_times(begin + 5 * SHORT_WINDOW).count(), 0);
    }
}
