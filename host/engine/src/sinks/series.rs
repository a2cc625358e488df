//! Carries events and verdicts into the time series, as points for dashboards.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use assay_core::names::Offset;
use assay_core::schema::{Decoder, Schema};
use assay_core::stream::SeriesDef;
use assay_core::value::Value;
use assay_core::verdict::{Outcome, Verdict};

use super::verdicts::VerdictSink;
use super::{Refusal, Sink, refusals, refused_offsets};
use crate::partition::AppendTimes;
use crate::plan::{Plan, StreamPlan};
use crate::ports::log::{Records, Topic};
use crate::ports::series::{FieldValue, Point, TimeSeries};
use crate::ports::{PartitionId, StoreError};

/// The measurement of scores.
const SCORE: &str = "score";

/// Carries events into the time series: those of streams that say which fields they want there.
pub(super) struct SeriesEventsSink {
    series: Arc<dyn TimeSeries>,
    /// Per stream a decoder of time, then tags, then fields, with what it was made for.
    decoders: HashMap<Arc<str>, (SeriesDef, Schema, Decoder)>,
}

impl SeriesEventsSink {
    pub(super) fn new(series: Arc<dyn TimeSeries>) -> Self {
        Self { series, decoders: HashMap::new() }
    }

    fn decoder(&mut self, stream: &StreamPlan, def: &SeriesDef) -> Result<&mut Decoder, StoreError> {
        let name: Arc<str> = stream.def.stream.as_str().into();
        let made_for = self.decoders.get(&name).map(|(def, schema, _)| (def, schema));
        if made_for != Some((def, &stream.schema)) {
            let mut paths = vec![stream.def.time.as_str()];
            paths.extend(def.tags.iter().chain(&def.fields).map(String::as_str));
            // The plan was refused if these paths were not in the schema.
            let decoder = Decoder::new(&stream.schema, &paths).map_err(|error| StoreError::Broken {
                store: "engine",
                message: format!("stream '{name}': series: {error}"),
            })?;
            self.decoders.insert(name.clone(), (def.clone(), stream.schema.clone(), decoder));
        }
        match self.decoders.get_mut(&name) {
            Some((_, _, decoder)) => Ok(decoder),
            None => Err(StoreError::Broken { store: "engine", message: format!("stream '{name}': no decoder") }),
        }
    }

    fn points(
        &mut self,
        stream: &StreamPlan,
        def: &SeriesDef,
        partition: &PartitionId,
        records: &[Records],
    ) -> Result<Vec<Point>, StoreError> {
        let decoder = self.decoder(stream, def)?;
        let decoded = decoder.decode(records.iter().flat_map(Records::iter).map(|(_, bytes)| bytes));
        let offsets: Vec<Offset> = records.iter().flat_map(Records::iter).map(|(offset, _)| offset).collect();
        let times = decoded.columns[0].as_primitive::<TimestampMillisecondType>();
        let (tag_columns, field_columns) = decoded.columns[1..].split_at(def.tags.len());
        let mut points = Vec::with_capacity(decoded.rows.len());
        let (refused, stored, max_ahead) = (refused_offsets(records), AppendTimes::of(records), stream.max_ahead());
        for (row, record) in decoded.rows.iter().enumerate() {
            let offset = offsets[*record];
            if refused.contains(&offset) {
                continue;
            }
            let time = times.is_valid(row).then(|| times.value(row));
            // An event that is not taken for its time is a dead letter.
            let time = time.filter(|time| max_ahead.check(*time, stored.at(offset)).is_ok());
            let Some(time_ns) = time.and_then(|time| Point::time_ns(time, offset)) else { continue };
            let mut tags = vec![("partition".to_owned(), partition.partition.to_string())];
            for (name, column) in def.tags.iter().zip(tag_columns) {
                if let Some(value) = field(Value::from_array(column, row)) {
                    tags.push((name.clone(), text(&value)));
                }
            }
            let fields = def.fields.iter().zip(field_columns);
            let fields: Vec<(String, FieldValue)> = fields
                .filter_map(|(name, column)| Some((name.clone(), field(Value::from_array(column, row))?)))
                .collect();
            if !fields.is_empty() {
                points.push(Point { measurement: partition.stream.to_string(), tags, fields, offset, time_ns });
            }
        }
        Ok(points)
    }
}

