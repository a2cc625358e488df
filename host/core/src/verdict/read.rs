//! Decodes blocks of verdicts strictly: garbage is an error and never a panic.

use std::sync::Arc;

use super::format::{PreviousEvent, VERSION, VERSION_WITHOUT_FROM, kinds, parts};
use super::{Edge, Facets, Failure, Outcome, Reason, RuleStamp, Verdict, VerdictBlock, flags};
use crate::names::Offset;
use crate::value::Value;
use crate::wire::{Corrupt, Reader};

/// The beginning of a block's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// See [`super::flags`].
    pub flags: u8,
    /// The version of the catalog whose rules scored the events; 0 if the block does not say.
    pub catalog: u64,
    /// The first event that the block scores; none: the block does not say, and scores all events from where the block
    /// before it in the log ends.
    pub from: Option<Offset>,
    /// The event after the last one that the block scores.
    pub next: Offset,
}

/// A failure that no outcome shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenFailure {
    /// The event.
    pub offset: Offset,
    /// The rule's name.
    pub rule: String,
    /// The code of the failure.
    pub code: String,
}

/// Reads the beginning of a block's head.
///
/// # Errors
/// The bytes are no block.
pub fn read_block_summary(bytes: &[u8]) -> Result<BlockSummary, Corrupt> {
    read_summary(&mut Reader::new(bytes))
}

/// Reads the failures of a block that no outcome shows.
///
/// # Errors
/// The bytes are no block, or its head is damaged.
pub fn read_hidden_failures(bytes: &[u8]) -> Result<Vec<HiddenFailure>, Corrupt> {
    let mut hidden = Vec::new();
    let mut reader = Reader::new(bytes);
    let summary = read_summary(&mut reader)?;
    let rules = read_stamps(&mut reader)?;
    walk_hidden_failures(&mut reader, summary, |rule, offset, code| {
        let rule = rule.and_then(|rule| rules.get(rule)).ok_or("the index of a rule")?.rule.clone();
        let code = std::str::from_utf8(code).map_err(|_| "the code of a failure")?.to_owned();
        hidden.push(HiddenFailure { offset, rule, code });
        Ok(())
    })?;
    Ok(hidden)
}

/// Reads a whole head.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<(BlockSummary, Vec<Arc<RuleStamp>>), Corrupt> {
    let summary = read_summary(reader)?;
    let rules = read_stamps(reader)?;
    walk_hidden_failures(reader, summary, |_, _, _| Ok(()))?;
    Ok((summary, rules))
}

fn read_summary(reader: &mut Reader<'_>) -> Result<BlockSummary, Corrupt> {
    let version = reader.byte()?;
    if ![VERSION, VERSION_WITHOUT_FROM].contains(&version) {
        return Err(reader.corrupt("a version of verdict blocks that this binary reads"));
    }
    let (flags, catalog, next) = (reader.byte()?, reader.varint()?, reader.varint()?);
    let from = match version {
        VERSION => Some(Offset(next.saturating_sub(reader.varint()?))),
        _ => None,
    };
    Ok(BlockSummary { flags, catalog, from, next: Offset(next) })
}

/// Calls `on_failure` with the rule's index, the offset and the code of each hidden failure.
fn walk_hidden_failures(
    reader: &mut Reader<'_>,
    summary: BlockSummary,
    mut on_failure: impl FnMut(Option<usize>, Offset, &[u8]) -> Result<(), &'static str>,
) -> Result<(), Corrupt> {
    if summary.from.is_none() || summary.flags & flags::HIDDEN_FAILURES == 0 {
        return Ok(());
    }
    let (mut rule_before, mut offset) = (0, 0_u64);
    loop {
        let rule = reader.varint()?;
        if rule == 0 {
            return Ok(());
        }
        if rule != rule_before {
            (rule_before, offset) = (rule, 0);
        }
        offset = offset.wrapping_add(reader.varint()?);
        let code = reader.bytes()?;
        let rule = usize::try_from(rule - 1).ok();
        on_failure(rule, Offset(offset), code).map_err(|expected| reader.corrupt(expected))?;
    }
}

