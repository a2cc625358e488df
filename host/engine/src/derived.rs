//! Derived streams: the events of another stream under another key. Their definitions: `catalog/derived_streams.rs`.
//!
//! A sink (`sinks/derive`) of the owner of a partition of the derived stream merges the partitions of the source in the
//! order of time and appends the events of its entities, with the place that each came from behind its other fields.
//! After a crash it appends some again, those of each partition of the source in their old order; whoever scores the
//! derived stream knows for each partition of the source how far it has come, saves that with its checkpoints, and passes
//! over what it has had.

use std::sync::Arc;

use assay_core::schema::{Extractor, FieldError, Scalar};
use assay_core::wire::put_signed;

use crate::plan::StreamPlan;
use crate::ports::Place;

/// Turns events of a source into those of a derived stream.
pub(crate) struct Rekeyer {
    pub(crate) to: Arc<StreamPlan>,
    /// Takes the key in the derived stream and the time.
    fields: Extractor,
}

/// Whose an event is in a derived stream.
pub(crate) struct RekeyedEvent {
    /// Its entity there.
    pub(crate) key: String,
    /// Its time, ms since 1970.
    pub(crate) time: i64,
}

impl Rekeyer {
    pub(crate) fn new(source: &StreamPlan, to: Arc<StreamPlan>) -> Result<Self, FieldError> {
        let fields = Extractor::new(&source.schema, &[to.def.key.as_str(), source.def.time.as_str()])?;
        Ok(Self { to, fields })
    }

    /// Appends the event as the derived stream has it, and returns whose it is. None, and nothing appended: it has no
    /// such entity, or is malformed, which is told where it came from.
    pub(crate) fn event(&self, event: &[u8], at: Place, out: &mut Vec<u8>) -> Option<RekeyedEvent> {
        let (key, time) = self.identify(event)?;
        let key = key?;
        copy_event(event, at, out);
        Some(RekeyedEvent { key, time })
    }

    /// The entity of an event in the derived stream, if it has one there, and its time, ms since 1970. None: it is
    /// malformed.
    pub(crate) fn identify(&self, event: &[u8]) -> Option<(Option<String>, i64)> {
        let mut found = [Scalar::Null; 2];
        self.fields.extract(event, &mut found).ok()?;
        let key = found[0].key().filter(|key| !key.is_empty()).map(|key| key.into_owned());
        Some((key, found[1].millis()?))
    }
}

/// Appends an event of the source as derived streams have it: with the place that it came from.
pub(crate) fn copy_event(event: &[u8], at: Place, out: &mut Vec<u8>) {
    out.extend_from_slice(event);
    put_signed(out, i64::from(at.partition.0));
    // Offsets are far below what an i64 holds.
    put_signed(out, at.offset.0 as i64);
}
