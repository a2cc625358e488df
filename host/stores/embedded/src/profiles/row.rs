//! The format of a profile's row. It is compact, and the score of one rule is found without decoding the rest.
//!
//! Layout: the entity if it is too long for the row's key, else an empty text; then per rule its name, the length of its
//! latest verdict, and the verdict.

use assay_core::names::{Digest, Offset};
use assay_core::wire::{Corrupt, Reader, put_bytes, put_f64, put_signed, put_varint};
use assay_engine::ports::profiles::{LatestVerdict, Profile};

const HAS_SCORE: u8 = 1;
const HAS_PLUGIN: u8 = 2;

/// Merges newer verdicts into a row, or makes a new one, as [`Profile::merge`] does. Verdicts that are not replaced are
/// copied without decoding; decoding all of them took twice as long.
pub(super) fn merge(have: Option<&[u8]>, newer: &Profile, is_key_in_row: bool) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::with_capacity(have.map_or(0, <[u8]>::len) + 128 * newer.rules.len());
    put_bytes(&mut out, if is_key_in_row { b"" } else { newer.key.as_bytes() });
    let mut body = Vec::with_capacity(128);
    let mut newer = newer.rules.iter().peekable();
    if let Some(have) = have {
        let mut reader = Reader::new(have);
        reader.bytes()?;
        while !reader.is_empty() {
            // Both are in the order of the rules' names.
            let (rule, latest) = (reader.text()?, reader.bytes()?);
            while let Some((name, verdict)) = newer.next_if(|(name, _)| name.as_str() < rule) {
                put_rule(&mut out, name, encode_latest(verdict, &mut body));
            }
            match newer.next_if(|(name, _)| name.as_str() == rule) {
                Some((_, verdict)) if verdict.age() > read_age(latest)? => {
                    put_rule(&mut out, rule, encode_latest(verdict, &mut body));
                }
                _ => put_rule(&mut out, rule, latest),
            }
        }
    }
    for (name, verdict) in newer {
        put_rule(&mut out, name, encode_latest(verdict, &mut body));
    }
    Ok(out)
}

fn put_rule(out: &mut Vec<u8>, rule: &str, latest: &[u8]) {
    put_bytes(out, rule.as_bytes());
    put_bytes(out, latest);
}

/// Reads the age of a verdict (see [`LatestVerdict::age`]) without decoding the rest.
fn read_age(latest: &[u8]) -> Result<(u32, Offset), Corrupt> {
    let mut reader = Reader::new(latest);
    let has = reader.byte()?;
    let score = if has & HAS_SCORE == 0 { 0 } else { 8 };
    let plugin = if has & HAS_PLUGIN == 0 { 0 } else { 32 };
    reader.take(score + plugin)?;
    let offset = Offset(reader.varint()?);
    reader.signed()?;
    reader.bytes()?;
    Ok((reader.u32()?, offset))
}

/// Encodes a verdict into a buffer, which is cleared first.
fn encode_latest<'a>(latest: &LatestVerdict, out: &'a mut Vec<u8>) -> &'a [u8] {
    out.clear();
    let has_score = if latest.score.is_some() { HAS_SCORE } else { 0 };
    let has_plugin = if latest.plugin.is_some() { HAS_PLUGIN } else { 0 };
    out.push(has_score | has_plugin);
    if let Some(score) = latest.score {
        put_f64(out, score);
    }
    if let Some(plugin) = &latest.plugin {
        out.extend_from_slice(&plugin.0);
    }
    put_varint(out, latest.offset.0);
    put_signed(out, latest.time);
    put_bytes(out, latest.event.as_bytes());
    put_varint(out, u64::from(latest.revision));
    put_varint(out, latest.tags.len() as u64);
    for tag in &latest.tags {
        put_bytes(out, tag.as_bytes());
    }
    out
}

/// Decodes a profile. `key` is the entity if the row's key has it; else the row has it.
pub(super) fn decode(key: Option<&str>, row: &[u8]) -> Result<Profile, Corrupt> {
    let mut reader = Reader::new(row);
    let stored = reader.text()?;
    let mut profile = Profile { key: key.unwrap_or(stored).to_owned(), ..Profile::default() };
    while !reader.is_empty() {
        let rule = reader.text()?.to_owned();
        profile.rules.insert(rule, decode_latest(reader.bytes()?)?);
    }
    Ok(profile)
}

