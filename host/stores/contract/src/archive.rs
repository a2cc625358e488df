//! The contract of the archive port. The events and the verdict blocks come from a log, as they do for the sinks.

use std::sync::Arc;

use assay_core::failure_code::FailureCode;
use assay_core::names::{Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use assay_core::verdict::{BlockHead, EventColumns, UnreadableEvent, write_block};
use assay_engine::ports::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::log::{Durability, Log, Records, Topic, Trim};

use super::streams::stream;
use super::{all_pages, append, is_bad_cursor, payments, place, records};

/// A made-up event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event time, ms since 1970.
    pub time: i64,
    /// The entity's key.
    pub key: String,
    /// The event's id; empty if it has none.
    pub id: String,
}

impl Event {
    /// An event of these values.
    pub fn new(time: i64, key: &str, id: &str) -> Self {
        Self { time, key: key.to_owned(), id: id.to_owned() }
    }

    fn bytes(&self, offset: u64) -> Vec<u8> {
        format!("{offset} {} {} {}", self.time, self.key, self.id).into_bytes()
    }
}

/// Appends events to partition 0 of the log.
pub fn append_events(log: &dyn Log, events: &[Event]) {
    log.create(&stream("payments", 2)).unwrap();
    let base = log.end("payments", Topic::Events, PartitionIndex(0)).unwrap().0;
    let all: Vec<(u64, &Event)> = (base..).zip(events).collect();
    let batch = |events: &[(u64, &Event)]| {
        let contents: Vec<Vec<u8>> = events.iter().map(|(offset, event)| event.bytes(*offset)).collect();
        (0, Records { schema: schema_of(events[0].0), ..records(&contents) })
    };
    let batches = all.chunk_by(|a, b| schema_of(a.0) == schema_of(b.0)).map(batch).collect();
    append(log, Topic::Events, batches, Durability::Ordered).unwrap();
}

/// The number of the schema that the event at an offset was written in.
fn schema_of(offset: u64) -> u32 {
    // The schema changes rarely, so most batches hold events of one schema and some hold events of two.
    (offset / 500 % 3) as u32
}

/// Archives `events[from..to]`, where `events` are all events of the log.
pub fn archive_events(archive: &dyn Archive, log: &dyn Log, events: &[Event], from: usize, to: usize) {
    let entry = |(i, event): (usize, &Event)| EventEntry {
        offset: Offset(i as u64),
        time: event.time,
        key: event.key.clone(),
        id: event.id.clone(),
    };
    let entries: Vec<EventEntry> = events.iter().enumerate().take(to).skip(from).map(entry).collect();
    let blocks =
        log.read("payments", Topic::Events, PartitionIndex(0), Offset(from as u64), to - from, usize::MAX).unwrap();
    archive.write_events(&payments(0), &entries, &blocks, Offset(to as u64)).unwrap();
}

fn query(key: &str, times: TimeRange, limit: usize) -> HistoryQuery {
    HistoryQuery { key: key.to_owned(), times, limit, cursor: None }
}

/// The times from `from` (included) to `to` (excluded), ms since 1970.
pub fn between(from: i64, to: i64) -> TimeRange {
    TimeRange { from: Some(from), to: Some(to) }
}

/// Reads an entity's whole history in pages of at most `limit` events. Returns the offsets.
pub fn history(archive: &dyn Archive, key: &str, times: TimeRange, limit: usize) -> Vec<u64> {
    let events =
        all_pages(limit, |cursor| archive.history(&payments(0), &HistoryQuery { cursor, ..query(key, times, limit) }));
    events.iter().map(|event| event.place.offset.0).collect()
}

/// The offsets that [`history`] should return, by a plain scan over all archived events.
pub fn expected_history(events: &[Event], key: &str, times: TimeRange) -> Vec<u64> {
    let mut found: Vec<(i64, u64)> = (0..)
        .zip(events)
        .filter(|(_, event)| event.key == key && times.contains(event.time))
        .map(|(offset, event)| (event.time, offset))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, offset)| offset).collect()
}

