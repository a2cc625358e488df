//! What a trap tells the plugin's author: in which functions of the plugin it happened. Names come from the upload, so
//! they are bounded and never trusted.

use std::fmt::{self, Write};

use wasmtime::{Trap, WasmBacktrace};

/// Functions that are named, from the one that trapped to its callers.
const MAX_FUNCTIONS: usize = 5;
/// Bytes of a function's name as it is shown.
const MAX_NAME_BYTES: usize = 120;
/// Bytes of a mangled name that is read; a longer one is shown as it is.
const MAX_MANGLED_BYTES: usize = 4 << 10;
/// How the names of functions begin that every panic of a Rust plugin goes through.
const OF_EVERY_PANIC: [&str; 6] =
    ["__rust", "rust_panic", "rust_begin_unwind", "std::panicking", "std::sys", "core::panicking::panic_fmt"];

/// The trap and where it happened, in words.
pub(crate) fn describe_trap(trap: &Trap, error: &wasmtime::Error) -> String {
    let mut text = trap.to_string();
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return text };
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name()).map(shown_name);
    let own = names.skip_while(|name| OF_EVERY_PANIC.iter().any(|begin| name.starts_with(begin)));
    for (index, name) in own.take(MAX_FUNCTIONS).enumerate() {
        text.push_str(if index == 0 { " in " } else { ", called by " });
        text.push_str(&name);
    }
    text
}

/// A function's name as its author wrote it, without control characters, and not too long.
fn shown_name(name: &str) -> String {
    let mut shown = BoundedName::default();
    let mangled = Some(name).filter(|name| name.len() <= MAX_MANGLED_BYTES);
    // What does not fit is left out.
    let _ = match mangled.and_then(|name| rustc_demangle::try_demangle(name).ok()) {
        Some(demangled) => write!(shown, "{demangled:#}"),
        None => shown.write_str(name),
    };
    shown.0
}

/// Takes as much of a name as is shown: a short mangled name can stand for a very long one.
#[derive(Default)]
struct BoundedName(String);

impl Write for BoundedName {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            if self.0.len() + c.len_utf8() > MAX_NAME_BYTES {
                return Err(fmt::Error);
            }
            self.0.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_their_author_wrote_them() {
        assert_eq!(shown_name("_ZN8geo_jump5score17h0123456789abcdefE"), "geo_jump::score");
        assert_eq!(
            shown_name("_RNvNtCsebHcaeoSrxy_3std9panicking15panic_with_hook"),
            "std::panicking::panic_with_hook"
        );
        assert_eq!(shown_name("score"), "score");
    }

    #[test]
    fn names_are_bounded_and_without_control_characters() {
        assert_eq!(shown_name("a\n\u{1b}[31mb"), "a\u{fffd}\u{fffd}[31mb");
        assert!(shown_name(&"é".repeat(1_000)).len() <= MAX_NAME_BYTES);
        assert!(shown_name(&format!("_RNvC1a{}", "1b".repeat(10_000))).len() <= MAX_NAME_BYTES);
    }
}
