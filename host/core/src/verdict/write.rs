//! Encodes a block of verdicts directly from columns. This is the hot path: it does not allocate per event.

use super::flags;
use super::format::{PreviousEvent, VERSION, VERSION_WITHOUT_FROM};
use super::rows::{BlockHead, EventColumns, RuleRows};
use super::rule_cursor::RuleCursor;
use crate::names::Offset;
use crate::wire::{put_bytes, put_varint};

/// A block without outcomes, by which all events up to `next` are scored that the block before it did not score. It
/// replaces a block that is lost.
pub fn empty_block(next: Offset) -> Vec<u8> {
    let mut out = vec![VERSION_WITHOUT_FROM, 0];
    put_varint(&mut out, 0);
    put_varint(&mut out, next.0);
    put_bytes(&mut out, b"[]");
    out
}

/// Appends a block to `out`. `rules[i]` has the verdicts of the i-th rule of the head. Events without outcome are left
/// out.
pub fn write_block(out: &mut Vec<u8>, head: &BlockHead<'_>, events: &EventColumns<'_>, rules: &[RuleRows]) {
    let fails = |rule: &RuleRows| !rule.failures.is_empty() && !rule.hides_failures;
    let has_failures = !events.unreadable.is_empty() || rules.iter().any(fails);
    let has_edges = rules.iter().any(|rule| !rule.edges.is_empty());
    let has_hidden = rules.iter().any(|rule| !rule.hidden_failures.is_empty());
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.push(VERSION);
    out.push(
        flag(has_failures, flags::FAILURES) | flag(has_edges, flags::EDGES) | flag(has_hidden, flags::HIDDEN_FAILURES),
    );
    put_varint(out, head.catalog);
    put_varint(out, head.next.0);
    put_varint(out, head.next.0.saturating_sub(head.from.0));
    put_bytes(out, head.rules.as_bytes());
    if has_hidden {
        put_hidden_failures(out, events, rules);
    }
    let mut cursors: Vec<RuleCursor<'_>> = rules.iter().map(RuleCursor::new).collect();
    let mut before = PreviousEvent::default();
    let mut unreadable = events.unreadable.iter().peekable();
    for (row, &offset) in events.offsets.iter().enumerate() {
        while let Some(event) = unreadable.next_if(|event| event.0 < offset) {
            put_unreadable(out, &mut before, event);
        }
        if !cursors.iter().any(|cursor| cursor.is_at(row)) {
            continue;
        }
        before.put(out, offset, events.times[row]);
        put_bytes(out, events.keys.value(row).as_bytes());
        put_bytes(out, events.ids.map_or(&[], |ids| ids.value(row).as_bytes()));
        for (rule, cursor) in cursors.iter_mut().enumerate() {
            if cursor.is_at(row) {
                cursor.put_row(out, rule as u64 + 1);
            }
        }
        out.push(0);
    }
    for event in unreadable {
        put_unreadable(out, &mut before, event);
    }
}

fn put_hidden_failures(out: &mut Vec<u8>, events: &EventColumns<'_>, rules: &[RuleRows]) {
    for (rule, rows) in (1_u64..).zip(rules) {
        let mut before = 0;
        for (row, code) in &rows.hidden_failures {
            let row = rows.rows.as_ref().map_or(*row, |rows| rows[*row as usize]);
            let offset = events.offsets[row as usize];
            put_varint(out, rule);
            put_varint(out, offset - before);
            put_bytes(out, code.as_bytes());
            before = offset;
        }
    }
    put_varint(out, 0);
}

fn put_unreadable(
    out: &mut Vec<u8>,
    before: &mut PreviousEvent,
    (offset, code, message): &(u64, &'static str, String),
) {
    let time = before.time;
    before.put(out, *offset, time);
    put_bytes(out, b"");
    put_bytes(out, b"");
    // This index is no rule's: it marks a failure of the event itself.
    put_varint(out, u64::from(u32::MAX));
    put_bytes(out, code.as_bytes());
    put_bytes(out, message.as_bytes());
    out.push(0);
}
