//! The predicates of edges: an edge's name, with the characters that a predicate cannot hold percent-encoded. Pure.

/// Names that DQL reads as functions where a predicate is expected.
const RESERVED: [&str; 10] = ["avg", "checkpwd", "count", "expand", "math", "max", "min", "sum", "uid", "val"];
/// An edge whose predicate would be longer is rejected.
const MAX_PREDICATE_BYTES: usize = 1_000;

/// The predicate of an edge's name; none if the name is empty or too long. It is never one of the adapter's own
/// predicates in the namespace.
pub(super) fn encode(name: &str, namespace: &str) -> Option<String> {
    let is_reserved = is_reserved(name, namespace);
    let mut predicate = String::with_capacity(name.len());
    for (at, char) in name.char_indices() {
        let is_plain = char.is_alphanumeric() || matches!(char, '_' | '.' | '-');
        if is_plain && !(is_reserved && at == 0) {
            predicate.push(char);
            continue;
        }
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            predicate.push_str(&format!("%{byte:02X}"));
        }
    }
    (!predicate.is_empty() && predicate.len() <= MAX_PREDICATE_BYTES).then_some(predicate)
}

/// The name of the edge whose predicate [`encode`] made; none if it made no such predicate.
pub(super) fn decode(predicate: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(predicate.len());
    let mut rest = predicate.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Returns whether a name belongs to Dgraph, DQL or this adapter's records. [`encode`] escapes the first character of
/// such a name.
fn is_reserved(name: &str, namespace: &str) -> bool {
    let in_namespace = name.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('.'));
    let name = name.to_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("dgraph.") || in_namespace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_through_predicates() {
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
