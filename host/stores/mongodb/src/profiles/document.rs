//! The format of a profile's document, and the statement that merges newer verdicts into it.

use ::mongodb::bson::{Bson, DateTime, Document, doc};
use assay_core::names::{Digest, Offset};
use assay_engine::ports::profiles::{LatestVerdict, Profile};
use assay_engine::ports::{PartitionId, StoreError};

use super::super::error::broken;
use super::super::fields::{Fields, int};
use super::super::statements::Upsert;

/// The `_id` holds keys up to this length as they are, and the digest of longer ones.
const MAX_KEY_BYTES: usize = 512;
/// The text before the digest in an `_id`.
const DIGEST_SEPARATOR: &str = "/sha256:";

/// A profile and its version.
pub(super) struct StoredProfile {
    pub(super) profile: Profile,
    /// The number of writes of the document. A write expects the number that it has read (optimistic concurrency).
    writes: u64,
}

/// The `_id` of an entity's document.
pub(super) fn id(partition: &PartitionId, key: &str) -> String {
    // A key that looks like a digest is stored by its own digest, so that no two entities share a document.
    if key.len() > MAX_KEY_BYTES || key.starts_with(DIGEST_SEPARATOR) {
        format!("{partition}/{DIGEST_SEPARATOR}{}", Digest::of(key.as_bytes()).hex())
    } else {
        format!("{partition}/{key}")
    }
}

/// The path of a rule's verdict in the document.
///
/// # Errors
/// The rule's name cannot be the name of a field.
pub(super) fn rule_path(rule: &str) -> Result<String, StoreError> {
    if rule.is_empty() || rule.starts_with('$') || rule.contains(['.', '\0']) {
        return Err(broken(format!("'{rule}' cannot be the name of a field, so the rule has no place in a profile")));
    }
    Ok(format!("rules.{rule}"))
}

/// The statement that writes the verdicts that are newer than the stored ones; none if there are none. It fails as a
/// duplicate if another process has written the document since `stored` was read.
pub(super) fn merge(
    partition: &PartitionId,
    id: &str,
    stored: Option<&StoredProfile>,
    newer: &Profile,
) -> Result<Option<Upsert>, StoreError> {
    let mut set = Document::new();
    for (rule, verdict) in &newer.rules {
        let is_newer =
            |stored: &StoredProfile| stored.profile.rules.get(rule).is_none_or(|have| verdict.is_newer_than(have));
        if stored.is_none_or(is_newer) {
            set.insert(rule_path(rule)?, write_latest(verdict)?);
        }
    }
    if set.is_empty() && (stored.is_some() || !newer.rules.is_empty()) {
        return Ok(None);
    }
    let writes = stored.map_or(0, |stored| stored.writes);
    let unchanged = match stored {
        Some(_) => doc! { "_id": id, "writes": int("the count of writes", writes)? },
        None => doc! { "_id": id, "writes": { "$exists": false } },
    };
    set.insert("writes", int("the count of writes", writes + 1)?);
    let update = doc! {
        "$set": set,
        "$setOnInsert": { "stream": &*partition.stream, "partition": i64::from(partition.partition.0), "key": &newer.key },
    };
    Upsert::new(unchanged, update).map(Some)
}

fn write_latest(verdict: &LatestVerdict) -> Result<Document, StoreError> {
    let mut latest = Document::new();
    // A NaN is stored as no score: it has no place in the order of scores.
    if let Some(score) = verdict.score.filter(|score| !score.is_nan()) {
        latest.insert("score", score);
    }
    latest.extend(doc! {
        "tags": &verdict.tags,
        "offset": int("the offset", verdict.offset.0)?,
        "time": DateTime::from_millis(verdict.time),
        "event": &verdict.event,
        "revision": i64::from(verdict.revision),
    });
    if let Some(digest) = &verdict.plugin {
        latest.insert("plugin", digest.to_string());
    }
    Ok(latest)
}

/// Reads a document, or a projection of it.
pub(super) fn read(document: &Document) -> Result<StoredProfile, StoreError> {
    let what = format!("the profile '{}'", document.get_str("_id").unwrap_or_default());
    let fields = Fields::new(&what, document);
    let mut profile = Profile { key: fields.text("key")?.to_owned(), ..Profile::default() };
    // An entity without verdicts has no rules.
    let empty = Document::new();
    let rules = if fields.get("rules").is_some() { fields.document("rules")? } else { &empty };
    for (rule, latest) in rules {
        let latest =
            latest.as_document().ok_or_else(|| fields.wrong_type("rules", "documents by the names of rules"))?;
        let latest = read_latest(&Fields::new(&format_args!("{what}, the rule '{rule}'"), latest))?;
        profile.rules.insert(rule.clone(), latest);
    }
    let writes = if fields.get("writes").is_some() { fields.number("writes")? } else { 0 };
    Ok(StoredProfile { profile, writes })
}

fn read_latest(fields: &Fields<'_>) -> Result<LatestVerdict, StoreError> {
    let tag = |tag: &Bson| tag.as_str().map(str::to_owned).ok_or_else(|| fields.wrong_type("tags", "a list of texts"));
    let digest = |name: &Bson| {
        let digest = name.as_str().and_then(|name| name.parse().ok());
        digest.ok_or_else(|| fields.wrong_type("plugin", "a digest, as sha256: and 64 hex digits"))
    };
    let score = |score: &Bson| score.as_f64().ok_or_else(|| fields.wrong_type("score", "a number"));
    Ok(LatestVerdict {
        score: fields.get("score").map(score).transpose()?,
        tags: fields.list("tags")?.iter().map(tag).collect::<Result<_, StoreError>>()?,
        offset: Offset(fields.number("offset")?),
        time: fields.date("time")?,
        event: fields.text("event")?.to_owned(),
        revision: fields.small_number("revision")?,
        plugin: fields.get("plugin").map(digest).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::PartitionIndex;

    use super::*;

    #[test]
    fn entities_do_not_share_a_document() {
        let partition = PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(3) };
        let long = "x".repeat(70_000);
        assert_eq!(id(&partition, "card/1"), "payments/3/card/1");
        assert!(id(&partition, &long).len() < 100);
        let digest_of_long = id(&partition, &long).strip_prefix("payments/3/").map(str::to_owned).unwrap_or_default();
        assert_ne!(id(&partition, &digest_of_long), id(&partition, &long));
    }

    #[test]
    fn rule_names_that_are_no_field_names_are_refused() {
        assert_eq!(rule_path("card-velocity_2").ok().as_deref(), Some("rules.card-velocity_2"));
        for name in ["", "a.b", "$set", "a\0"] {
            assert!(rule_path(name).is_err(), "{name:?}");
        }
    }
}
