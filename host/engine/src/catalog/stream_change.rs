//! What a new definition of a stream may change: not what events in the log were written with, but for the schema,
//! where it can read them all.

use assay_core::schema::{AvroSchema, Resolver, RootName, Schema};
use assay_core::stream::{MAX_EARLIER, StreamDef};
use assay_core::types::Type;

use super::CatalogService;
use crate::ports::StoreError;
use crate::ports::catalog::Kind;
use crate::problem::{ChangeError, Problem};

impl CatalogService {
    /// Fills in what a stream's definition leaves to the server, and refuses what would break what the log holds. A
    /// stream's log outlives its definition: what was fixed once stays fixed, also after a deletion.
    pub(super) fn complete_stream(&self, mut def: StreamDef) -> Result<StreamDef, ChangeError> {
        let before = self.last_stream(&def.stream)?;
        let partitions = before.as_ref().and_then(|before| before.partitions);
        let wanted = match def.partitions.or(partitions) {
            Some(wanted) => wanted,
            None => self.shared.ports.log.partitions(&def)?.unwrap_or(self.shared.config.partitions),
        };
        def.partitions = Some(wanted);
        def.earlier = Vec::new();
        if let Some(before) = before {
            let mut problems = check_fixed(&def, &before);
            def.earlier.clone_from(&before.earlier);
            if def.schema != before.schema {
                def.earlier.push(before.schema.clone());
                let log = &self.shared.ports.log;
                let can_change = log.can_change_schema(&def).map_err(|why| format!("it cannot change here: {why}"));
                let check = can_change.and_then(|()| check_schema(&def, &before));
                problems.extend(check.err().map(|message| problem(&def, "schema", message)));
            }
            if !problems.is_empty() {
                return Err(ChangeError::Invalid(problems));
            }
        }
        Ok(def)
    }

    /// The last definition of a stream, if there ever was one.
    fn last_stream(&self, name: &str) -> Result<Option<StreamDef>, StoreError> {
        let revisions = self.shared.ports.catalog.revisions(Kind::Stream, name)?;
        let before = revisions.iter().find(|revision| revision.definition.is_some());
        Ok(before.and_then(|before| before.read().ok()).cloned())
    }
}

/// What never changes.
fn check_fixed(def: &StreamDef, before: &StreamDef) -> Vec<Problem> {
    let fixed = [
        ("from", def.from != before.from),
        ("key", def.key != before.key),
        ("time", def.time != before.time),
        ("id", def.id != before.id),
        ("partitions", def.partitions != before.partitions),
        ("topic", def.topic != before.topic),
    ];
    let message = "it cannot change: the log holds events that were written with it; make a new stream";
    fixed.iter().filter(|(_, differs)| *differs).map(|(at, _)| problem(def, at, message.to_owned())).collect()
}

/// Whether the new schema reads all that the log may hold, and finds key, time and id as the old one did.
fn check_schema(def: &StreamDef, before: &StreamDef) -> Result<(), String> {
    if def.earlier.len() > MAX_EARLIER {
        return Err(format!("it has changed {MAX_EARLIER} times, which is the most; make a new stream"));
    }
    // What is no schema is refused with all its problems when the plan is made.
    let (Ok(new), Ok(reader)) = (Schema::parse_value(&def.schema), AvroSchema::parse(&def.schema.to_string())) else {
        return Ok(());
    };
    for (number, earlier) in def.earlier.iter().enumerate() {
        let writer = AvroSchema::parse(&earlier.to_string()).map_err(|error| error.to_string())?;
        reader.check_reads(&writer, RootName::MayDiffer).map_err(|misfit| unreadable(def, number, &misfit))?;
        // Stricter than Avro where a logical type would get another meaning.
        let writer = Schema::parse_value(earlier).map_err(|error| error.to_string())?;
        let resolver = Resolver::new(&writer, &new).map_err(|why| unreadable(def, number, &why))?;
        if let Some(gap) = resolver.and_then(|resolver| resolver.find_unreadable_value()) {
            return Err(unreadable(def, number, &gap));
        }
    }
    let old = Schema::parse_value(&before.schema).map_err(|error| error.to_string())?;
    for (what, path) in [("key", Some(&def.key)), ("time", Some(&def.time)), ("id", def.id.as_ref())] {
        let Some(path) = path else { continue };
        let kind = |schema: &Schema| schema.field(path).map(|field| field.kind.clone());
        if let (Ok(was), found) = (kind(&old), kind(&new))
            && found.as_ref() != Ok(&was)
        {
            let now = found.map_or_else(|error| error.to_string(), |now: Type| format!("it is of type {now} now"));
            return Err(format!("field `{path}` is the stream's {what} and was of type {was}, which must stay: {now}"));
        }
        let is_uuid = |schema: &Schema| schema.field(path).is_ok_and(|field| field.is_uuid);
        if is_uuid(&new) && !is_uuid(&old) {
            return Err(format!(
                "field `{path}` is the stream's {what}: as a UUID its texts would be written in small letters, so that \
                 some of them would become another {what}"
            ));
        }
    }
    Ok(())
}

fn unreadable(def: &StreamDef, number: usize, why: &dyn std::fmt::Display) -> String {
    let whose = match number + 1 == def.earlier.len() {
        true => "its schema so far".to_owned(),
        false => format!("its schema number {number}"),
    };
    format!(
        "it cannot read the events that were written with {whose}: {why}. Keep fields that are used, give new ones a \
         default, widen types only; or make a new stream"
    )
}

fn problem(def: &StreamDef, at: &str, message: String) -> Problem {
    Problem { kind: Kind::Stream, name: def.stream.clone(), at: at.to_owned(), message }
}