/// Reads a whole block.
///
/// # Errors
/// The bytes are no block, or a damaged one.
pub fn read_block(bytes: &[u8]) -> Result<VerdictBlock, Corrupt> {
    let mut reader = Reader::new(bytes);
    let (BlockSummary { catalog, from, next, .. }, rules) = read_head(&mut reader)?;
    let mut outcomes = Vec::new();
    let mut before = PreviousEvent::default();
    while !reader.is_empty() {
        before = read_offset_and_time(&mut reader, &before)?;
        outcomes.push(read_outcome(&mut reader, &rules, &before)?);
    }
    Ok(VerdictBlock { catalog, from, next, rules, outcomes })
}

/// The outcome of the event at an offset; none if the block has none. Other events are skipped without being decoded.
///
/// # Errors
/// The bytes are no block, or damaged before the event.
pub fn find_outcome(bytes: &[u8], offset: Offset) -> Result<Option<Outcome>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let (_, rules) = read_head(&mut reader)?;
    let mut before = PreviousEvent::default();
    while !reader.is_empty() {
        before = read_offset_and_time(&mut reader, &before)?;
        if before.offset == offset.0 {
            return read_outcome(&mut reader, &rules, &before).map(Some);
        }
        if before.offset > offset.0 {
            break;
        }
        skip_outcome(&mut reader, &rules)?;
    }
    Ok(None)
}

fn read_stamps(reader: &mut Reader<'_>) -> Result<Vec<Arc<RuleStamp>>, Corrupt> {
    let rules: Vec<RuleStamp> =
        serde_json::from_slice(reader.bytes()?).map_err(|_| reader.corrupt("the rules of a verdict block"))?;
    Ok(rules.into_iter().map(Arc::new).collect())
}

/// Reads the offset and time of the next event, which are written as differences to those of the event before.
pub(super) fn read_offset_and_time(reader: &mut Reader<'_>, before: &PreviousEvent) -> Result<PreviousEvent, Corrupt> {
    let offset = before.offset.wrapping_add(reader.varint()?);
    Ok(PreviousEvent { offset, time: before.time.wrapping_add(reader.signed()?) })
}

pub(super) fn read_outcome(
    reader: &mut Reader<'_>,
    rules: &[Arc<RuleStamp>],
    place: &PreviousEvent,
) -> Result<Outcome, Corrupt> {
    let key = reader.text()?.to_owned();
    let id = reader.text()?.to_owned();
    let (offset, time) = (Offset(place.offset), place.time);
    let mut outcome = Outcome { offset, time, key, id, verdicts: Vec::new(), failures: Vec::new() };
    read_rules(reader, rules, &mut outcome)?;
    Ok(outcome)
}

pub(super) fn skip_outcome(reader: &mut Reader<'_>, rules: &[Arc<RuleStamp>]) -> Result<(), Corrupt> {
    skip_byte_strings(reader, 2)?;
    loop {
        let rule = reader.varint()?;
        if rule == 0 {
            return Ok(());
        }
        if rule == u64::from(u32::MAX) {
            skip_byte_strings(reader, 2)?;
            continue;
        }
        let by = rule_at(reader, rules, rule)?;
        let present = reader.byte()?;
        let has = |part: u8| present & part != 0;
        skip_byte_strings(reader, if has(parts::FAILURE) { 2 } else { 0 })?;
        reader.take(if has(parts::SCORE) { 8 } else { 0 })?;
        let mut edges = 0;
        for (part, floats, texts) in
            [(parts::TAGS, 0, 0), (parts::REASONS, 1, 0), (parts::EDGES, 0, 2), (parts::ATTRIBUTES, 0, 1)]
        {
            while has(part) && reader.varint()? != 0 {
                reader.take(8 * floats)?;
                skip_byte_strings(reader, texts)?;
                edges += usize::from(part == parts::EDGES);
            }
        }
        for _ in by.inputs.iter().filter(|_| has(parts::INPUTS)) {
            match reader.byte()? {
                kinds::DOUBLE => drop(reader.take(8)?),
                kinds::INT | kinds::TIMESTAMP => drop(reader.varint()?),
                kinds::TEXT => skip_byte_strings(reader, 1)?,
                _ => {}
            }
        }
        skip_byte_strings(reader, if has(parts::FACETS) { edges } else { 0 })?;
    }
}

fn skip_byte_strings(reader: &mut Reader<'_>, count: usize) -> Result<(), Corrupt> {
    for _ in 0..count {
        reader.bytes()?;
    }
    Ok(())
}

