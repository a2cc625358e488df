//! Lists the highest scores of a rule. Each rule has an index of its own, on `rules.<rule>.score`.
//!
//! A single index for all rules would be a multikey index on a list of scores, and MongoDB cannot sort by that. The
//! indexes are partial: they hold only documents with a score of their rule.

use ::mongodb::bson::{Document, doc};
use ::mongodb::options::IndexOptions;
use assay_engine::ports::profiles::{HighestQuery, Ranked};
use assay_engine::ports::{Page, StoreError};

use super::super::cursor::{self, Listing};
use super::super::database::Database;
use super::super::error::broken;
use super::PROFILES;
use super::document;

/// A position in the listing: the last listed entity.
pub(super) struct ListPosition {
    score: f64,
    key: String,
}

/// Creates the index of a rule unless it exists.
pub(super) fn make_index(database: &Database, rule: &str) -> Result<(), StoreError> {
    let score = format!("{}.score", document::rule_path(rule)?);
    let has_score = doc! { &score: { "$exists": true } };
    let options = IndexOptions::builder().name(format!("highest_{rule}")).partial_filter_expression(has_score).build();
    database.make_index(PROFILES, doc! { "stream": 1, score: -1, "key": 1 }, options)
}

/// Lists the entities of a stream by falling score of a rule, entities with equal scores by key.
pub(super) fn list_highest(
    database: &Database,
    query: &HighestQuery,
    limit: usize,
    after: Option<&ListPosition>,
) -> Result<Page<Ranked>, StoreError> {
    let HighestQuery { stream, rule, since, min, .. } = query;
    let latest = document::rule_path(rule)?;
    let score = format!("{latest}.score");
    let mut conditions = vec![doc! { "stream": stream }, doc! { &score: { "$exists": true, "$type": "number" } }];
    if *since > 0 {
        let revision = format!("{latest}.revision");
        conditions.push(doc! { &revision: { "$gte": i64::from(*since) } });
    }
    conditions.extend(min.map(|min| doc! { &score: { "$gte": min } }));
    conditions.extend(after.map(|last| {
        let (is_lower, is_later) = (doc! { &score: { "$lt": last.score } }, doc! { "key": { "$gt": &last.key } });
        doc! { "$or": [is_lower, { &score: last.score, "$and": [is_later] }] }
    }));
    let collection = database.collection(PROFILES);
    // One more entity than the page holds tells whether there is another page.
    let page = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let find = collection.find(doc! { "$and": conditions }).sort(doc! { score: -1, "key": 1 });
    let find = find.projection(doc! { "key": 1, latest: 1 }).limit(page);
    let found = database.find(format_args!("listing the highest scores of '{rule}' in '{stream}'"), find)?;
    let has_more = found.len() > limit;
    let ranked = found.iter().take(limit).map(|document| read_ranked(document, rule));
    let items = ranked.collect::<Result<Vec<Ranked>, StoreError>>()?;
    let last = items.last().filter(|_| has_more);
    let cursor = last.map(|last| {
        let position = doc! { "score": last.latest.score, "key": &last.key };
        cursor::write(Listing::Highest, &position).ok_or_else(|| broken("a cursor has no BSON form".to_owned()))
    });
    Ok(Page { cursor: cursor.transpose()?, items })
}

fn read_ranked(document: &Document, rule: &str) -> Result<Ranked, StoreError> {
    let mut profile = document::read(document)?.profile;
    let latest = profile.rules.remove(rule);
    let latest = latest.ok_or_else(|| broken(format!("the profile of '{}' came without its score", profile.key)))?;
    Ok(Ranked { key: profile.key, latest })
}

/// Reads a cursor of this listing.
pub(super) fn read_cursor(text: &str) -> Result<ListPosition, StoreError> {
    let position = cursor::read(Listing::Highest, text)?;
    match (position.get_f64("score"), position.get_str("key")) {
        (Ok(score), Ok(key)) => Ok(ListPosition { score, key: key.to_owned() }),
        _ => Err(StoreError::BadCursor),
    }
}
