//! Writes the message of a panic to the plugin's memory, where the host reads it after the trap. It needs no import,
//! and costs nothing before a panic.
//!
//! A module exports the address as a global named `assay_panic_message`. At the address is the message's length (32
//! bits, little endian), followed by the text. Plugins in other languages can do the same.

use std::fmt::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};

/// The most bytes of a message; the rest is cut.
const MAX_MESSAGE_BYTES: usize = 1 << 10;

/// The message of a panic, in the layout that the host reads. Atomics allow writing to a static without `unsafe`.
#[repr(C)]
pub(crate) struct PanicMessage {
    length: AtomicU32,
    text: [AtomicU8; MAX_MESSAGE_BYTES],
}

impl PanicMessage {
    /// An empty message.
    pub(crate) const fn new() -> Self {
        Self { length: AtomicU32::new(0), text: [const { AtomicU8::new(0) }; MAX_MESSAGE_BYTES] }
    }

    /// Installs a panic hook that writes the place and the message of a panic here.
    pub(crate) fn install(&'static self) {
        std::panic::set_hook(Box::new(|panic| self.write_panic(panic)));
    }

    fn write_panic(&self, panic: &PanicHookInfo<'_>) {
        let mut writer = MessageWriter { message: self, length: 0 };
        // The writer fails when it is full; the rest is cut.
        let _ = match (panic.location(), panic.payload_as_str()) {
            (Some(place), Some(text)) => write!(writer, "panicked at {place}: {text}"),
            (Some(place), None) => write!(writer, "panicked at {place}"),
            (None, text) => write!(writer, "panicked: {}", text.unwrap_or("without a message")),
        };
    }
}

/// Writes to a message until it is full.
struct MessageWriter<'a> {
    message: &'a PanicMessage,
    length: usize,
}

impl Write for MessageWriter<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for (cell, byte) in self.message.text[self.length..].iter().zip(part.bytes()) {
            cell.store(byte, Relaxed);
            self.length += 1;
        }
        self.message.length.store(self.length as u32, Relaxed);
        if self.length < MAX_MESSAGE_BYTES { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panic_with(text: &'static str) -> String {
        static MESSAGE: PanicMessage = PanicMessage::new();
        MESSAGE.install();
        let panicked = std::thread::spawn(move || panic!("{text}")).join();
        let _ = std::panic::take_hook();
        assert!(panicked.is_err());
        let length = MESSAGE.length.load(Relaxed) as usize;
        let bytes: Vec<u8> = MESSAGE.text[..length].iter().map(|byte| byte.load(Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// It is one test, because the hook is global to the process.
    #[test]
    fn a_panic_writes_its_place_and_its_message() {
        let message = panic_with("amount is negative");
        assert!(message.starts_with("panicked at ") && message.ends_with(": amount is negative"), "{message}");
        assert!(message.contains(&format!("{}:", file!())), "{message}");
        let message = panic_with("é".repeat(2000).leak());
        assert!(message.len() >= MAX_MESSAGE_BYTES && message.starts_with("panicked at "), "{}", message.len());
    }
}