fn rule_at<'r>(reader: &Reader<'_>, rules: &'r [Arc<RuleStamp>], rule: u64) -> Result<&'r Arc<RuleStamp>, Corrupt> {
    let by = usize::try_from(rule - 1).ok().and_then(|rule| rules.get(rule));
    by.ok_or_else(|| reader.corrupt("the index of a rule"))
}

fn read_rules(reader: &mut Reader<'_>, rules: &[Arc<RuleStamp>], outcome: &mut Outcome) -> Result<(), Corrupt> {
    loop {
        let rule = reader.varint()?;
        if rule == 0 {
            return Ok(());
        }
        if rule == u64::from(u32::MAX) {
            outcome.time = 0;
            outcome.failures.push(read_failure(reader, None)?);
            continue;
        }
        let by = rule_at(reader, rules, rule)?;
        let present = reader.byte()?;
        if present & parts::FAILURE != 0 {
            let failure = read_failure(reader, Some(by.clone()))?;
            outcome.failures.push(failure);
        }
        let verdict = read_verdict(reader, by, present)?;
        if present & parts::FAILURE == 0 {
            outcome.verdicts.push(verdict);
        }
    }
}

fn read_failure(reader: &mut Reader<'_>, by: Option<Arc<RuleStamp>>) -> Result<Failure, Corrupt> {
    let code = reader.text()?.to_owned();
    let message = reader.text()?.to_owned();
    Ok(Failure { by, code, message })
}

fn read_verdict(reader: &mut Reader<'_>, by: &Arc<RuleStamp>, present: u8) -> Result<Verdict, Corrupt> {
    let has = |part: u8| present & part != 0;
    let score = if has(parts::SCORE) { Some(reader.f64()?) } else { None };
    let mut verdict = Verdict {
        by: by.clone(),
        score,
        tags: Vec::new(),
        reasons: Vec::new(),
        edges: Vec::new(),
        attributes: Vec::new(),
        inputs: Vec::new(),
    };
    if has(parts::TAGS) {
        while let Some(tag) = next_name(reader, &by.tags)? {
            verdict.tags.push(tag);
        }
    }
    if has(parts::REASONS) {
        while let Some(code) = next_name(reader, &by.reasons)? {
            verdict.reasons.push(Reason { code, weight: reader.f64()? });
        }
    }
    if has(parts::EDGES) {
        while let Some(name) = next_name(reader, &by.edges)? {
            let source = reader.text()?.to_owned();
            let target = reader.text()?.to_owned();
            verdict.edges.push(Edge { name, source, target, facets: Facets::new() });
        }
    }
    if has(parts::ATTRIBUTES) {
        while let Some(name) = next_name(reader, &by.attributes)? {
            verdict.attributes.push((name, reader.text()?.to_owned()));
        }
    }
    if has(parts::INPUTS) {
        for name in &by.inputs {
            verdict.inputs.push((name.clone(), read_value(reader)?));
        }
    }
    if has(parts::FACETS) {
        for edge in &mut verdict.edges {
            let facets = reader.bytes()?;
            if !facets.is_empty() {
                edge.facets = serde_json::from_slice(facets).map_err(|_| reader.corrupt("the facets of an edge"))?;
            }
        }
    }
    Ok(verdict)
}

fn next_name(reader: &mut Reader<'_>, names: &[String]) -> Result<Option<String>, Corrupt> {
    let name = reader.varint()?;
    if name == 0 {
        return Ok(None);
    }
    let name = usize::try_from(name - 1).ok().and_then(|name| names.get(name));
    name.map(|name| Some(name.clone())).ok_or_else(|| reader.corrupt("the index of a name"))
}

fn read_value(reader: &mut Reader<'_>) -> Result<Value, Corrupt> {
    Ok(match reader.byte()? {
        kinds::NULL => Value::Null,
        kinds::DOUBLE => Value::Double(reader.f64()?),
        kinds::INT => Value::Int(reader.signed()?),
        kinds::FALSE => Value::Bool(false),
        kinds::TRUE => Value::Bool(true),
        kinds::TEXT => Value::Text(reader.text()?.to_owned()),
        kinds::TIMESTAMP => Value::Timestamp(reader.signed()?),
        _ => return Err(reader.corrupt("the kind of a value")),
    })
}
