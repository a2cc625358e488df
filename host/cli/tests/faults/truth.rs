//! What the members have made of the events: each event at its place, and what was said of it, from the archive.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ask::{for_each, listing};
use crate::changes::Change;
use crate::load::{Load, PARTITIONS};
use crate::members::Members;

/// Partition and offset.
pub(crate) type Place = (u32, u64);

pub(crate) struct Truth {
    /// All events of the log.
    pub(crate) events: BTreeMap<Place, Value>,
    /// What was said of each, if anything was.
    pub(crate) outcomes: BTreeMap<Place, Value>,
}

impl Truth {
    /// Reads everything, card by card, and sees that no acked event is missing and no place is empty or taken twice.
    pub(crate) fn read(members: &Members, load: &Load) -> Self {
        let (up, cards) = (members.up(), load.cards());
        let items = for_each(&cards, |index, card| {
            let server = &up[index % up.len()];
            let list = |what: &str| listing(server, &format!("/v1/entities/payments/{card}/{what}?limit=1000"));
            (list("events"), list("verdicts"))
        });
        let mut truth = Self { events: BTreeMap::new(), outcomes: BTreeMap::new() };
        for (events, outcomes) in items {
            for item in events {
                let before = truth.events.insert(place(&item), item["event"].clone());
                assert!(before.is_none(), "an event is archived twice: {item}");
            }
            for item in outcomes {
                let rules: Vec<&Value> = verdicts(&item).iter().map(|verdict| &verdict["rule"]).collect();
                assert!(rules.iter().enumerate().all(|(index, rule)| !rules[..index].contains(rule)), "twice: {item}");
                let before = truth.outcomes.insert(place(&item), item);
                assert!(before.is_none(), "an outcome is archived twice: {before:?}");
            }
        }
        truth.check(load);
        truth
    }

    fn check(&self, load: &Load) {
        for partition in 0..PARTITIONS {
            let offsets = self.of(partition).map(|((_, offset), _)| *offset);
            assert!(
                (0..).zip(offsets).all(|(expected, offset)| expected == offset),
                "partition {partition} has a hole"
            );
        }
        let ids: BTreeSet<&str> = self.ids().collect();
        let lost: Vec<String> = load.acked().into_iter().filter(|id| !ids.contains(id.as_str())).collect();
        assert!(lost.is_empty(), "{} acked events are lost: {:?} ...", lost.len(), &lost[..lost.len().min(5)]);
        let silent: Vec<&Place> = self.events.keys().filter(|place| !self.outcomes.contains_key(place)).collect();
        assert!(silent.is_empty(), "{} events were not judged: {:?} ...", silent.len(), &silent[..silent.len().min(5)]);
    }

    /// The events of a partition by offset.
    pub(crate) fn of(&self, partition: u32) -> impl Iterator<Item = (&Place, &Value)> {
        self.events.range((partition, 0)..=(partition, u64::MAX))
    }

    /// How many events are in the log again.
    pub(crate) fn sent_again(&self) -> usize {
        self.events.len() - self.ids().collect::<BTreeSet<_>>().len()
    }

    /// The offset of the first event of a partition that was judged after a change. There is no way back behind it.
    pub(crate) fn goes_over(&self, partition: u32, change: &Change) -> u64 {
        let said = self.of(partition).filter_map(|(place, _)| {
            let made = verdicts(&self.outcomes[place]).iter().filter_map(|verdict| change.is_made(verdict)).next();
            Some((place.1, made?))
        });
        let (mut from, mut end) = (None, 0);
        for (offset, made) in said {
            assert!(made || from.is_none(), "partition {partition} went back behind a change at {offset}");
            if made {
                from = from.or(Some(offset));
            }
            end = offset + 1;
        }
        from.unwrap_or(end)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.events.values().map(|event| event["id"].as_str().unwrap())
    }
}

/// The verdicts of an outcome.
pub(crate) fn verdicts(outcome: &Value) -> &[Value] {
    outcome["verdicts"].as_array().map_or(&[], Vec::as_slice)
}

fn place(item: &Value) -> Place {
    let number = |name: &str| item["place"][name].as_u64().unwrap();
    (number("partition") as u32, number("offset"))
}