/// A history has the events within the requested times, newest first, page by page.
pub fn histories_are_paged_newest_first(archive: &dyn Archive, log: &dyn Log) {
    // Late events, equal times, an entity that fills many pages.
    let event = |i: i64| Event::new((i * 37) % 500 - 100, if i % 3 == 0 { "hot" } else { "cold" }, "");
    let mut events: Vec<Event> = (0..1500).map(event).collect();
    events.push(Event::new(i64::MIN, "edge", ""));
    events.push(Event::new(i64::MAX, "edge", ""));
    append_events(log, &events);
    archive_events(archive, log, &events, 0, 700);
    archive_events(archive, log, &events, 700, events.len());
    let (open, ends) = (TimeRange { from: Some(0), to: None }, TimeRange { from: None, to: Some(i64::MAX) });
    let closed = [(-100, 500), (0, 1), (50, 60), (499, 100), (i64::MIN, i64::MAX)].map(|(from, to)| between(from, to));
    for times in
        closed.into_iter().chain([open, ends, TimeRange::ALL, TimeRange::at(i64::MAX), TimeRange::at(i64::MIN)])
    {
        for (key, limit) in [("hot", 7), ("hot", 500), ("hot", 10_000), ("cold", 100), ("none", 5), ("edge", 1)] {
            let found = history(archive, key, times, limit);
            assert_eq!(found, expected_history(&events, key, times), "{key} {times:?} {limit}");
        }
    }
    let page = archive.history(&payments(0), &query("edge", TimeRange::ALL, 5)).unwrap();
    let first = ArchivedEvent {
        place: place(0, 1501),
        appended_at: 1_700_000_000_000,
        schema: schema_of(1501),
        bytes: events[1501].bytes(1501),
    };
    assert_eq!(page.items[0], first);
    assert!(page.cursor.is_none());
    assert!(archive.history(&payments(1), &query("hot", between(0, 100), 5)).unwrap().items.is_empty());
    assert!(archive.history(&payments(0), &query("hot", between(0, 100), 0)).unwrap().items.is_empty());
    for cursor in ["", "garbage", "00"] {
        let query = HistoryQuery { cursor: Some(cursor.to_owned()), ..query("hot", between(0, 100), 5) };
        assert!(is_bad_cursor(archive.history(&payments(0), &query)));
    }
}

/// A lookup by id finds all events that have the id. Events without an id are never found by it.
pub fn events_are_found_by_id(archive: &dyn Archive, log: &dyn Log) {
    let events = [Event::new(9, "a", "x"), Event::new(5, "b", ""), Event::new(1, "c", "x"), Event::new(2, "d", "y")];
    append_events(log, &events);
    archive_events(archive, log, &events, 0, 4);
    let offsets = |id: &str| -> Vec<u64> {
        archive.by_id(&payments(0), id, None, 1000).unwrap().iter().map(|event| event.place.offset.0).collect()
    };
    assert_eq!(offsets("x"), [0, 2]);
    let page = |after: Option<u64>, limit: usize| -> Vec<u64> {
        let found = archive.by_id(&payments(0), "x", after.map(Offset), limit).unwrap();
        found.iter().map(|event| event.place.offset.0).collect()
    };
    assert_eq!((page(None, 1), page(Some(0), 5), page(Some(2), 5)), (vec![0], vec![2], vec![]));
    assert_eq!(page(Some(u64::MAX), 5), [0; 0]);
    assert_eq!(offsets("y"), [3]);
    assert!(offsets("").is_empty() && offsets("a").is_empty());
    let event = archive.event(&payments(0), Offset(2)).unwrap().unwrap();
    assert_eq!((event.place, event.bytes), (place(0, 2), events[2].bytes(2)));
    assert_eq!(archive.event(&payments(0), Offset(4)).unwrap(), None);
    assert_eq!(archive.event(&payments(1), Offset(0)).unwrap(), None);
}

/// Writes that repeat or overlap earlier ones change nothing.
pub fn repeated_writes_change_nothing(archive: &dyn Archive, log: &dyn Log) {
    assert_eq!(archive.events_position(&payments(0)).unwrap(), Offset(0));
    let events: Vec<Event> = (0..30).map(|i| Event::new(i, "a", &format!("id-{}", i % 10))).collect();
    append_events(log, &events);
    for (from, to) in [(0, 10), (0, 10), (3, 8), (5, 20), (19, 30), (0, 30)] {
        archive_events(archive, log, &events, from, to);
    }
    assert_eq!(archive.events_position(&payments(0)).unwrap(), Offset(30));
    assert_eq!(history(archive, "a", between(0, 100), 4), expected_history(&events, "a", between(0, 100)));
    assert_eq!(archive.by_id(&payments(0), "id-3", None, 1000).unwrap().len(), 3);
    // Unreadable events have no entries, but the position advances past them.
    archive.write_events(&payments(0), &[], &[], Offset(33)).unwrap();
    assert_eq!(archive.events_position(&payments(0)).unwrap(), Offset(33));
    assert_eq!(archive.events_position(&payments(1)).unwrap(), Offset(0));
}