fn field(value: Value) -> Option<FieldValue> {
    match value {
        Value::Null => None,
        Value::Bool(value) => Some(FieldValue::Bool(value)),
        Value::Int(value) | Value::Timestamp(value) => Some(FieldValue::Int(value)),
        Value::Double(value) => value.is_finite().then_some(FieldValue::Float(value)),
        Value::Text(value) => Some(FieldValue::Text(value)),
    }
}

fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::Float(value) => value.to_string(),
        FieldValue::Int(value) => value.to_string(),
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::Text(value) => value.clone(),
    }
}

impl Sink for SeriesEventsSink {
    fn name(&self) -> &'static str {
        "series-events"
    }

    fn topic(&self) -> Topic {
        Topic::Events
    }

    fn applies_to(&self, plan: &Plan, partition: &PartitionId) -> bool {
        plan.streams.get(&*partition.stream).is_some_and(|stream| stream.def.series.is_some())
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.series.events_position(partition)
    }

    fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let Some(stream) = plan.streams.get(&*partition.stream) else { return Ok(Vec::new()) };
        let Some(def) = &stream.def.series else { return Ok(Vec::new()) };
        let points = self.points(stream, def, partition, records)?;
        let offsets: Vec<Offset> = points.iter().map(|point| point.offset).collect();
        Ok(refusals(self.series.write_events(partition, points, next)?, &offsets))
    }
}

/// Carries scores and tags into the time series.
pub(super) struct SeriesVerdictsSink(pub(super) Arc<dyn TimeSeries>);

impl VerdictSink for SeriesVerdictsSink {
    const NAME: &'static str = "series-verdicts";
    type Items = Vec<Point>;

    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.verdicts_position(partition)
    }

    fn convert(partition: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Vec<Point> {
        let mut points = Vec::new();
        for (_, outcome) in outcomes {
            points.extend(outcome.verdicts.iter().filter_map(|verdict| point(partition, &outcome, verdict)));
        }
        points
    }

    fn write(&self, partition: &PartitionId, points: Vec<Point>, next: Offset) -> Result<Vec<Refusal>, StoreError> {
        let offsets: Vec<Offset> = points.iter().map(|point| point.offset).collect();
        Ok(refusals(self.0.write_verdicts(partition, points, next)?, &offsets))
    }
}

/// A verdict as a point; none if it has neither a score nor tags.
fn point(partition: &PartitionId, outcome: &Outcome, verdict: &Verdict) -> Option<Point> {
    let mut fields = Vec::new();
    if let Some(score) = verdict.score.filter(|score| score.is_finite()) {
        fields.push(("score".to_owned(), FieldValue::Float(score)));
    }
    if !verdict.tags.is_empty() {
        fields.push(("tags".to_owned(), FieldValue::Text(verdict.tags.join(","))));
    }
    if fields.is_empty() {
        return None;
    }
    fields.push(("key".to_owned(), FieldValue::Text(outcome.key.clone())));
    if !outcome.id.is_empty() {
        fields.push(("event".to_owned(), FieldValue::Text(outcome.id.clone())));
    }
    fields.push(("revision".to_owned(), FieldValue::Int(verdict.by.revision.into())));
    let tags = [
        ("stream", partition.stream.to_string()),
        ("rule", verdict.by.rule.clone()),
        ("partition", partition.partition.to_string()),
        ("mode", verdict.by.mode.name().to_owned()),
    ];
    Some(Point {
        measurement: SCORE.to_owned(),
        tags: tags.map(|(name, value)| (name.to_owned(), value)).into(),
        fields,
        offset: outcome.offset,
        time_ns: Point::time_ns(outcome.time, outcome.offset)?,
    })
}
