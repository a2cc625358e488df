//! Writes the process's own metrics every so often. They are no events: what cannot be written is dropped.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::StoreError;
use assay_engine::ports::series::TimeSeries;

use super::exposition::points;
use super::{Config, InfluxDb, STORE};

/// The longest that one write is tried, beside its last try, which may take as long again.
const MAX_WRITE_TIME: Duration = Duration::from_secs(5);
/// How often failures are logged at most.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Writes metrics until it is dropped, which does not wait for a write that is under way.
pub struct MetricsReport {
    _stop: Sender<()>,
}

impl MetricsReport {
    /// Writes what `measure` says, in OpenMetrics' text format, every so often, with some more tags: of the machine and
    /// the process. A write that fails is not repeated later; failures are logged, at most once a minute.
    ///
    /// # Errors
    /// As [`InfluxDb::open`]; or no thread can be started.
    pub fn start(
        config: &Config,
        every: Duration,
        tags: Vec<(String, String)>,
        measure: impl Fn() -> String + Send + 'static,
    ) -> Result<Self, StoreError> {
        let series = InfluxDb::open(&Config { timeout: every.min(MAX_WRITE_TIME), ..config.clone() })?.series();
        let (stop, stopped) = channel();
        let mut failures = Failures::default();
        let run = move |heartbeat: &Heartbeat| {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                failures.note(write(&series, &measure(), &tags));
                heartbeat.mark_alive();
            }
        };
        // Nobody waits for this thread: it sees by itself that it is over.
        let thread = panics::spawn("metrics", || false, run);
        thread.map_err(|error| StoreError::Unavailable {
            store: STORE,
            message: format!("starting the writer of metrics: {error}"),
        })?;
        Ok(Self { _stop: stop })
    }
}

/// Writes an exposition as points of now.
fn write(series: &Arc<dyn TimeSeries>, text: &str, tags: &[(String, String)]) -> Result<(), StoreError> {
    // The year 2262 is far.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
    let refused = series.write(points(text, tags, now))?;
    match refused.first() {
        None => Ok(()),
        Some(first) => {
            let message = format!("{} points are refused, such as: {}", refused.len(), first.message);
            Err(StoreError::Broken { store: STORE, message })
        }
    }
}

/// Logs failures, at most once a minute, with how many there were.
#[derive(Default)]
struct Failures {
    count: u64,
    said: Option<Instant>,
}

impl Failures {
    fn note(&mut self, written: Result<(), StoreError>) {
        let Err(error) = written else { return };
        self.count += 1;
        if self.said.is_none_or(|said| said.elapsed() >= FAILURE_LOG_INTERVAL) {
            tracing::warn!(%error, failures = self.count, "this process's metrics are not all written; they are dropped");
            *self = Self { count: 0, said: Some(Instant::now()) };
        }
    }
}
