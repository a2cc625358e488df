//! Describes a trap to the plugin's author, with the plugin's functions on the stack. Their names are from the upload,
//! so they are bounded and escaped.

use std::fmt::{self, Write};

use wasmtime::{Trap, WasmBacktrace};

/// The most functions that are named, from the one that trapped to its callers.
const MAX_FUNCTIONS: usize = 5;
/// The most bytes of a function's name as it is shown.
const MAX_NAME_BYTES: usize = 120;
/// The most bytes of a mangled name that is demangled; a longer one is shown as it is.
const MAX_MANGLED_BYTES: usize = 4 << 10;
/// Prefixes of functions that every panic of a Rust plugin passes through. They are left out.
const PANIC_FRAME_PREFIXES: [&str; 6] =
    ["__rust", "rust_panic", "rust_begin_unwind", "std::panicking", "std::sys", "core::panicking::panic_fmt"];

/// Describes a trap and its place, with the message of the plugin's panic if there is one.
pub(crate) fn describe_trap(trap: &Trap, error: &wasmtime::Error, panic: Option<String>) -> String {
    let functions = error.downcast_ref::<WasmBacktrace>().map(name_functions).filter(|names| !names.is_empty());
    match (panic, functions) {
        (Some(panic), Some(functions)) => format!("{panic} ({functions})"),
        (Some(panic), None) => panic,
        (None, Some(functions)) => format!("{trap} {functions}"),
        (None, None) => trap.to_string(),
    }
}

/// The functions of the plugin where a trap happened: `in score, called by main`.
fn name_functions(backtrace: &WasmBacktrace) -> String {
    let mut text = String::new();
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name()).map(demangle_bounded);
    let is_of_every_panic = |name: &String| PANIC_FRAME_PREFIXES.iter().any(|begin| name.starts_with(begin));
    for (index, name) in names.skip_while(is_of_every_panic).take(MAX_FUNCTIONS).enumerate() {
        text.push_str(if index == 0 { "in " } else { ", called by " });
        text.push_str(&name);
    }
    text
}

/// Demangles a function's name, replaces control characters and truncates it.
fn demangle_bounded(name: &str) -> String {
    let mut shown = BoundedName::default();
    let mangled = Some(name).filter(|name| name.len() <= MAX_MANGLED_BYTES);
    // `BoundedName` refuses text that does not fit, which is left out.
    let _ = match mangled.and_then(|name| rustc_demangle::try_demangle(name).ok()) {
        Some(demangled) => write!(shown, "{demangled:#}"),
        None => shown.write_str(name),
    };
    shown.0
}

/// A buffer for the shown part of a name. A short mangled name can demangle to a very long one.
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
    fn names_are_demangled() {
        assert_eq!(demangle_bounded("_ZN8geo_jump5score17h0123456789abcdefE"), "geo_jump::score");
        assert_eq!(
            demangle_bounded("_RNvNtCsebHcaeoSrxy_3std9panicking15panic_with_hook"),
            "std::panicking::panic_with_hook"
        );
        assert_eq!(demangle_bounded("score"), "score");
    }

    #[test]
    fn names_are_bounded_and_without_control_characters() {
        assert_eq!(demangle_bounded("a\n\u{1b}[31mb"), "a\u{fffd}\u{fffd}[31mb");
        assert!(demangle_bounded(&"é".repeat(1_000)).len() <= MAX_NAME_BYTES);
        assert!(demangle_bounded(&format!("_RNvC1a{}", "1b".repeat(10_000))).len() <= MAX_NAME_BYTES);
    }
}
