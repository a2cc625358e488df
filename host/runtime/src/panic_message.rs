//! Reads the message of a panic after a trap. Plugins that are built with the SDK write it to their memory: at the
//! address in the global `assay_panic_message` are a length of 32 bits and the text. A guest that has trapped cannot be
//! called, so the message is read from the memories in wasmtime's core dump.
//!
//! All of it is hostile input: lengths and addresses are checked, the text is bounded, and control characters are
//! escaped.

use std::fmt::Write as _;

use wasmtime::{Instance, Store, Val, WasmCoreDump};

/// The name of the global with the message's address.
const GLOBAL: &str = "assay_panic_message";
/// The name that cargo gives to the memory of a module.
const MEMORY: &str = "memory";
/// The most bytes of a message that are read.
const MAX_READ_BYTES: usize = 1 << 10;
/// The most bytes of a message as it is shown, where an escaped control character is longer than in memory.
const MAX_SHOWN_BYTES: usize = 1 << 10;

/// The message of the panic that caused this trap; none if the guest has left none.
pub(crate) fn read_panic_message<T: 'static>(store: &mut Store<T>, error: &wasmtime::Error) -> Option<String> {
    let dump = error.downcast_ref::<WasmCoreDump>()?;
    dump.instances().iter().find_map(|instance| read_message(store, instance))
}

fn read_message<T: 'static>(store: &mut Store<T>, instance: &Instance) -> Option<String> {
    let Val::I32(address) = instance.get_global(&mut *store, GLOBAL)?.get(&mut *store) else { return None };
    let memory = instance.get_memory(&mut *store, MEMORY)?;
    message_at(memory.data(&*store), address.cast_unsigned())
}

/// The message at an address of a memory.
fn message_at(memory: &[u8], address: u32) -> Option<String> {
    let (length, text) = memory.get(usize::try_from(address).ok()?..)?.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?.min(MAX_READ_BYTES);
    let text = text.get(..length).filter(|text| !text.is_empty())?;
    Some(escape_message(&String::from_utf8_lossy(text)))
}

/// Escapes characters that change how a text is shown, and truncates it.
fn escape_message(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let before = shown.len();
        if c.is_control() || changes_direction(c) {
            // Writing to a text cannot fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
        if shown.len() > MAX_SHOWN_BYTES {
            shown.truncate(before);
            break;
        }
    }
    shown
}

/// True for invisible characters that change the direction of the text, or end a line.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(length: u32, text: &[u8]) -> Vec<u8> {
        [&[0; 8][..], &length.to_le_bytes(), text].concat()
    }

    #[test]
    fn a_message_is_read_and_wrong_lengths_and_addresses_give_none() {
        assert_eq!(message_at(&memory(5, b"hello and more"), 8).as_deref(), Some("hello"));
        assert_eq!(message_at(&memory(0, b"hello"), 8), None);
        assert_eq!(message_at(&memory(50, b"hello"), 8), None, "it ends after the memory");
        assert_eq!(message_at(&memory(u32::MAX, &[b'a'; 5000]), 8).map(|text| text.len()), Some(MAX_READ_BYTES));
        for address in [9, 14, 17, 18, u32::MAX] {
            assert_eq!(message_at(&memory(5, b"hello"), address), None, "{address}");
        }
    }

    #[test]
    fn a_hostile_message_is_escaped_and_truncated() {
        let hostile = "a\n\u{1b}[31m\0\u{202e}é\u{fffd}";
        assert_eq!(escape_message(hostile), "a\\n\\u{1b}[31m\\u{0}\\u{202e}é\u{fffd}");
        let text = message_at(&memory(3, &[b'a', 0xff, b'b']), 8);
        assert_eq!(text.as_deref(), Some("a\u{fffd}b"));
        assert!(escape_message(&"\u{1b}".repeat(1_000)).len() <= MAX_SHOWN_BYTES);
        assert!(message_at(&memory(1_024, &[0xff; 1_024]), 8).is_some_and(|text| text.len() <= MAX_SHOWN_BYTES));
    }
}
