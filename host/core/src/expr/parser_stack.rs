//! Compiles expressions on a stack of their own, so that the free stack of the caller does not matter.
//!
//! CEL's parser, its visitor and the drop of its tree recurse: about 3.5 KiB for an operator of two bytes, and 9 KiB
//! for a bracket, of which the parser accepts at most 96. The stack is large enough for the longest chain and the
//! deepest nesting of a source of its length, so that no source can overflow it, even one that the token limits miss.
//! The checker needs 3 KiB for each of at most `MAX_DEPTH` levels. The system gives memory only to the pages of the
//! stack that are used.

use super::error::ExprError;

/// The stack for an empty source, in bytes.
const MIN_STACK_BYTES: usize = 2 << 20;
/// The stack for each byte of a source, in bytes.
const STACK_BYTES_PER_BYTE: usize = 4 << 10;

/// Runs work that recurses over a source in a thread with a large stack, and waits for it.
pub(super) fn run<T: Send>(source: &str, work: impl FnOnce() -> Result<T, ExprError> + Send) -> Result<T, ExprError> {
    // Longer sources are refused before any recursion.
    let length = source.len().min(super::MAX_SOURCE_BYTES);
    let stack = MIN_STACK_BYTES + length * STACK_BYTES_PER_BYTE;
    let error_at_start = |message: &str| ExprError::at(source, 0, 1, message);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("expr-compiler".to_owned()).stack_size(stack);
        let thread = builder
            .spawn_scoped(scope, work)
            .map_err(|error| error_at_start(&format!("no thread to read the expression with: {error}; try again")))?;
        // A panic in the parser or the checker is a bug; it refuses this expression and does not stop the process.
        thread.join().unwrap_or_else(|_| Err(error_at_start("the expression cannot be read")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MAX_SOURCE_BYTES, find_too_deep_node};
    use super::super::parse::parse;
    use super::*;

    /// The parser alone, without the limits on tokens, on chains and nestings of the greatest length.
    #[test]
    fn no_source_overflows_the_stack_of_the_parser() {
        let repeated = |begin: &str, part: &str, end: &str, close: &str| {
            let times = (MAX_SOURCE_BYTES - begin.len() - end.len()) / (part.len() + close.len());
            format!("{begin}{}{end}{}", part.repeat(times), close.repeat(times))
        };
        let chains =
            ["+1", "-1", "*1", "/1", "%1", "<1", "==1", " in 1", "?1:1", "&&1", "||1", ".a", "[1]", "()", ".a()"];
        let mut sources: Vec<String> = chains.iter().map(|part| repeated("a", part, "", "")).collect();
        sources.extend(["-", "!", "- -", "!-"].map(|part| repeated("", part, "1", "")));
        sources.extend(["(", "[", "{1:", "f(", "-(", "a.f(", "a{b:", "1+(", "a["].map(|part| {
            let close = match part.trim_end_matches(':').chars().rev().find(|c| "([{".contains(*c)) {
                Some('(') => ")",
                Some('[') => "]",
                _ => "}",
            };
            repeated("", part, "1", close)
        }));
        sources.extend(sources.clone().iter().map(|source| source[..source.len() - 1].to_owned()));
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            for source in sources {
                // A tree that is returned is within the limit of depth.
                let _ = run(&source, || {
                    parse(&source).map(|(root, _)| assert!(find_too_deep_node(&root).is_none(), "{}", &source[..20]))
                });
            }
        });
        thread.unwrap().join().unwrap();
    }
}
