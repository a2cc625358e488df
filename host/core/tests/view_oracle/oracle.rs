//! The oracle: it keeps all events of an entity and computes each value by the view's definition.

use std::collections::BTreeMap;

use assay_core::value::Value;
use assay_core::view::{Aggregate, MAX_TEXT_BYTES};

use crate::{Event, Shape, view};

/// A counted event.
pub(crate) struct Counted {
    tile: i64,
    pub(crate) time: i64,
    event: Event,
}

/// The events of one entity.
#[derive(Default)]
pub(crate) struct Oracle {
    /// The events that the view keeps.
    pub(crate) counted: Vec<Counted>,
    /// All events that pass `when`, also late ones.
    all: Vec<Counted>,
}

impl Oracle {
    /// Adds an event. Returns the values at its time, and true if it was late.
    pub(crate) fn fold(&mut self, event: &Event, time: i64, shape: Option<Shape>) -> (Vec<Value>, bool) {
        let tile = shape.map_or(0, |shape| time.div_euclid(shape.width));
        let mut is_late = false;
        if event.when == Some(true) {
            self.all.push(Counted { tile, time, event: event.clone() });
            let kept = shape.map_or(0, Shape::kept);
            let newest = self.counted.iter().map(|event| event.tile).max();
            is_late = shape.is_some() && newest.is_some_and(|newest| tile <= newest - kept);
            if !is_late {
                self.counted.push(Counted { tile, time, event: event.clone() });
                let newest = newest.map_or(tile, |newest| newest.max(tile));
                self.counted.retain(|event| shape.is_none() || event.tile > newest - kept);
            }
        }
        (self.values(tile, shape), is_late)
    }

    /// True if some events are not kept.
    pub(crate) fn has_lost(&self) -> bool {
        self.counted.len() < self.all.len()
    }

    /// The values at a tile, from the events that the view keeps.
    pub(crate) fn values(&self, tile: i64, shape: Option<Shape>) -> Vec<Value> {
        aggregate_all(&self.counted, tile, shape)
    }

    /// The values at a tile, from all events.
    pub(crate) fn true_values(&self, tile: i64, shape: Option<Shape>) -> Vec<Value> {
        aggregate_all(&self.all, tile, shape)
    }
}

fn aggregate_all(events: &[Counted], tile: i64, shape: Option<Shape>) -> Vec<Value> {
    let is_covered = |event: &&Counted| shape.is_none_or(|shape| event.tile > tile - shape.tiles && event.tile <= tile);
    let covered: Vec<&Counted> = events.iter().filter(is_covered).collect();
    let block = shape.map_or(0, |shape| tile.div_euclid(shape.tiles) * shape.tiles);
    let measures = view(None).measures.0;
    measures
        .iter()
        .map(|(_, measure)| aggregate(measure.aggregate, measure.argument.as_deref(), &covered, block))
        .collect()
}

/// The value of an argument for an event; missing if it does not count.
fn argument(name: Option<&str>, counted: &Counted) -> Value {
    let event = &counted.event;
    match name {
        None => Value::Bool(true),
        Some("d") => event.double.filter(|value| !value.is_nan()).map_or(Value::Null, Value::Double),
        Some("i") => event.int.map_or(Value::Null, Value::Int),
        Some("t") => event.int.map_or(Value::Null, Value::Timestamp),
        Some("x") => event
            .text
            .clone()
            .map_or(Value::Null, |text| Value::Text(text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned())),
        Some(_) => event.flag.map_or(Value::Null, Value::Bool),
    }
}

