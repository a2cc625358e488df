//! Incomplete answers. Under load Dgraph may find a node by an index and answer without the values that were committed
//! together with the index entry. A later attempt gets them.

use serde::Deserialize;

use super::server::Failure;

/// A node that an index found, with all its values or not.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum IndexRead<T> {
    Complete(T),
    Incomplete {},
}

/// All found nodes.
///
/// # Errors
/// [`Failure::Aborted`] if a node lacks a value: the caller begins its transaction again.
pub(super) fn require_complete<T>(found: Vec<IndexRead<T>>) -> Result<Vec<T>, Failure> {
    let complete = found.into_iter().map(|found| match found {
        IndexRead::Complete(found) => Some(found),
        IndexRead::Incomplete {} => None,
    });
    complete.collect::<Option<_>>().ok_or_else(|| Failure::Aborted("what an index finds lacks its values".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Node {
        uid: String,
        id: String,
    }

    #[test]
    fn an_incomplete_node_aborts_the_transaction() {
        let found = |json: &str| require_complete(serde_json::from_str::<Vec<IndexRead<Node>>>(json).unwrap());
        let nodes = found(r#"[{"uid": "0x1", "id": "a"}, {"uid": "0x2", "id": "b"}]"#);
        assert!(nodes.is_ok_and(|nodes| nodes.len() == 2 && nodes[1].uid == "0x2" && nodes[1].id == "b"));
        let incomplete = found(r#"[{"uid": "0x1", "id": "a"}, {"uid": "0x2"}]"#);
        assert!(matches!(incomplete, Err(Failure::Aborted(_))));
        assert!(found("[]").is_ok_and(|nodes| nodes.is_empty()));
    }
}
