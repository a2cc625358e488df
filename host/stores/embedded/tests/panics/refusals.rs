//! A store refuses a record for good, and the engine ends before the record's dead letter is written: the next one writes it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use assay_core::names::Offset;
use assay_engine::Probe;
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::log::Topic;
use assay_engine::ports::series::{FieldValue, Point, TimeSeries};
use assay_engine::ports::{Page, PartitionId, Ports, RejectedItem, StoreError};

use crate::OFTEN;
use crate::payments::{partitions, wait_until};
use crate::results::{define, ingest, letters, start};

/// The event whose points are refused.
const REFUSED: &str = "p5";

/// A time series that refuses the points of one event, and keeps its positions beyond the engine's life.
#[derive(Default)]
struct RefusingSeries(Mutex<HashMap<PartitionId, Offset>>);

impl RefusingSeries {
    fn position(&self, partition: &PartitionId) -> Offset {
        self.0.lock().unwrap().get(partition).copied().unwrap_or_default()
    }
}

impl TimeSeries for RefusingSeries {
    fn events_position(&self, _: &PartitionId) -> Result<Offset, StoreError> {
        Ok(Offset(0))
    }

    fn write_events(&self, _: &PartitionId, _: Vec<Point>, _: Offset) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(Vec::new())
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(self.position(partition))
    }

    fn write_verdicts(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let is_refused = |point: &Point| {
            let event = ("event".to_owned(), FieldValue::Text(REFUSED.to_owned()));
            point.measurement == "score" && point.fields.contains(&event)
        };
        let refused = points.iter().enumerate().filter(|(_, point)| is_refused(point));
        let refused: Vec<RejectedItem> =
            refused.map(|(index, _)| RejectedItem { index, message: "not this one".to_owned() }).collect();
        if refused.is_empty() {
            self.0.lock().unwrap().insert(partition.clone(), next);
        }
        Ok(refused)
    }

    fn write(&self, _: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(Vec::new())
    }
}

/// Dead letters that take none of the series' sink while `is_down`.
struct FailingLetters {
    inner: Arc<dyn DeadLetters>,
    is_down: AtomicBool,
    failures: AtomicU32,
}

impl DeadLetters for FailingLetters {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.inner.position(partition)
    }

    fn write(&self, partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        let is_of_series = letters.iter().any(|letter| letter.sink.is_some());
        if is_of_series && self.is_down.load(Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Unavailable { store: "dead letters", message: "off".to_owned() });
        }
        self.inner.write(partition, letters, next)
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        self.inner.list(query)
    }

    fn of_event(&self, partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.of_event(partition, offset)
    }
}

#[test]
fn the_letter_of_a_refused_record_survives_the_end_of_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let series = Arc::new(RefusingSeries::default());
    let failing = Mutex::new(None);
    let wrap = |is_down: bool| {
        let (series, failing) = (series.clone(), &failing);
        move |ports: Ports| {
            let inner = ports.dead_letters.clone();
            let letters = Arc::new(FailingLetters { inner, is_down: is_down.into(), failures: AtomicU32::new(0) });
            *failing.lock().unwrap() = Some(letters.clone());
            Ports { dead_letters: letters, series: Some(series), ..ports }
        }
    };
    let running = start(dir.path(), Probe::default(), OFTEN, wrap(true));
    define(&running);
    ingest(&running, 0..100);
    let failures = || failing.lock().unwrap().as_ref().map_or(0, |letters| letters.failures.load(Ordering::SeqCst));
    wait_until("the letter is not written", || failures() > 1);
    let refused_at = |partition: &PartitionId| running.engine.partition_of("payments", "card-5").unwrap() == *partition;
    let home = partitions().into_iter().find(refused_at).unwrap();
    let before = series.position(&home);
    drop(running);
    // The wrapped port keeps the folder locked.
    *failing.lock().unwrap() = None;
    let of_series = |letters: Vec<DeadLetter>| -> Vec<DeadLetter> {
        letters.into_iter().filter(|letter| letter.sink.as_deref() == Some("series-verdicts")).collect()
    };

    let running = start(dir.path(), Probe::default(), OFTEN, wrap(false));
    let end = || running.ports().log.end(&home.stream, Topic::Verdicts, home.partition).unwrap();
    running.wait_until_written();
    wait_until("the series has everything", || series.position(&home) == end());
    assert!(before < series.position(&home), "the position waits for the letter");
    let found = of_series(letters(&running.ports()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("not this one"), "{found:?}");
    assert_eq!(found[0].place.partition, home.partition);
}