fn decode_latest(body: &[u8]) -> Result<LatestVerdict, Corrupt> {
    let mut reader = Reader::new(body);
    let has = reader.byte()?;
    let score = if has & HAS_SCORE != 0 { Some(reader.f64()?) } else { None };
    let mut plugin = None;
    if has & HAS_PLUGIN != 0 {
        let mut digest = [0; 32];
        digest.copy_from_slice(reader.take(32)?);
        plugin = Some(Digest(digest));
    }
    let offset = Offset(reader.varint()?);
    let time = reader.signed()?;
    let event = reader.text()?.to_owned();
    let revision = reader.u32()?;
    let count = reader.count()?;
    let tags = (0..count).map(|_| Ok(reader.text()?.to_owned())).collect::<Result<_, Corrupt>>()?;
    Ok(LatestVerdict { score, tags, offset, time, event, revision, plugin })
}

/// A rule's latest score, and its verdict still encoded.
pub(super) struct EncodedScore<'a> {
    pub(super) score: f64,
    body: &'a [u8],
}

impl EncodedScore<'_> {
    pub(super) fn decode_latest(&self) -> Result<LatestVerdict, Corrupt> {
        decode_latest(self.body)
    }
}

/// Finds a rule's latest score in a row, and the entity if the row has it. NaN counts as no score, and so does the score of
/// a revision before `since`.
pub(super) fn find_score<'a>(
    row: &'a [u8],
    rule: &str,
    since: u32,
) -> Result<Option<(&'a str, EncodedScore<'a>)>, Corrupt> {
    let mut reader = Reader::new(row);
    let key = reader.text()?;
    while !reader.is_empty() {
        let name = reader.bytes()?;
        let body = reader.bytes()?;
        if name == rule.as_bytes() {
            let mut reader = Reader::new(body);
            if reader.byte()? & HAS_SCORE == 0 {
                return Ok(None);
            }
            let score = reader.f64()?;
            let is_match = !score.is_nan() && (since == 0 || read_age(body)?.0 >= since);
            return Ok(is_match.then_some((key, EncodedScore { score, body })));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn latest()(
            score: Option<f64>, tags in prop::collection::vec("[a-z]{0,8}", 0..4), offset: u64, time: i64,
            event in ".{0,12}", revision: u32, plugin: Option<[u8; 32]>,
        ) -> LatestVerdict {
            let score = score.map(|score| if score.is_nan() { 0.5 } else { score });
            LatestVerdict { score, tags, offset: Offset(offset), time, event, revision, plugin: plugin.map(Digest) }
        }
    }

    proptest! {
        #[test]
        fn profiles_round_trip(
            key in ".{0,20}",
            rules in prop::collection::btree_map("[a-z]{1,6}", latest(), 0..5),
            is_key_in_row: bool,
        ) {
            let profile = Profile { key: key.clone(), rules };
            let row = merge(None, &profile, is_key_in_row).unwrap();
            let decoded = decode(is_key_in_row.then_some(&key[..]), &row).unwrap();
            prop_assert_eq!(&decoded, &profile);
            for (rule, latest) in &profile.rules {
                let found = find_score(&row, rule, 0).unwrap();
                prop_assert!(find_score(&row, rule, latest.revision).unwrap().is_some() == found.is_some());
                let later = latest.revision.saturating_add(1);
                prop_assert!(later == latest.revision || find_score(&row, rule, later).unwrap().is_none());
                prop_assert_eq!(found.as_ref().map(|found| found.1.score), latest.score);
                if let Some((_, scored)) = found {
                    prop_assert_eq!(&scored.decode_latest().unwrap(), latest);
                }
            }
            prop_assert!(find_score(&row, "NONE", 0).unwrap().is_none());
        }

        #[test]
        fn merged_rows_equal_merged_profiles(
            have in prop::collection::btree_map("[a-d]", latest(), 0..5),
            newer in prop::collection::btree_map("[a-d]", latest(), 0..5),
        ) {
            let mut have = Profile { key: "k".to_owned(), rules: have };
            let newer = Profile { key: "k".to_owned(), rules: newer };
            let row = merge(None, &have, false).unwrap();
            let merged = decode(None, &merge(Some(&row), &newer, false).unwrap()).unwrap();
            have.merge(newer.rules);
            prop_assert_eq!(merged, have);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(row: Vec<u8>) {
            let _ = decode(None, &row);
            let _ = find_score(&row, "a", 1);
            let _ = merge(Some(&row), &Profile::default(), true);
        }
    }
}