/// A verdict block up to the offset `next` that reports the events at `reported` as unreadable, and no other event.
fn verdict_block(next: u64, reported: &[u64]) -> Vec<u8> {
    let event = |offset: &u64| UnreadableEvent {
        offset: *offset,
        code: FailureCode::EventMalformed,
        message: format!("event {offset}"),
    };
    let unreadable: Vec<_> = reported.iter().map(event).collect();
    let keys = arrow_array::StringArray::from(Vec::<&str>::new());
    let events = EventColumns { offsets: &[], times: &[], keys: &keys, ids: None, unreadable: &unreadable };
    let mut block = Vec::new();
    write_block(&mut block, &BlockHead { catalog: 1, from: Offset(0), next: Offset(next), rules: "[]" }, &events, &[]);
    block
}

/// The outcome of an event is found in the block that holds it, also if the block was archived twice.
pub fn outcomes_are_found(archive: &dyn Archive, log: &dyn Log) {
    log.create(&stream("payments", 2)).unwrap();
    assert_eq!(archive.verdicts_position(&payments(0)).unwrap(), Offset(0));
    let blocks =
        [verdict_block(10, &[0, 4, 9]), verdict_block(20, &[]), verdict_block(21, &[20]), verdict_block(21, &[15])];
    append(log, Topic::Verdicts, vec![(0, records(&blocks[..2]))], Durability::Ordered).unwrap();
    append(log, Topic::Verdicts, vec![(0, records(&blocks[2..]))], Durability::Ordered).unwrap();
    let read = |from| log.read("payments", Topic::Verdicts, PartitionIndex(0), Offset(from), 100, 1 << 20).unwrap();
    archive.write_verdicts(&payments(0), &read(0)[..1], Offset(2)).unwrap();
    archive.write_verdicts(&payments(0), &read(0)[..1], Offset(2)).unwrap();
    let outcome_of = |offset| {
        let outcome = archive.outcome(&payments(0), Offset(offset)).unwrap();
        outcome.map(|outcome| (outcome.offset.0, outcome.failures[0].message.clone()))
    };
    assert_eq!(outcome_of(20), None);
    archive.write_verdicts(&payments(0), &read(1), Offset(4)).unwrap();
    assert_eq!(archive.verdicts_position(&payments(0)).unwrap(), Offset(4));
    for offset in [0, 4, 9, 20] {
        assert_eq!(outcome_of(offset), Some((offset, format!("event {offset}"))));
    }
    for offset in [1, 10, 19, 21, u64::MAX] {
        assert_eq!(outcome_of(offset), None, "{offset}");
    }
    assert!(archive.outcome(&payments(1), Offset(0)).unwrap().is_none());
}

/// Records that retention deleted from the log are not found any more, and the remaining ones are found as before. This
/// holds before and after `forget`. Only for archives that index the log; an archive with its own copies keeps them.
pub fn deleted_records_are_not_found(archive: &dyn Archive, log: &dyn Log) {
    let events: Vec<Event> =
        (0..400).map(|i| Event::new(i, if i % 3 == 0 { "hot" } else { "cold" }, &format!("id-{}", i % 50))).collect();
    let mut blocks = Vec::new();
    for at in (0..400).step_by(10) {
        append_events(log, &events[at..at + 10]);
        blocks.push(verdict_block(at as u64 + 10, &[at as u64 + 5]));
        append(log, Topic::Verdicts, vec![(0, records(&blocks[at / 10..]))], Durability::Ordered).unwrap();
        archive_events(archive, log, &events, at, at + 10);
        let read =
            log.read("payments", Topic::Verdicts, PartitionIndex(0), Offset(at as u64 / 10), 1, 1 << 20).unwrap();
        archive.write_verdicts(&payments(0), &read, Offset(at as u64 / 10 + 1)).unwrap();
    }
    let trim = |topic, below| {
        let wish = Trim { older_than: Some(i64::MAX), below: Offset(below), ..Trim::default() };
        log.trim("payments", topic, PartitionIndex(0), &wish).unwrap();
    };
    let first_page = archive.history(&payments(0), &query("hot", between(0, 400), 20)).unwrap();
    let check = |events_begin: u64, verdicts_begin: u64| {
        let kept = |offsets: Vec<u64>| offsets.into_iter().filter(|at| *at >= events_begin).collect::<Vec<u64>>();
        let found = history(archive, "hot", between(0, 400), 7);
        assert_eq!(found, kept(expected_history(&events, "hot", between(0, 400))));
        let ids: Vec<u64> =
            archive.by_id(&payments(0), "id-7", None, 1000).unwrap().iter().map(|event| event.place.offset.0).collect();
        assert_eq!(ids, kept((0..8).map(|i| i * 50 + 7).collect()));
        for offset in [0, 105, 199, 200, 215, 399] {
            let event = archive.event(&payments(0), Offset(offset)).unwrap();
            assert_eq!(event.is_some(), offset >= events_begin, "{offset}");
        }
        for block in 0..40 {
            let outcome = archive.outcome(&payments(0), Offset(block * 10 + 5)).unwrap();
            assert_eq!(outcome.is_some(), block >= verdicts_begin, "{block}");
        }
        assert_eq!(archive.judged(&payments(0)).unwrap(), Offset(400));
        // A cursor from before the deletion continues at its place.
        let query = HistoryQuery { cursor: first_page.cursor.clone(), ..query("hot", between(0, 400), 400) };
        let rest = archive.history(&payments(0), &query).unwrap().items;
        let rest: Vec<u64> = rest.iter().map(|event| event.place.offset.0).collect();
        assert_eq!(rest, kept(expected_history(&events, "hot", between(0, 400))[20..].to_vec()));
    };
    check(0, 0);
    trim(Topic::Events, 200);
    check(200, 0);
    trim(Topic::Verdicts, 15);
    check(200, 15);
    archive.forget(&payments(0), Offset(200), Offset(15)).unwrap();
    check(200, 15);
    // All but the last blocks: whole index runs are deleted, and later merges drop the entries of deleted events.
    trim(Topic::Events, 400);
    trim(Topic::Verdicts, 40);
    archive.forget(&payments(0), Offset(390), Offset(39)).unwrap();
    check(390, 39);
    let mut events = events;
    for i in 400..460 {
        let added = Event::new(i, "hot", "");
        append_events(log, std::slice::from_ref(&added));
        events.push(added);
        archive_events(archive, log, &events, i as usize, i as usize + 1);
    }
    assert_eq!(history(archive, "hot", between(0, 1000), 9), expected_history(&events, "hot", between(390, 1000)));
}

