//! The predicates of edges: their names, with what a predicate cannot hold percent-encoded. Pure.

/// The longest predicate, in bytes.
const LONGEST: usize = 1_000;

/// The predicate of an edge's name; none: the name is empty or too long.
pub(super) fn encode(name: &str) -> Option<String> {
    let reserved = is_reserved(name);
    let mut predicate = String::with_capacity(name.len());
    for (at, char) in name.char_indices() {
        let plain = char.is_alphanumeric() || matches!(char, '_' | '.' | '-');
        if plain && !(reserved && at == 0) {
            predicate.push(char);
            continue;
        }
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            predicate.push_str(&format!("%{byte:02X}"));
        }
    }
    (!predicate.is_empty() && predicate.len() <= LONGEST).then_some(predicate)
}

/// The edge's name of a predicate that [`encode`] made.
pub(super) fn decode(predicate: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(predicate.len());
    let mut rest = predicate.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Names that are Dgraph's, or that belong to the records of this adapter. Their first character is encoded.
fn is_reserved(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "uid" || name.starts_with("dgraph.") || name.starts_with("assay.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_predicates_and_come_back() {
        for (name, predicate) in [
            ("paid", "paid"),
            ("paid-at.2_x", "paid-at.2_x"),
            ("日本é", "日本é"),
            ("a b|c>@~%", "a%20b%7Cc%3E%40%7E%25"),
            ("uid", "%75id"),
            ("DGRAPH.type", "%44GRAPH.type"),
            ("assay.id", "%61ssay.id"),
            ("\u{2028}", "%E2%80%A8"),
        ] {
            assert_eq!(encode(name).as_deref(), Some(predicate));
            assert_eq!(decode(predicate).as_deref(), Some(name));
        }
        assert_eq!(encode(""), None);
        assert_eq!(encode(&"x".repeat(1_001)), None);
        assert_eq!(decode("%4"), None);
    }
}
