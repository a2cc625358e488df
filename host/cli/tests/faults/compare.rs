//! Everything that the members say is compared with what the undisturbed server says: by exact equality.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ask::{escaped, for_each, listing};
use crate::changes::RULES;
use crate::load::Load;
use crate::members::Members;
use crate::support::Server;
use crate::truth::{Truth, verdicts};

/// Compares everything. Every member is asked for its share: all must know all.
pub(crate) fn all(members: &Members, undisturbed: &Server, load: &Load, truth: &Truth) {
    let up = members.up();
    let cards = load.cards();
    for_each(&cards, |index, card| {
        entity(&up[index % up.len()], undisturbed, card);
    });
    for_each(&nodes(truth), |index, node| {
        let path = format!("/v1/graph/{}?limit=1000", escaped(node));
        same(&listing(&up[index % up.len()], &path), &listing(undisturbed, &path), &format!("edges of {node}"));
    });
    for rule in RULES {
        let path = format!("/v1/scores?rule={rule}&limit=1000");
        let expected = listing(undisturbed, &path);
        assert!(!expected.is_empty(), "the rule {rule} gives no scores");
        same(&listing(&up[0], &path), &expected, &format!("ranking by {rule}"));
    }
    let letters = listing(undisturbed, "/v1/dead-letters?limit=1000");
    assert!(letters.iter().any(|letter| letter["rule"] == "touchy"), "no event has failed");
    same(&listing(&up[0], "/v1/dead-letters?limit=1000"), &letters, "dead letters");
    exercised(truth);
}

/// Compares verdicts, profile and values of views of a card.
fn entity(member: &Server, undisturbed: &Server, card: &str) {
    let path = format!("/v1/entities/payments/{card}");
    let list = |server: &Server| listing(server, &format!("{path}/verdicts?limit=1000"));
    same(&list(member), &list(undisturbed), &format!("verdicts on {card}"));
    let (profile, expected) = (member.read(&path), undisturbed.read(&path));
    assert_eq!(profile["views"].as_object().map(serde_json::Map::len), Some(2), "views of {card}");
    assert_eq!(profile, expected, "profile of {card}");
}

#[track_caller]
fn same(items: &[Value], expected: &[Value], what: &str) {
    for (item, expected) in items.iter().zip(expected) {
        assert_eq!(item, expected, "{what}");
    }
    assert_eq!(items.len(), expected.len(), "{what}: not as many");
}

/// All nodes that verdicts connect.
fn nodes(truth: &Truth) -> Vec<String> {
    let verdicts = truth.outcomes.values().flat_map(verdicts);
    let edges = verdicts.flat_map(|verdict| verdict["edges"].as_array().into_iter().flatten());
    let ends = edges.flat_map(|edge| [&edge["source"], &edge["target"]]);
    let nodes: BTreeSet<String> = ends.map(|end| end.as_str().unwrap().to_owned()).collect();
    assert!(!nodes.is_empty(), "no verdict connects anything");
    nodes.into_iter().collect()
}

/// The load must have met all that there is to meet.
fn exercised(truth: &Truth) {
    let verdicts: Vec<&Value> = truth.outcomes.values().flat_map(verdicts).collect();
    let tags: BTreeSet<&str> = verdicts
        .iter()
        .flat_map(|verdict| verdict["tags"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    for tag in ["impossible-travel", "high-velocity", "review", "block", "odd"] {
        assert!(tags.contains(tag), "no event has the tag {tag}: the events exercise too little");
    }
    for (rule, revision) in [("payment_risk", 1), ("payment_risk", 2)] {
        assert!(verdicts.iter().any(|verdict| verdict["rule"] == rule && verdict["revision"] == revision));
    }
    for version in ["1.0.0", "1.1.0"] {
        assert!(verdicts.iter().any(|verdict| verdict["rule"] == "ties" && verdict["plugin"]["version"] == version));
    }
}