/// Archives events and verdicts that [`events_survive_reopen`] expects.
pub fn write_events_before_reopen(archive: &dyn Archive, log: &dyn Log) {
    let events = reopened_events();
    append_events(log, &events);
    for i in 0..events.len() {
        archive_events(archive, log, &events, i, i + 1);
    }
    append(log, Topic::Verdicts, vec![(0, records(&[verdict_block(300, &[299])]))], Durability::Ordered).unwrap();
    let blocks: Vec<Records> = log.read("payments", Topic::Verdicts, PartitionIndex(0), Offset(0), 1, 1 << 20).unwrap();
    archive.write_verdicts(&payments(0), &blocks, Offset(1)).unwrap();
}

/// After a reopen the events, the verdicts and both positions are there, and writing continues.
pub fn events_survive_reopen(archive: &dyn Archive, log: &dyn Log) {
    let mut events = reopened_events();
    assert_eq!(archive.events_position(&payments(0)).unwrap(), Offset(300));
    assert_eq!(archive.verdicts_position(&payments(0)).unwrap(), Offset(1));
    assert_eq!(history(archive, "k3", between(0, 1000), 9), expected_history(&events, "k3", between(0, 1000)));
    assert!(archive.outcome(&payments(0), Offset(299)).unwrap().is_some());
    let added = vec![Event::new(5, "k3", "late"); 20];
    append_events(log, &added);
    events.extend(added);
    for i in 300..320 {
        archive_events(archive, log, &events, i, i + 1);
    }
    assert_eq!(history(archive, "k3", between(0, 1000), 9), expected_history(&events, "k3", between(0, 1000)));
    assert_eq!(archive.by_id(&payments(0), "late", None, 1000).unwrap().len(), 20);
}

fn reopened_events() -> Vec<Event> {
    (0..300).map(|i| Event::new(i % 50, &format!("k{}", i % 7), &format!("id-{i}"))).collect()
}

/// While another thread writes and merges, each read returns a prefix of the written events, without gaps.
pub fn readers_see_whole_histories(archive: Arc<dyn Archive>, log: &dyn Log) {
    let events: Vec<Event> = (0..400).map(|i| Event::new(i, "a", "")).collect();
    append_events(log, &events);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..400).for_each(|i| archive_events(&*archive, log, &events, i, i + 1)));
        loop {
            let is_done = writer.is_finished();
            let page = archive.history(&payments(0), &query("a", between(0, 1000), 1000)).unwrap();
            let count = page.items.len() as u64;
            let offsets = page.items.iter().map(|event| event.place.offset.0);
            assert!(offsets.eq((0..count).rev()));
            if is_done {
                assert_eq!(count, 400);
                return;
            }
        }
    });
}
