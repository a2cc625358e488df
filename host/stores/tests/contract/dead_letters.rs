//! The contract of the dead letters port.

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
        revision: rule.map(|_| 3),
        plugin: rule.map(|_| "velocity@1.0.0".to_owned()),
        digest: rule.map(|_| Digest::of(b"velocity")),
        code: "plugin-trap".to_owned(),
        message: "out of bounds".to_owned(),
    }
}

fn query(stream: Option<&str>, rule: Option<&str>, limit: usize) -> DeadLetterQuery {
    DeadLetterQuery { stream: stream.map(str::to_owned), rule: rule.map(str::to_owned), limit, cursor: None }
}

/// Dead letters are listed by stream, partition and newest first, filtered, page by page.
pub(crate) fn letters_are_listed(letters: &dyn DeadLetters) {
    let mut expected = Vec::new();
    for partition in 0..2 {
        let mut written = Vec::new();
        for offset in 0..20 {
            written.push(letter("payments", partition, offset, Some("geo")));
            if offset % 3 == 0 {
                written.push(letter("payments", partition, offset, Some("velocity")));
                written.push(letter("payments", partition, offset + 100, None));
            }
        }
        letters.write(&payments(partition), &written, Offset(5)).unwrap();
        expected.extend(written);
    }
    expected.sort_by_key(|l| (l.place.partition, std::cmp::Reverse(l.place.offset), l.rule.clone()));
    for limit in [1, 4, 1000] {
        for (stream, rule) in
            [(None, None), (Some("payments"), Some("geo")), (None, Some("velocity")), (Some("pay"), None)]
        {
            let listed =
                all_pages(limit, |cursor| letters.list(&DeadLetterQuery { cursor, ..query(stream, rule, limit) }));
            let is_wanted =
                |l: &&DeadLetter| stream.is_none_or(|s| l.stream == s) && (rule.is_none() || l.rule.as_deref() == rule);
            let wanted: Vec<DeadLetter> = expected.iter().filter(is_wanted).cloned().collect();
            assert_eq!(listed, wanted);
        }
    }
    assert_eq!(letters.of_event(&payments(1), Offset(3)).unwrap().len(), 2);
    assert_eq!(letters.of_event(&payments(1), Offset(103)).unwrap(), [letter("payments", 1, 103, None)]);
    assert!(letters.of_event(&payments(1), Offset(50)).unwrap().is_empty());
    assert!(is_bad_cursor(letters.list(&DeadLetterQuery { cursor: Some("x".to_owned()), ..query(None, None, 5) })));
}

/// The same letter again is the same letter.
pub(crate) fn repeated_writes_change_nothing(letters: &dyn DeadLetters) {
    let one = [letter("payments", 0, 1, Some("geo"))];
    letters.write(&payments(0), &one, Offset(2)).unwrap();
    letters.write(&payments(0), &one, Offset(2)).unwrap();
    letters.write(&payments(0), &one, Offset(3)).unwrap();
    letters.write(&payments(0), &[letter("payments", 0, 0, None)], Offset(1)).unwrap();
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, one);
    assert_eq!(letters.position(&payments(0)).unwrap(), Offset(3));
    assert_eq!(letters.position(&payments(1)).unwrap(), Offset(0));
    // What another follower sets aside comes at the position that there is.
    let other = letter("payments", 0, 0, Some("store"));
    letters.write(&payments(0), std::slice::from_ref(&other), Offset(3)).unwrap();
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, [one[0].clone(), other]);
}

/// What is to be there after the store was opened again.
pub(crate) fn letters_written(letters: &dyn DeadLetters) {
    letters.write(&payments(0), &[letter("payments", 0, 1, Some("geo"))], Offset(2)).unwrap();
}

/// It is there, and the position with it.
pub(crate) fn letters_kept(letters: &dyn DeadLetters) {
    assert_eq!(letters.position(&payments(0)).unwrap(), Offset(2));
    assert_eq!(letters.list(&query(None, None, 10)).unwrap().items, [letter("payments", 0, 1, Some("geo"))]);
}
