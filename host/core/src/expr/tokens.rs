//! The limits on a source, checked token by token before it is parsed.
//!
//! The CEL parser recurses, about 9 KiB of stack for each nested bracket, so the depth is bounded first; and
//! since its lexer reports a stray character as whatever follows it, those are reported here.

use super::error::ExprError;

/// The longest source, in bytes.
pub const LONGEST_SOURCE: usize = 4096;
/// The most brackets, parentheses and braces that may be open at once.
pub const DEEPEST_NESTING: usize = 64;
/// The most operators, dots and calls in a chain (through all open brackets) without `&&`, `||` or a comma.
pub const LONGEST_CHAIN: usize = 256;

/// What is counted at one level of brackets.
#[derive(Default)]
struct Level {
    closer: char,
    start: usize,
    /// Operators since the last `&&`, `||` or comma; the parser balances chains of those two.
    operators: usize,
    /// `? :` since the last comma: each nests in the one before.
    choices: usize,
}

/// Checks length, characters, texts and nesting of a source.
pub(super) fn check_limits(source: &str) -> Result<(), ExprError> {
    if source.len() > LONGEST_SOURCE {
        let message = format!("the expression is {} bytes long, at most {LONGEST_SOURCE} are allowed", source.len());
        return Err(ExprError::at(source, 0, 1, message));
    }
    Scanner { source, at: 0, chain: 0, levels: vec![Level::default()] }.run()
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    chain: usize,
    levels: Vec<Level>,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), ExprError> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => self.at += 1,
                '/' if self.rest().starts_with("//") => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                'a'..='z' | 'A'..='Z' | '_' => self.word()?,
                '0'..='9' => {
                    self.at += self.rest().find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest().len())
                }
                '"' | '\'' => self.text(false)?,
                '(' | '[' | '{' => self.open(c)?,
                ')' | ']' | '}' => self.close(c)?,
                ',' => self.reset(true, 1),
                _ => self.operator(c)?,
            }
        }
        match self.levels.last() {
            Some(level) if self.levels.len() > 1 => Err(ExprError::at(
                self.source,
                level.start,
                1,
                format!("this bracket is never closed with '{}'", level.closer),
            )),
            _ => Ok(()),
        }
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn word(&mut self) -> Result<(), ExprError> {
        let length = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_ascii_lowercase();
        let quoted = self.rest()[length..].starts_with(['"', '\'']);
        if quoted && matches!(word.as_str(), "b" | "br" | "rb") {
            return Err(self.error(length, "bytes are not supported; write a string"));
        }
        let is_in = &self.rest()[..length] == "in";
        self.at += length;
        if quoted && word == "r" {
            return self.text(true);
        }
        if is_in { self.count(1) } else { Ok(()) }
    }

    /// Skips a text; in a raw one a backslash is only a backslash.
    fn text(&mut self, raw: bool) -> Result<(), ExprError> {
        let quote = &self.rest()[..1];
        if self.rest().starts_with(&quote.repeat(3)) {
            return Err(
                self.error(3, "texts in triple quotes are not supported; write one quote and \\n for a new line")
            );
        }
        let quote = self.rest().as_bytes()[0];
        let bytes = self.rest().as_bytes();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n' | b'\r') => {
                    return Err(self.error(at, "this string is never closed"));
                }
                Some(b'\\') if !raw => match escape_length(&bytes[at..]) {
                    Some(length) => at += length,
                    None => {
                        self.at += at;
                        return Err(self.error(2, "unknown escape in a string; a backslash itself is written \\\\"));
                    }
                },
                Some(byte) if *byte == quote => break,
                Some(_) => at += 1,
            }
        }
        self.at += at + 1;
        Ok(())
    }

    fn open(&mut self, c: char) -> Result<(), ExprError> {
        let closer = match c {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        if self.levels.len() > DEEPEST_NESTING {
            return Err(self.error(1, format!("nested too deeply: at most {DEEPEST_NESTING} brackets may be open")));
        }
        // An index or a call extends the chain it stands in.
        self.count(0)?;
        self.levels.push(Level { closer, start: self.at, ..Level::default() });
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, c: char) -> Result<(), ExprError> {
        match self.levels.last() {
            Some(level) if self.levels.len() > 1 && level.closer == c => {}
            Some(level) if self.levels.len() > 1 => {
                return Err(self.error(1, format!("expected '{}', found '{c}'", level.closer)));
            }
            _ => return Err(self.error(1, format!("'{c}' closes no bracket"))),
        }
        self.reset(true, 1);
        self.levels.pop();
        Ok(())
    }

    fn operator(&mut self, c: char) -> Result<(), ExprError> {
        let rest = self.rest();
        if rest.starts_with("&&") || rest.starts_with("||") {
            self.reset(false, 2);
            return Ok(());
        }
        if ["==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) {
            return self.count(2);
        }
        match c {
            '?' => {
                if let Some(level) = self.levels.last_mut() {
                    level.choices += 1;
                }
                self.chain += 1;
                self.count(1)
            }
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '.' | '!' | ':' => self.count(1),
            '=' => Err(self.error(1, "'=' is no operator; to compare, write '=='")),
            '&' => Err(self.error(1, "'&' is no operator; write '&&'")),
            '|' => Err(self.error(1, "'|' is no operator; write '||'")),
            c => Err(self.error(c.len_utf8(), format!("unexpected character '{}'", c.escape_debug()))),
        }
    }

    /// Counts an operator of some bytes.
    fn count(&mut self, length: usize) -> Result<(), ExprError> {
        if let Some(level) = self.levels.last_mut() {
            level.operators += 1;
        }
        self.chain += 1;
        if self.chain > LONGEST_CHAIN {
            let message = format!("more than {LONGEST_CHAIN} operators in one chain; split the expression");
            return Err(self.error(length.max(1), message));
        }
        self.at += length;
        Ok(())
    }

    /// Begins a new chain at this level, behind a token of some bytes.
    fn reset(&mut self, all: bool, length: usize) {
        if let Some(level) = self.levels.last_mut() {
            self.chain -= level.operators;
            level.operators = 0;
            if all {
                self.chain -= level.choices;
                level.choices = 0;
            }
        }
        self.at += length;
    }

    fn error(&self, width: usize, message: impl Into<String>) -> ExprError {
        ExprError::at(self.source, self.at, width, message)
    }
}

/// The bytes of the escape that a text begins with; none if CEL has no such escape.
fn escape_length(text: &[u8]) -> Option<usize> {
    let digits = |count: usize, valid: fn(&u8) -> bool| {
        (text.len() >= 2 + count && text[2..2 + count].iter().all(valid)).then_some(2 + count)
    };
    match text.get(1)? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => Some(2),
        b'x' | b'X' => digits(2, u8::is_ascii_hexdigit),
        b'u' => digits(4, u8::is_ascii_hexdigit),
        b'U' => digits(8, u8::is_ascii_hexdigit),
        b'0'..=b'3' => digits(2, |digit| (b'0'..=b'7').contains(digit)),
        _ => None,
    }
}