fn aggregate(aggregate: Aggregate, name: Option<&str>, covered: &[&Counted], block: i64) -> Value {
    let values: Vec<(i64, i64, Value)> = covered
        .iter()
        .map(|event| (event.tile, event.time, argument(name, event)))
        .filter(|(_, _, value)| *value != Value::Null)
        .collect();
    let double = |value: &Value| match value {
        Value::Double(value) => *value,
        Value::Int(value) => *value as f64,
        _ => unreachable!(),
    };
    // Floating point sums depend on the order. The specified order is: the tiles of the earlier block from the newest
    // to the oldest, then those of the later block from the oldest to the newest.
    let double_sum = || {
        let mut tiles: BTreeMap<i64, f64> = BTreeMap::new();
        values.iter().for_each(|(tile, _, value)| *tiles.entry(*tile).or_default() += double(value));
        let suffix = tiles.range(..block).rev().fold(0.0, |sum, (_, tile)| tile + sum);
        suffix + tiles.range(block..).fold(0.0, |sum, (_, tile)| sum + tile)
    };
    let best = |is_better: fn(std::cmp::Ordering) -> bool| {
        values.iter().map(|(_, _, value)| value.clone()).reduce(|best, value| {
            let order = match (&value, &best) {
                (Value::Double(value), Value::Double(best)) => value.total_cmp(best),
                (Value::Int(value), Value::Int(best)) | (Value::Timestamp(value), Value::Timestamp(best)) => {
                    value.cmp(best)
                }
                _ => unreachable!(),
            };
            if is_better(order) { value } else { best }
        })
    };
    match (aggregate, name) {
        (Aggregate::Count, _) => Value::Int(values.len() as i64),
        (Aggregate::Sum, Some("i")) => {
            let mut tiles: BTreeMap<i64, i64> = BTreeMap::new();
            for (tile, _, value) in &values {
                let Value::Int(value) = value else { unreachable!() };
                let sum = tiles.entry(*tile).or_default();
                *sum = sum.saturating_add(*value);
            }
            let suffix = tiles.range(..block).rev().fold(0, |sum: i64, (_, tile)| tile.saturating_add(sum));
            Value::Int(
                suffix.saturating_add(tiles.range(block..).fold(0, |sum: i64, (_, tile)| sum.saturating_add(*tile))),
            )
        }
        (Aggregate::Sum, _) => Value::Double(double_sum()),
        (Aggregate::Avg, _) if values.is_empty() => Value::Null,
        (Aggregate::Avg, _) => Value::Double(double_sum() / values.len() as f64),
        (Aggregate::Min, _) => best(std::cmp::Ordering::is_lt).unwrap_or(Value::Null),
        (Aggregate::Max, _) => best(std::cmp::Ordering::is_gt).unwrap_or(Value::Null),
        (Aggregate::First, _) => {
            // Among equal keys `min_by_key` returns the first.
            values.iter().min_by_key(|(_, time, _)| *time).map_or(Value::Null, |(_, _, value)| value.clone())
        }
        (Aggregate::Last, _) => {
            // Among equal keys `max_by_key` returns the last.
            values.iter().max_by_key(|(_, time, _)| *time).map_or(Value::Null, |(_, _, value)| value.clone())
        }
        (Aggregate::Stddev, _) => {
            let mut tiles: BTreeMap<i64, Spread> = BTreeMap::new();
            values.iter().for_each(|(tile, _, value)| tiles.entry(*tile).or_default().add(double(value)));
            let suffix = tiles.range(..block).rev().fold(Spread::default(), |sum, (_, tile)| tile.merge(sum));
            let prefix = tiles.range(block..).fold(Spread::default(), |sum, (_, tile)| sum.merge(*tile));
            let spread = suffix.merge(prefix);
            let variance = spread.squares / (spread.count - 1.0);
            if spread.count < 2.0 { Value::Null } else { Value::Double(variance.sqrt()) }
        }
    }
}

/// The number of values, their mean, and the sum of squared distances from it, by the methods of Welford and Chan.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    fn merge(self, newer: Self) -> Self {
        if self.count == 0.0 || newer.count == 0.0 {
            return if self.count == 0.0 { newer } else { self };
        }
        let count = self.count + newer.count;
        let share = newer.count / count;
        let distance = newer.mean - self.mean;
        let squares = self.squares + newer.squares + distance * distance * (self.count * share);
        Self { count, mean: self.mean + distance * share, squares }
    }
}
