//! Regular expressions as CEL has them: RE2's, translated for the regex crate.
//!
//! The two differ where RE2 is ASCII (`\d`, `\w`, `\s`, `\b`), in character classes (`[`, `&&` and `--` are only
//! characters in RE2), in what may be escaped, and in `\Q...\E`, octal numbers and braces that repeat nothing. The source of
//! the syntax: <https://github.com/google/re2/wiki/Syntax>, and Go's `regexp/syntax`, which cel-go uses.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// The most memory that a compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

const LOOK_AROUND: &str = "look-around and backreferences are not supported";

/// Compiles a pattern; the error is the reason why it is none.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = Translator { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len() + 16) };
    let translated = translated.run()?;
    RegexBuilder::new(&translated).size_limit(MAX_PATTERN_BYTES).build().map_err(|error| {
        // The display form draws the pattern in several lines; the reason is the last.
        let error = error.to_string();
        error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translator<'_> {
    fn run(mut self) -> Result<String, String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.braces(),
                '}' | ']' => self.literal(c),
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    /// A character that means only itself, outside of classes.
    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.peek().copied() {
            Some(letter @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                self.rest.next();
                let (items, is_negated) = perl_class(letter);
                let sign = if is_negated { "^" } else { "" };
                self.out.push_str(&format!("[{sign}{items}]"));
            }
            Some(letter @ ('b' | 'B')) => {
                self.rest.next();
                self.out.push_str(&format!("(?-u:\\{letter})"));
            }
            Some(letter @ ('A' | 'z')) => {
                self.rest.next();
                self.out.extend(['\\', letter]);
            }
            Some('p' | 'P') => self.unicode_class()?,
            Some('Q') => {
                self.rest.next();
                self.quotation();
            }
            _ => {
                let c = self.escaped_character()?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// The characters up to `\E` or the end, each for itself.
    fn quotation(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// `\pL`, `\p{Greek}`, and `\p{^Greek}` for `\P{Greek}`.
    fn unicode_class(&mut self) -> Result<(), String> {
        let is_negated = self.rest.next() == Some('P');
        let mut name = match self.rest.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.rest.next() {
                        Some('}') => break name,
                        Some(c) => name.push(c),
                        None => return Err("the braces of \\p{...} are not closed".to_owned()),
                    }
                }
            }
            Some(c) => c.to_string(),
            None => return Err("\\p has no name; write one as \\p{L}".to_owned()),
        };
        let is_inverted = name.starts_with('^');
        if is_inverted {
            name.remove(0);
        }
        let letter = if is_negated == is_inverted { 'p' } else { 'P' };
        self.out.push_str(&format!("\\{letter}{{{name}}}"));
        Ok(())
    }

    /// The character that an escape stands for; the backslash is taken already.
    fn escaped_character(&mut self) -> Result<char, String> {
        let Some(c) = self.rest.next() else { return Err("it ends with a backslash".to_owned()) };
        let code = match c {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            '0'..='7' => {
                let mut code = u32::from(c) - u32::from('0');
                let octal = |next: &char| ('0'..='7').contains(next);
                if c != '0' && !self.rest.peek().is_some_and(octal) {
                    return Err(LOOK_AROUND.to_owned());
                }
                for _ in 0..2 {
                    let Some(digit) = self.rest.next_if(octal) else { break };
                    code = code * 8 + u32::from(digit) - u32::from('0');
                }
                code
            }
            'x' => self.hexadecimal()?,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            c => return Err(format!("\\{c} is no escape")),
        };
        char::from_u32(code).ok_or_else(|| format!("\\x{{{code:x}}} is no character"))
    }

    /// `\x7f` or `\x{10ffff}`, behind the `x`.
    fn hexadecimal(&mut self) -> Result<u32, String> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit) {
                digits.push(digit);
            }
            if self.rest.next() != Some('}') {
                digits.clear();
            }
        } else {
            digits.extend(self.rest.next_if(char::is_ascii_hexdigit));
            digits.extend(self.rest.next_if(char::is_ascii_hexdigit));
            if digits.len() < 2 {
                digits.clear();
            }
        }
        u32::from_str_radix(&digits, 16).map_err(|_| "a code point is written \\x7f or \\x{10ffff}".to_owned())
    }

    /// A group: plain, named, or with flags.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if self.rest.next_if_eq(&'P').is_some() {
            self.out.push('P');
            return if self.rest.peek() == Some(&'<') { Ok(()) } else { Err(LOOK_AROUND.to_owned()) };
        }
        if self.rest.next_if_eq(&'<').is_some() {
            self.out.push('<');
            return if matches!(self.rest.peek(), Some('=' | '!')) { Err(LOOK_AROUND.to_owned()) } else { Ok(()) };
        }
        while let Some(flag) = self.rest.next_if(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
            self.out.push(flag);
        }
        match self.rest.peek() {
            Some(':' | ')') => Ok(()),
            Some('=' | '!' | '>') => Err(LOOK_AROUND.to_owned()),
            Some(other) => Err(format!("'{other}' is no flag of a group; the flags are i, m, s and U")),
            None => Err("unclosed group".to_owned()),
        }
    }

    /// `{2}`, `{2,}` and `{2,5}` repeat; other braces are characters.
    fn braces(&mut self) {
        let ahead: String = self.rest.clone().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        let is_closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (least, most) = ahead.split_once(',').unwrap_or((&ahead, ""));
        if is_closed && !least.is_empty() && !most.contains(',') {
            self.out.push('{');
        } else {
            self.literal('{');
            return;
        }
        self.out.push_str(&ahead);
        self.out.push('}');
        for _ in 0..=ahead.len() {
            self.rest.next();
        }
    }

    /// A class in brackets, behind the first.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            match self.rest.peek().copied() {
                None => return Err("unclosed character class".to_owned()),
                Some(']') if !is_first => {
                    self.rest.next();
                    self.out.push(']');
                    return Ok(());
                }
                Some('[') if self.named_class()? => {}
                Some('\\') if self.class_escape()? => {}
                Some(_) => self.range()?,
            }
            is_first = false;
        }
    }

    /// `[:digit:]`; false if the bracket is only a character.
    fn named_class(&mut self) -> Result<bool, String> {
        let ahead: String = self.rest.clone().take(32).collect();
        let Some(name) = ahead.strip_prefix("[:").and_then(|rest| rest.split_once(":]")).map(|(name, _)| name) else {
            return Ok(false);
        };
        if !name.trim_start_matches('^').chars().all(|c| c.is_ascii_lowercase()) {
            return Err(format!("[:{name}:] is no class; write one as [:alpha:]"));
        }
        self.out.push_str(&format!("[:{name}:]"));
        for _ in 0..name.len() + 4 {
            self.rest.next();
        }
        Ok(true)
    }

    /// `\d` and the like, and `\p{...}`, in a class; false if it is the escape of one character.
    fn class_escape(&mut self) -> Result<bool, String> {
        match self.rest.clone().nth(1) {
            Some(letter @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                let (items, is_negated) = perl_class(letter);
                self.out.push_str(&if is_negated { format!("[^{items}]") } else { items.to_owned() });
                self.rest.next();
                self.rest.next();
                Ok(true)
            }
            Some('p' | 'P') => {
                self.rest.next();
                self.unicode_class()?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// A character of a class, or a range of them.
    fn range(&mut self) -> Result<(), String> {
        let low = self.class_character()?;
        let mut ahead = self.rest.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']');
        let high = if is_range {
            self.rest.next();
            self.class_character()?
        } else {
            low
        };
        if high < low {
            return Err(format!("the range {low}-{high} in a character class is the wrong way round"));
        }
        self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        Ok(())
    }

    fn class_character(&mut self) -> Result<char, String> {
        match self.rest.next() {
            Some('\\') => self.escaped_character(),
            Some(c) => Ok(c),
            None => Err("unclosed character class".to_owned()),
        }
    }
}

/// The items of `\d`, `\s` or `\w`, and whether the letter means all others.
fn perl_class(letter: char) -> (&'static str, bool) {
    let items = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\x0c\\r\\x20",
        _ => "0-9A-Za-z_",
    };
    (items, letter.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
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
            (r"(a)\1", LOOK_AROUND),
            (r"a(?=b)", LOOK_AROUND),
            (r"a(?!b)", LOOK_AROUND),
            (r"(?<=a)b", LOOK_AROUND),
            (r"(?P=a)", LOOK_AROUND),
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
        fn no_pattern_makes_it_panic(pattern in "\\PC{0,30}|[-\\\\\\[\\]{}(),?^a-dPpQEwWsSxU0-9:&|*+.<>=!\u{e9}]{0,40}") {
            let _ = compile(&pattern);
        }

        #[test]
        fn what_is_plain_matches_itself(text in "[a-z\u{e9} #&~<>@/:;=%'\"!,_-]{1,20}") {
            for pattern in [format!("^{text}$"), format!("^\\Q{text}\\E$")] {
                prop_assert!(compile(&pattern).unwrap().is_match(&text));
            }
        }
    }
}
