//! Answers that lack something. Under load Dgraph may find a node by an index, and answer without the values that were
//! written together with what the index holds; asked again, it has them.

use serde::Deserialize;

use super::server::Failure;

/// What was found by an index, whole or not.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Torn<T> {
    Whole(T),
    Part {},
}

/// All that was found; if something is not whole, the transaction has to begin again.
pub(super) fn whole<T>(found: Vec<Torn<T>>) -> Result<Vec<T>, Failure> {
    let whole = found.into_iter().map(|found| match found {
        Torn::Whole(found) => Some(found),
        Torn::Part {} => None,
    });
    whole.collect::<Option<_>>().ok_or_else(|| Failure::Aborted("what an index finds lacks its values".to_owned()))
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
    fn what_lacks_a_value_makes_a_transaction_begin_again() {
        let found = |json: &str| whole(serde_json::from_str::<Vec<Torn<Node>>>(json).unwrap());
        let nodes = found(r#"[{"uid": "0x1", "id": "a"}, {"uid": "0x2", "id": "b"}]"#);
        assert!(nodes.is_ok_and(|nodes| nodes.len() == 2 && nodes[1].uid == "0x2" && nodes[1].id == "b"));
        let torn = found(r#"[{"uid": "0x1", "id": "a"}, {"uid": "0x2"}]"#);
        assert!(matches!(torn, Err(Failure::Aborted(_))));
        assert!(found("[]").is_ok_and(|nodes| nodes.is_empty()));
    }
}
