//! Splits a source into the tokens of CEL's grammar. The longest match wins, as in the parser's own lexer.
//!
//! The limits are counted on these tokens, so a difference between this lexer and the parser's could hide code from the
//! limits. Therefore each token ends exactly where its own characters end.

use super::error::ExprError;

/// A token and its range of bytes in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The kinds of tokens that the limits and the advice distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or a keyword, such as `amount` and `in`.
    Word,
    /// A name in backquotes.
    Quoted,
    Number,
    Text,
    Open(char),
    Close(char),
    Comma,
    Dot,
    /// `&&` and `||`.
    Logic,
    /// `?`.
    Choice,
    /// Any other operator.
    Operator,
}

impl Token {
    pub(crate) fn text<'s>(&self, source: &'s str) -> &'s str {
        &source[self.start..self.end]
    }

    /// True if a value may end with this token.
    pub(super) fn ends_value(&self, source: &str) -> bool {
        match self.kind {
            TokenKind::Word => self.text(source) != "in",
            TokenKind::Quoted | TokenKind::Number | TokenKind::Text | TokenKind::Close(_) => true,
            _ => false,
        }
    }

    /// True if this token always begins a value. An opening bracket does not: it may also be a call or an index.
    pub(super) fn begins_value(&self, source: &str) -> bool {
        match self.kind {
            TokenKind::Word => self.text(source) != "in",
            TokenKind::Number | TokenKind::Text => true,
            _ => false,
        }
    }
}

/// Splits a source into tokens, without spaces and comments.
pub(crate) fn tokenize(source: &str) -> Result<Vec<Token>, ExprError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

/// Operators of other languages, each with the advice for CEL.
const FOREIGN_OPERATORS: &[(&str, &str)] = &[
    ("===", "'===' is no operator; to compare, write '=='"),
    ("!==", "'!==' is no operator; write '!='"),
    ("<>", "'<>' is no operator; write '!='"),
    ("=~", "'=~' is no operator; write matches(), as in name.matches(\"^a\")"),
    ("**", "'**' is no operator; there are no powers: multiply, as in x * x"),
    ("??", "'??' is no operator; write coalesce(a, b)"),
    (".?", "'.?' is not supported: what a missing field gives is missing, as it is; test with has()"),
    (":=", "':=' is no operator; an expression assigns nothing"),
];

