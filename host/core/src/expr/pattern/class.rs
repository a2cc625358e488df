//! Character classes of RE2: in brackets, by a letter such as `\d`, and by a Unicode property.

use super::Translator;

impl Translator<'_> {
    /// `\pL`, `\p{Greek}`, and `\p{^Greek}` for `\P{Greek}`.
    pub(super) fn translate_unicode_class(&mut self) -> Result<(), String> {
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

    /// A class in brackets, after the opening one.
    pub(super) fn translate_class(&mut self) -> Result<(), String> {
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
                Some('[') if self.translate_named_class()? => {}
                Some('\\') if self.translate_class_escape()? => {}
                Some(_) => self.translate_range()?,
            }
            is_first = false;
        }
    }

    /// `[:digit:]`; false if the bracket is a plain character. No class name is longer than 28 characters.
    fn translate_named_class(&mut self) -> Result<bool, String> {
        let lookahead: String = self.rest.clone().take(32).collect();
        let Some(name) = lookahead.strip_prefix("[:").and_then(|rest| rest.split_once(":]")).map(|(name, _)| name)
        else {
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
    fn translate_class_escape(&mut self) -> Result<bool, String> {
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
                self.translate_unicode_class()?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// A character or a range of characters in a class.
    fn translate_range(&mut self) -> Result<(), String> {
        let low = self.read_class_character()?;
        let mut lookahead = self.rest.clone();
        let is_range = lookahead.next() == Some('-') && lookahead.next().is_some_and(|next| next != ']');
        let high = if is_range {
            self.rest.next();
            self.read_class_character()?
        } else {
            low
        };
        if high < low {
            return Err(format!("the range {low}-{high} in a character class is the wrong way round"));
        }
        self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        Ok(())
    }

    fn read_class_character(&mut self) -> Result<char, String> {
        match self.rest.next() {
            Some('\\') => self.read_escaped_character(),
            Some(c) => Ok(c),
            None => Err("unclosed character class".to_owned()),
        }
    }
}

/// The characters of `\d`, `\s` or `\w`, and true if the letter means all other characters.
pub(super) fn perl_class(letter: char) -> (&'static str, bool) {
    let items = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\x0c\\r\\x20",
        _ => "0-9A-Za-z_",
    };
    (items, letter.is_ascii_uppercase())
}
