//! Shortens texts of users that are repeated in a message. The middle is cut, so that both ends can be read.

use std::borrow::Cow;

/// Shortens a text to at most `most` bytes within a JSON string. A note with the full size replaces the middle; two
/// thirds of the rest are from the beginning of the text, one third from its end.
pub fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && json_bytes(text) <= most {
        return Cow::Borrowed(text);
    }
    let note = format!("… ({} bytes in all) …", text.len());
    let left = most.saturating_sub(note.len());
    let head =
        find_last_fitting(text.char_indices().map(|(at, c)| (at + c.len_utf8(), c)), left - left / 3).unwrap_or(0);
    let tail = find_last_fitting(text[head..].char_indices().rev(), left / 3).map_or(text.len(), |at| head + at);
    Cow::Owned(format!("{}{note}{}", &text[..head], &text[tail..]))
}

/// The last place up to which the characters take at most `most` bytes within a JSON string.
fn find_last_fitting(chars: impl Iterator<Item = (usize, char)>, most: usize) -> Option<usize> {
    let mut bytes = 0;
    chars
        .map_while(|(at, c)| {
            bytes += json_bytes_of(c);
            (bytes <= most).then_some(at)
        })
        .last()
}

fn json_bytes(text: &str) -> usize {
    text.chars().map(json_bytes_of).sum()
}

/// The number of bytes of a character within a JSON string, escaped if need be.
fn json_bytes_of(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\u{9}' | '\u{a}' | '\u{c}' | '\u{d}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_stays_and_a_long_one_keeps_both_ends() {
        assert_eq!(shorten("field `a`", 20), "field `a`");
        let long = format!("unknown field `{}`; did you mean `b`?", "a".repeat(5000));
        let short = shorten(&long, 100);
        assert!(short.starts_with("unknown field `aaa") && short.ends_with("mean `b`?"), "{short}");
        assert!(short.contains("(5035 bytes in all)") && short.len() <= 100, "{short}");
    }

    #[test]
    fn the_result_fits_as_json_for_all_characters() {
        for c in ['a', 'é', '😀', '"', '\n', '\u{1}', '\u{7f}'] {
            let text: String = std::iter::repeat_n(c, 3000).collect();
            for most in [40, 41, 100, 2999] {
                let json = serde_json::to_string(&shorten(&text, most)).unwrap();
                assert!(json.len() <= most + 2, "{c:?} {most}: {}", json.len());
            }
        }
    }
}
