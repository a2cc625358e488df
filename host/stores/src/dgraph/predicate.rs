//! The predicates of edges: their names, with what a predicate cannot hold percent-encoded. Pure.

/// What DQL takes for a function where a predicate stands, and what Dgraph has for itself.
const RESERVED: [&str; 10] = ["avg", "checkpwd", "count", "expand", "math", "max", "min", "sum", "uid", "val"];
/// The longest predicate, in bytes.
const LONGEST: usize = 1_000;

/// The predicate of an edge's name; none: the name is empty or too long. The namespace's own predicates are kept free.
pub(super) fn encode(name: &str, namespace: &str) -> Option<String> {
    let reserved = is_reserved(name, namespace);
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

/// Names that are Dgraph's or DQL's, or that belong to the records of this adapter. Their first character is encoded.
fn is_reserved(name: &str, namespace: &str) -> bool {
    let in_namespace = name.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('.'));
    let name = name.to_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("dgraph.") || in_namespace
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
            ("Count", "%43ount"),
            ("counted", "counted"),
            ("DGRAPH.type", "%44GRAPH.type"),
            ("assay.id", "%61ssay.id"),
            ("\u{2028}", "%E2%80%A8"),
        ] {
            assert_eq!(encode(name, "assay").as_deref(), Some(predicate));
            assert_eq!(decode(predicate).as_deref(), Some(name));
        }
        assert_eq!(encode("", "assay"), None);
        assert_eq!(encode(&"x".repeat(1_001), "assay"), None);
        assert_eq!(decode("%4"), None);
    }
}
