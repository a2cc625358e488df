//! The texts that `last` keeps, each as one word.

/// The longest text that is kept, in bytes. Longer ones are cut at the last character that fits.
pub const MAX_TEXT: usize = 256;

/// The longest text that fits into the word itself, such as a country's code: no other memory is touched for it.
const INLINE: usize = 7;
/// In a word's highest byte: the rest is a place. Else that byte is the length of the text in the lower ones.
const PLACED: u8 = 0xff;

/// The longer texts, by place. A freed place keeps its buffer, so that a steady state allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Texts {
    texts: Vec<String>,
    free: Vec<u64>,
}

impl Texts {
    /// Keeps a text; returns its word.
    pub(super) fn insert(&mut self, text: &str) -> u64 {
        if text.len() <= INLINE {
            let mut bytes = [0; 8];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            // At most 7.
            bytes[INLINE] = text.len() as u8;
            return u64::from_le_bytes(bytes);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.texts.push(String::new());
            self.texts.len() as u64 - 1
        });
        let kept = &mut self.texts[place as usize];
        kept.clear();
        kept.push_str(&text[..text.floor_char_boundary(MAX_TEXT)]);
        place | u64::from(PLACED) << 56
    }

    /// The text of a word that `insert` gave. A short one is written to `room`.
    #[inline]
    pub(super) fn get<'a>(&'a self, word: u64, room: &'a mut [u8; 8]) -> &'a str {
        match placed(word) {
            Some(place) => &self.texts[place],
            None => {
                *room = word.to_le_bytes();
                // It was copied from a text whole, so it is one.
                std::str::from_utf8(&room[..usize::from(room[INLINE])]).unwrap_or_default()
            }
        }
    }

    /// Forgets the text of a word that `insert` gave.
    pub(super) fn remove(&mut self, word: u64) {
        if let Some(place) = placed(word) {
            self.free.push(place as u64);
        }
    }
}

/// The place of a text that is not in its word.
#[inline]
fn placed(word: u64) -> Option<usize> {
    (word >> 56 == u64::from(PLACED)).then_some((word & !(u64::from(PLACED) << 56)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_are_kept_and_long_ones_are_cut_between_characters() {
        let mut texts = Texts::default();
        for text in ["", "a", "é€é", "1234567", "12345678", &"é".repeat(128)] {
            let word = texts.insert(text);
            assert_eq!(texts.get(word, &mut [0; 8]), text);
        }
        let long = texts.insert(&format!("x{}", "é".repeat(128)));
        assert_eq!(texts.get(long, &mut [0; 8]).len(), 255);
    }

    #[test]
    fn places_are_used_again() {
        let mut texts = Texts::default();
        let first = texts.insert("the first");
        texts.insert("the second");
        texts.remove(first);
        let short = texts.insert("third");
        texts.remove(short);
        assert_eq!(texts.insert("the fourth"), first);
        assert_eq!(texts.texts.len(), 2);
    }
}
