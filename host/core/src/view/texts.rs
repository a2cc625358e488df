//! An arena of the texts that aggregates keep. Each text is represented by one word.

/// The longest text that is kept, in bytes. Longer ones are truncated after the last character that fits.
pub const MAX_TEXT_BYTES: usize = 256;

/// The longest text that is stored in the word itself, in bytes, such as a country's code. It needs no access to other
/// memory.
const MAX_INLINE_BYTES: usize = 7;
/// The highest byte of a word whose other bytes are an index into the arena. In other words that byte is the length of
/// the text in the lower bytes.
const INDEX_MARKER: u8 = 0xff;

/// The longer texts, by index. A freed entry keeps its buffer, so that nothing is allocated in a steady state.
#[derive(Debug, Default)]
pub(super) struct TextArena {
    texts: Vec<String>,
    free: Vec<u64>,
}

impl TextArena {
    /// Stores a text and returns its word.
    pub(super) fn insert(&mut self, text: &str) -> u64 {
        if text.len() <= MAX_INLINE_BYTES {
            let mut bytes = [0; 8];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            // At most 7.
            bytes[MAX_INLINE_BYTES] = text.len() as u8;
            return u64::from_le_bytes(bytes);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.texts.push(String::new());
            self.texts.len() as u64 - 1
        });
        let kept = &mut self.texts[place as usize];
        kept.clear();
        kept.push_str(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)]);
        place | u64::from(INDEX_MARKER) << 56
    }

    /// The text of a word from `insert`. A short text is written to `buffer`.
    #[inline]
    pub(super) fn get<'a>(&'a self, word: u64, buffer: &'a mut [u8; 8]) -> &'a str {
        match index_of(word) {
            Some(place) => &self.texts[place],
            None => {
                *buffer = word.to_le_bytes();
                // The bytes were copied from a whole text, so they are UTF-8.
                std::str::from_utf8(&buffer[..usize::from(buffer[MAX_INLINE_BYTES])]).unwrap_or_default()
            }
        }
    }

    /// Frees the text of a word from `insert`.
    pub(super) fn remove(&mut self, word: u64) {
        if let Some(place) = index_of(word) {
            self.free.push(place as u64);
        }
    }
}

/// The index of a text that is not stored in its word.
#[inline]
fn index_of(word: u64) -> Option<usize> {
    (word >> 56 == u64::from(INDEX_MARKER)).then_some((word & !(u64::from(INDEX_MARKER) << 56)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_truncated_between_characters() {
        let mut texts = TextArena::default();
        for text in ["", "a", "é€é", "1234567", "12345678", &"é".repeat(128)] {
            let word = texts.insert(text);
            assert_eq!(texts.get(word, &mut [0; 8]), text);
        }
        let long = texts.insert(&format!("x{}", "é".repeat(128)));
        assert_eq!(texts.get(long, &mut [0; 8]).len(), 255);
    }

    #[test]
    fn freed_entries_are_reused() {
        let mut texts = TextArena::default();
        let first = texts.insert("the first");
        texts.insert("the second");
        texts.remove(first);
        let short = texts.insert("third");
        texts.remove(short);
        assert_eq!(texts.insert("the fourth"), first);
        assert_eq!(texts.texts.len(), 2);
    }
}
