//! Patterns that mean something else in the regex crate than in RE2, and texts that are no patterns.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    matching.iter().for_each(|text| assert!(regex.is_match(text), "{pattern} matches {text:?}"));
    other.iter().for_each(|text| assert!(!regex.is_match(text), "{pattern} does not match {text:?}"));
}

#[test]
fn perl_classes_and_word_boundaries_are_ascii() {
    check(r"^\d{4}$", &["1234"], &["\u{661}\u{662}\u{663}\u{664}", "\u{ff11}234", "12345"]);
    check(r"^\D$", &["\u{661}", "a", "\n"], &["1"]);
    check(r"^\w+$", &["a_1"], &["\u{fc}", "a b"]);
    check(r"^\W$", &["\u{fc}", " "], &["a"]);
    check(r"^a\sb$", &["a b", "a\tb", "a\u{c}b"], &["a\u{a0}b", "a\u{b}b"]);
    check(r"^\S$", &["\u{a0}", "\u{b}"], &[" ", "\n"]);
    check(r"\bcat\b", &["\u{e9}cat\u{e9}", "a cat"], &["cats", "_cat"]);
    check(r"\Bcat", &["scat"], &["cat", "\u{e9}cat"]);
    check(r"^[\d\s]+$", &["1 2"], &["\u{661}", "\u{a0}"]);
    check(r"^[^\w]$", &["\u{fc}", "-"], &["a"]);
    check(r"^[\W\d]$", &["\u{fc}", "1"], &["a"]);
    check(r"(?i)^k$", &["K", "\u{212a}"], &["j"]);
    check(r"^.$", &["\u{fc}", "\u{1f600}"], &["\n", ""]);
}

#[test]
fn classes_hold_characters_not_sets() {
    check(r"^[a&&b]$", &["a", "&", "b"], &["c"]);
    check(r"^[[a]b]$", &["[b]", "ab]"], &["b", "a"]);
    check(r"^[+--]$", &["+", ",", "-"], &["."]);
    check(r"^[]a]$", &["]", "a"], &["b"]);
    check(r"^[^]a]$", &["b"], &["]", "a"]);
    check(r"^[a~~b -]$", &["~", " ", "-"], &["c"]);
    check(r"^[[:digit:][:^alpha:]]+$", &["1-"], &["a"]);
    check(r"^[\x{e9}\]\-\101-C]$", &["\u{e9}", "]", "-", "B"], &["D"]);
}

#[test]
fn escapes_and_braces_are_those_of_re2() {
    check(r"^\Qa.b\E+$", &["a.bb"], &["axb"]);
    check(r"^\Q[$", &["[$"], &["["]);
    check(r"^\<a\>\_$", &["<a>_"], &["a"]);
    check(r"^a{,5}b{}{2}$", &["a{,5}b{}}"], &["aab"]);
    check(r"^(?P<x>a{2,3})(?<y>b)(?s:.)$", &["aab\n", "aaabx"], &["ab\n"]);
    check(r"^\x41\x{42}\103\0$", &["ABC\0"], &["ABC0"]);
    check(r"^a#b c$", &["a#b c"], &["abc"]);
    for (pattern, reason) in [
        (r"(a)\1", LOOK_AROUND_MESSAGE),
        (r"a(?=b)", LOOK_AROUND_MESSAGE),
        (r"a(?!b)", LOOK_AROUND_MESSAGE),
        (r"(?<=a)b", LOOK_AROUND_MESSAGE),
        (r"(?P=a)", LOOK_AROUND_MESSAGE),
        (r"(?x) a", "the flags are i, m, s and U"),
        (r"\y", "\\y is no escape"),
        ("(", "unclosed group"),
        ("[a", "unclosed character class"),
        ("[z-a]", "the wrong way round"),
        (r"\", "ends with a backslash"),
        (r"\x{110000}", "is no character"),
        (r"\x4", "a code point is written"),
        ("[[:foo1:]]", "is no class"),
    ] {
        let error = compile(pattern).unwrap_err();
        assert!(error.contains(reason), "{pattern}: {error}");
    }
}

proptest! {
    #[test]
    fn no_pattern_panics(pattern in "\\PC{0,30}|[-\\\\\\[\\]{}(),?^a-dPpQEwWsSxU0-9:&|*+.<>=!\u{e9}]{0,40}") {
        let _ = compile(&pattern);
    }

    #[test]
    fn plain_text_matches_itself(text in "[a-z\u{e9} #&~<>@/:;=%'\"!,_-]{1,20}") {
        for pattern in [format!("^{text}$"), format!("^\\Q{text}\\E$")] {
            prop_assert!(compile(&pattern).unwrap().is_match(&text));
        }
    }
}
