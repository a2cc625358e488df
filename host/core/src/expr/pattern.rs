//! Compiles regular expressions: CEL has the syntax of RE2, which is translated to that of the regex crate.
//!
//! The two differ where RE2 is ASCII (`\d`, `\w`, `\s`, `\b`), in character classes (`[`, `&&` and `--` are plain
//! characters in RE2), in the characters that may be escaped, and in `\Q...\E`, octal numbers and braces that repeat
//! nothing. The sources of the syntax are <https://github.com/google/re2/wiki/Syntax> and Go's `regexp/syntax`, which
//! cel-go uses.

mod class;
#[cfg(test)]
mod tests;

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use self::class::perl_class;

/// The most memory of a compiled pattern, in bytes. It bounds patterns such as `((a{100}){100}){100}`.
const MAX_PATTERN_BYTES: usize = 1 << 20;

const LOOK_AROUND_MESSAGE: &str = "look-around and backreferences are not supported";

/// Compiles a pattern. The error is the reason why the text is no pattern.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = Translator { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len() + 16) };
    let translated = translated.translate()?;
    RegexBuilder::new(&translated).size_limit(MAX_PATTERN_BYTES).build().map_err(|error| {
        // The display form draws the pattern in several lines; the reason is the last.
        let error = error.to_string();
        error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Translates a pattern from left to right.
struct Translator<'a> {
    /// The characters that have still to be translated.
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translator<'_> {
    fn translate(mut self) -> Result<String, String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.translate_escape()?,
                '[' => self.translate_class()?,
                '(' => self.translate_group()?,
                '{' => self.translate_braces(),
                '}' | ']' => self.push_literal(c),
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    /// Adds a character that stands for itself, outside of classes.
    fn push_literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// The escape after a backslash, outside of classes.
    fn translate_escape(&mut self) -> Result<(), String> {
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
            Some('p' | 'P') => self.translate_unicode_class()?,
            Some('Q') => {
                self.rest.next();
                self.translate_quotation();
            }
            _ => {
                let c = self.read_escaped_character()?;
                self.push_literal(c);
            }
        }
        Ok(())
    }

    /// The characters up to `\E` or the end of the pattern, each of which stands for itself.
    fn translate_quotation(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.push_literal(c);
        }
    }

    /// Reads an escape after its backslash. Returns the character that it stands for.
    fn read_escaped_character(&mut self) -> Result<char, String> {
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
                    return Err(LOOK_AROUND_MESSAGE.to_owned());
                }
                for _ in 0..2 {
                    let Some(digit) = self.rest.next_if(octal) else { break };
                    code = code * 8 + u32::from(digit) - u32::from('0');
                }
                code
            }
            'x' => self.read_hexadecimal()?,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            c => return Err(format!("\\{c} is no escape")),
        };
        char::from_u32(code).ok_or_else(|| format!("\\x{{{code:x}}} is no character"))
    }

    /// Reads `\x7f` or `\x{10ffff}` after the `x`.
    fn read_hexadecimal(&mut self) -> Result<u32, String> {
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
    fn translate_group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if self.rest.next_if_eq(&'P').is_some() {
            self.out.push('P');
            return if self.rest.peek() == Some(&'<') { Ok(()) } else { Err(LOOK_AROUND_MESSAGE.to_owned()) };
        }
        if self.rest.next_if_eq(&'<').is_some() {
            self.out.push('<');
            return if matches!(self.rest.peek(), Some('=' | '!')) {
                Err(LOOK_AROUND_MESSAGE.to_owned())
            } else {
                Ok(())
            };
        }
        while let Some(flag) = self.rest.next_if(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
            self.out.push(flag);
        }
        match self.rest.peek() {
            Some(':' | ')') => Ok(()),
            Some('=' | '!' | '>') => Err(LOOK_AROUND_MESSAGE.to_owned()),
            Some(other) => Err(format!("'{other}' is no flag of a group; the flags are i, m, s and U")),
            None => Err("unclosed group".to_owned()),
        }
    }

    /// `{2}`, `{2,}` and `{2,5}` repeat; other braces are characters.
    fn translate_braces(&mut self) {
        let repetition: String = self.rest.clone().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        let is_closed = self.rest.clone().nth(repetition.chars().count()) == Some('}');
        let (least, most) = repetition.split_once(',').unwrap_or((&repetition, ""));
        if is_closed && !least.is_empty() && !most.contains(',') {
            self.out.push('{');
        } else {
            self.push_literal('{');
            return;
        }
        self.out.push_str(&repetition);
        self.out.push('}');
        for _ in 0..=repetition.len() {
            self.rest.next();
        }
    }
}