/// The operators of two characters.
const TWO_CHARACTER_OPERATORS: [(&str, TokenKind); 6] = [
    ("&&", TokenKind::Logic),
    ("||", TokenKind::Logic),
    ("==", TokenKind::Operator),
    ("!=", TokenKind::Operator),
    ("<=", TokenKind::Operator),
    (">=", TokenKind::Operator),
];

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// The number of ASCII characters of a kind in succession, `from` bytes after the current place.
    fn count_while(&self, from: usize, is_part: impl Fn(&u8) -> bool) -> usize {
        self.rest().as_bytes().get(from..).unwrap_or_default().iter().take_while(|byte| is_part(byte)).count()
    }

    fn next_token(&mut self) -> Result<Option<Token>, ExprError> {
        self.skip_blanks();
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let digit_follows = self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let (kind, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => self.read_word()?,
            '0'..='9' => (TokenKind::Number, self.number_length()),
            '.' if digit_follows => (TokenKind::Number, self.number_length()),
            '"' | '\'' => (TokenKind::Text, self.text_length(0, false)?),
            '`' => (TokenKind::Quoted, self.quoted_length()?),
            _ => self.read_sign(first)?,
        };
        let start = self.at;
        self.at += length;
        Ok(Some(Token { kind, start, end: self.at }))
    }

    fn skip_blanks(&mut self) {
        loop {
            self.at += self.count_while(0, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c));
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// A word, or a text with the prefix `r`, with its length in bytes.
    fn read_word(&self) -> Result<(TokenKind, usize), ExprError> {
        let length = self.count_while(0, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let is_prefix = self.rest()[length..].starts_with(['"', '\'']);
        match &self.rest()[..length] {
            "r" | "R" if is_prefix => Ok((TokenKind::Text, self.text_length(length, true)?)),
            "b" | "B" | "br" | "bR" | "Br" | "BR" | "rb" | "rB" | "Rb" | "RB" if is_prefix => {
                Err(self.error(0, length, "bytes are not supported; write a string"))
            }
            _ => Ok((TokenKind::Word, length)),
        }
    }

    /// The length in bytes of a number: `1`, `0x1f`, `1u`, `1.5`, `.5`, `1e5`. A point or an exponent without digits is
    /// not part of it.
    fn number_length(&self) -> usize {
        let bytes = self.rest().as_bytes();
        let unsigned = |end: usize| end + usize::from(bytes.get(end).is_some_and(|byte| matches!(byte, b'u' | b'U')));
        if bytes.starts_with(b"0x") {
            let digits = self.count_while(2, u8::is_ascii_hexdigit);
            return if digits > 0 { unsigned(2 + digits) } else { 1 };
        }
        let whole = self.count_while(0, u8::is_ascii_digit);
        let mut end = whole;
        if bytes.get(end) == Some(&b'.') {
            let fraction = self.count_while(end + 1, u8::is_ascii_digit);
            end += if fraction > 0 { 1 + fraction } else { 0 };
        }
        if bytes.get(end).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
            let sign = usize::from(bytes.get(end + 1).is_some_and(|byte| matches!(byte, b'+' | b'-')));
            let exponent = self.count_while(end + 1 + sign, u8::is_ascii_digit);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        if end == whole { unsigned(end) } else { end }
    }

    /// The length in bytes of a text whose opening quote is at the offset `open`. In a raw text a backslash is an
    /// ordinary character.
    fn text_length(&self, open: usize, is_raw: bool) -> Result<usize, ExprError> {
        let bytes = self.rest().as_bytes();
        let quote = bytes[open];
        if bytes[open..].starts_with(&[quote; 3]) {
            let message = "texts in triple quotes are not supported; write one quote and \\n for a new line";
            return Err(self.error(open, 3, message));
        }
        let mut at = open + 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n' | b'\r') => {
                    return Err(self.error(open, at - open, "this string is never closed"));
                }
                Some(b'\\') if !is_raw => match escape_length(&bytes[at..]) {
                    Some(length) => at += length,
                    None => {
                        let message = "unknown escape in a string; a backslash itself is written \\\\";
                        return Err(self.error(at, 2, message));
                    }
                },
                Some(byte) if *byte == quote => return Ok(at + 1),
                Some(_) => at += 1,
            }
        }
    }

    /// The length in bytes of a name in backquotes. CEL also allows `.`, `/` and spaces there, which no field's name
    /// has.
    fn quoted_length(&self) -> Result<usize, ExprError> {
        let name = self.count_while(1, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if name > 0 && self.rest().as_bytes().get(1 + name) == Some(&b'`') {
            return Ok(name + 2);
        }
        let message = "between backquotes stands one name of letters, digits, '_' and '-', as in event.`in`";
        Err(self.error(0, 1 + name, message))
    }

    /// An operator or a bracket with its length in bytes. The error names a character that CEL does not have.
    fn read_sign(&self, first: char) -> Result<(TokenKind, usize), ExprError> {
        let rest = self.rest();
        if let Some((foreign, message)) = FOREIGN_OPERATORS.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
            return Err(self.error(0, foreign.len(), *message));
        }
        if let Some((_, kind)) = TWO_CHARACTER_OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            return Ok((*kind, 2));
        }
        let kind = match first {
            '(' | '[' | '{' => TokenKind::Open(first),
            ')' | ']' | '}' => TokenKind::Close(first),
            ',' => TokenKind::Comma,
            '.' => TokenKind::Dot,
            '?' => TokenKind::Choice,
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '!' | ':' => TokenKind::Operator,
            '=' => return Err(self.error(0, 1, "'=' is no operator; to compare, write '=='")),
            '&' => return Err(self.error(0, 1, "'&' is no operator; write '&&'")),
            '|' => return Err(self.error(0, 1, "'|' is no operator; write '||'")),
            '^' => return Err(self.error(0, 1, "'^' is no operator; there are no powers: multiply, as in x * x")),
            '\u{2018}'..='\u{201f}' => {
                return Err(self.error(0, first.len_utf8(), "strings stand in straight quotes, \" or '"));
            }
            other => {
                let message = format!("unexpected character '{}'", other.escape_debug());
                return Err(self.error(0, other.len_utf8(), message));
            }
        };
        Ok((kind, 1))
    }

    fn error(&self, offset: usize, width: usize, message: impl Into<String>) -> ExprError {
        ExprError::at(self.source, self.at + offset, width, message)
    }
}

/// The length in bytes of the escape at the start of a text; none if CEL has no such escape.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokenize(source).unwrap().iter().map(|token| token.text(source)).collect()
    }

    #[test]
    fn tokens_end_where_their_own_characters_end() {
        assert_eq!(texts("card in[\"DE\"]"), ["card", "in", "[", "\"DE\"", "]"]);
        assert_eq!(texts("card in\"\".split('x')"), ["card", "in", "\"\"", ".", "split", "(", "'x'", ")"]);
        assert_eq!(texts("1in[1]"), ["1", "in", "[", "1", "]"]);
        assert_eq!(texts(r#"1r"\"+1"#), ["1", r#"r"\""#, "+", "1"]);
        assert_eq!(
            texts("1.5e3+.5-1..5e x 1e+ 0x 0x1Fu 7u"),
            ["1.5e3", "+", ".5", "-", "1", ".", ".5", "e", "x", "1", "e", "+", "0", "x", "0x1Fu", "7u"]
        );
        assert_eq!(texts("a.`in`?b:c//d\n&&e"), ["a", ".", "`in`", "?", "b", ":", "c", "&&", "e"]);
    }
}
