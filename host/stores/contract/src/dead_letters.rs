//! The contract of the dead letters port.

use assay_core::failure_code::FailureCode;
use assay_core::names::{Digest, Offset};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};

use super::{all_pages, is_bad_cursor, payments, place};

fn letter(stream: &str, partition: u32, offset: u64, rule: Option<&str>) -> DeadLetter {
    DeadLetter {
        stream: stream.to_owned(),
        place: place(partition, offset),
        time: offset as i64,
        key: "card".to_owned(),
        id: String::new(),
        rule: rule.map(str::to_owned),
        sink: None,
        revision: rule.map(|_| 3),
        plugin: rule.map(|_| "velocity@1.0.0".to_owned()),
        digest: rule.map(|_| Digest::of(b"velocity")),
        code: FailureCode::PluginTrap.as_str().to_owned(),
        message: "out of bounds".to_owned(),
    }
}

/// The letter of an event that a sink could not write.
fn sink_letter(partition: u32, offset: u64, sink: &str) -> DeadLetter {
    DeadLetter { sink: Some(sink.to_owned()), ..letter("payments", partition, offset, None) }
}

fn query(stream: Option<&str>, rule: Option<&str>, limit: usize) -> DeadLetterQuery {
    DeadLetterQuery { stream: stream.map(str::to_owned), rule: rule.map(str::to_owned), limit, cursor: None }
}

/// Dead letters are listed by stream, partition and newest first, filtered, page by page.
pub fn letters_are_listed(letters: &dyn DeadLetters) {
    let mut expected = Vec::new();
    for partition in 0..2 {
        let mut written = Vec::new();
        for offset in 0..20 {
            written.push(letter("payments", partition, offset, Some("geo")));
            if offset % 3 == 0 {
                written.push(letter("payments", partition, offset, Some("velocity")));
                written.push(letter("payments", partition, offset + 100, None));
                // A sink can reject any event, also one that a rule has failed on.
                written.extend(["graph", "profiles"].map(|sink| sink_letter(partition, offset, sink)));
            }
        }
        letters.write(&payments(partition), &written, Offset(5)).unwrap();
        expected.extend(written);
    }
    expected.sort_by_key(|l| (l.place.partition, std::cmp::Reverse(l.place.offset), l.rule.clone(), l.sink.clone()));
    for limit in [1, 4, 1000] {
        for (stream, rule) in
            [(None, None), (Some("payments"), Some("geo")), (None, Some("velocity")), (Some("pay"), None)]
        {
            let listed =
                all_pages(limit, |cursor| letters.list(&DeadLetterQuery { cursor, ..query(stream, rule, limit) }));
            let is_matching =
                |l: &&DeadLetter| stream.is_none_or(|s| l.stream == s) && (rule.is_none() || l.rule.as_deref() == rule);
            let matching: Vec<DeadLetter> = expected.iter().filter(is_matching).cloned().collect();
            assert_eq!(listed, matching);
        }
    }
    assert_eq!(letters.of_event(&payments(1), Offset(3)).unwrap().len(), 4);
    assert_eq!(letters.of_event(&payments(1), Offset(103)).unwrap(), [letter("payments", 1, 103, None)]);
    assert!(letters.of_event(&payments(1), Offset(50)).unwrap().is_empty());
    assert!(is_bad_cursor(letters.list(&DeadLetterQuery { cursor: Some("x".to_owned()), ..query(None, None, 5) })));
}

/// A letter that is written again is not stored twice. A position never decreases.
pub fn repeated_writes_change_nothing(letters: &dyn DeadLetters) {
    let one = [letter("payments", 0, 1, Some("geo"))];
    letters.write(&payments(0), &one, Offset(2)).unwrap();
    letters.write(&payments(0), &one, Offset(2)).unwrap();
    letters.write(&payments(0), &one, Offset(3)).unwrap();
    letters.write(&payments(0), &[letter("payments", 0, 0, None)], Offset(1)).unwrap();
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, one);
    assert_eq!(letters.position(&payments(0)).unwrap(), Offset(3));
    assert_eq!(letters.position(&payments(1)).unwrap(), Offset(0));
    // The letter of another sink comes with the present position and is stored nevertheless.
    let other = letter("payments", 0, 0, Some("store"));
    letters.write(&payments(0), std::slice::from_ref(&other), Offset(3)).unwrap();
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, [one[0].clone(), other]);
}

/// Two sinks that reject the same event have a letter each, beside the letter of the event itself.
pub fn each_sink_has_its_own_letter(letters: &dyn DeadLetters) {
    let all = [letter("payments", 0, 1, None), sink_letter(0, 1, "graph"), sink_letter(0, 1, "profiles")];
    for _ in 0..2 {
        all.iter().rev().for_each(|one| letters.write(&payments(0), std::slice::from_ref(one), Offset(0)).unwrap());
    }
    assert_eq!(letters.of_event(&payments(0), Offset(1)).unwrap(), all);
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, all);
}

/// Writes a letter that [`letters_survive_reopen`] expects.
pub fn write_letters_before_reopen(letters: &dyn DeadLetters) {
    letters.write(&payments(0), &[letter("payments", 0, 1, Some("geo"))], Offset(2)).unwrap();
}

/// After a reopen the letter and the position are there.
pub fn letters_survive_reopen(letters: &dyn DeadLetters) {
    assert_eq!(letters.position(&payments(0)).unwrap(), Offset(2));
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, [letter("payments", 0, 1, Some("geo"))]);
}
