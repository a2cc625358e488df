//! Compiles expressions on a stack of their own, so that it does not matter whose stack is how full.
//!
//! CEL's parser, its visitor and the drop of its tree recurse: about 3.5 KiB for an operator of two bytes, and 9 KiB
//! for a bracket, of which the parser itself takes 96 at most. The stack is as large as the longest chain and the
//! deepest nesting of a source of its length need, so that no source can overflow it, whatever the limits have let
//! pass; the checker needs 3 KiB for each level of a tree, of which there are few. Memory is only taken for what is used.

use super::error::ExprError;

/// The stack for the shortest source, in bytes.
const MIN_STACK_BYTES: usize = 2 << 20;
/// How much more each byte of a source gets.
const STACK_BYTES_PER_BYTE: usize = 4 << 10;

/// Runs what recurses with a source, in a thread of its own.
pub(super) fn run<T: Send>(source: &str, work: impl FnOnce() -> Result<T, ExprError> + Send) -> Result<T, ExprError> {
    // Longer sources are refused before anything recurses.
    let length = source.len().min(super::MAX_SOURCE_BYTES);
    let stack = MIN_STACK_BYTES + length * STACK_BYTES_PER_BYTE;
    let at_begin = |message: &str| ExprError::at(source, 0, 1, message);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("expr-compiler".to_owned()).stack_size(stack);
        let thread = builder
            .spawn_scoped(scope, work)
            .map_err(|error| at_begin(&format!("no thread to read the expression with: {error}; try again")))?;
        // A panic is a fault of ours, but never more than one expression that is refused.
        thread.join().unwrap_or_else(|_| Err(at_begin("the expression cannot be read")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MAX_SOURCE_BYTES, too_deep};
    use super::super::parse::parse;
    use super::*;

    /// Chains and nestings that the limits on tokens would refuse, as long as a source may be: the parser alone.
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
                // What comes back was walked within the limit of depth.
                let _ = run(&source, || {
                    parse(&source).map(|(root, _)| assert!(too_deep(&root).is_none(), "{}", &source[..20]))
                });
            }
        });
        thread.unwrap().join().unwrap();
    }
}
