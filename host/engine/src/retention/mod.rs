//! Retention: deletes what a log that leaves that to the engine need not keep, and warns before a log that deletes by
//! itself takes what a follower, or the recovery of a partition, still needs.
//!
//! A thread of its own looks, so that nobody who scores or follows waits for the log's answers.

mod floor;
mod needs;
mod outlook;
mod trim;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::now_ms;
use crate::metrics::ReaderLabel;
use crate::panics;
use crate::ports::StoreError;
use crate::ports::log::Bell;
use crate::probe::Probed;
use crate::shared::Shared;
pub(crate) use needs::{Need, Needs, SCORING};
use outlook::{Outlook, outlook};
use trim::Trimming;

/// How often to look.
const EVERY: Duration = Duration::from_secs(10);
/// How often a warning that still holds is logged again.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Who needs nothing that is older than this, in ms, is not behind: the log is not asked.
const NOT_BEHIND_MS: i64 = 10_000;

/// The thread that looks.
pub(crate) struct RetentionWatch {
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

impl RetentionWatch {
    pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let trimming = Trimming::new(shared.clone());
        let mut look = Look { shared: shared.clone(), trimming, warned: HashMap::new(), complained: None };
        let own_bell = bell.clone();
        let stopping = shared.clone();
        let thread = panics::spawn(
            "retention",
            move || stopping.is_stopping(),
            move |heartbeat| {
                while !look.shared.is_stopping() {
                    look.shared.config.probe.look(Probed::Round);
                    look.look();
                    heartbeat.beat();
                    own_bell.wait(EVERY);
                }
            },
        )?;
        Ok(Self { bell, thread })
    }

    /// Waits until the thread has ended. The engine must be stopping.
    pub(crate) fn join(self) {
        self.bell.ring();
        let _ = self.thread.join();
    }
}

struct Look {
    shared: Arc<Shared>,
    trimming: Trimming,
    /// When a reader was warned of last.
    warned: HashMap<ReaderLabel, Instant>,
    /// When it was last said that the log does not answer.
    complained: Option<Instant>,
}

/// How a reader is in the partitions of a stream that this process has.
#[derive(Default)]
struct Standing {
    /// Until retention may delete what it needs, ms; none: no limit by time.
    left: Option<i64>,
    /// In how many partitions it is in danger.
    in_danger: u64,
    /// What is to be said of the worst of them.
    danger: Option<String>,
}

impl Look {
    fn look(&mut self) {
        let held = self.trimming.look();
        let outlooks = match self.outlooks() {
            Ok(outlooks) => outlooks,
            Err(error) => {
                // What was known before stays as it is.
                if is_time_again(self.complained) {
                    tracing::warn!(%error, "cannot tell whether retention outruns a reader; looking again");
                    self.complained = Some(Instant::now());
                }
                return;
            }
        };
        let mut standings: BTreeMap<ReaderLabel, Standing> = BTreeMap::new();
        let mut warnings: BTreeMap<String, String> = BTreeMap::new();
        // The worst come first, and the first of each is what is told.
        for (need, outlook) in outlooks {
            let standing = standings.entry(need.label()).or_default();
            standing.left = standing.left.or(outlook.left);
            if let Some(danger) = outlook.danger {
                standing.in_danger += 1;
                warnings.entry(need.part()).or_insert_with(|| danger.clone());
                standing.danger.get_or_insert(danger);
            }
        }
        for (part, warning) in held {
            warnings.entry(part).or_insert(warning);
        }
        self.measure(&standings);
        self.warn(standings);
        self.shared.health.set_warnings(warnings);
    }

    /// How all who are behind stand, the worst first.
    fn outlooks(&self) -> Result<Vec<(Need, Outlook)>, StoreError> {
        let (shared, now) = (&self.shared, now_ms());
        let (plan, log) = (shared.plan(), &shared.ports.log);
        let is_ours = |need: &Need| shared.is_mine(&need.of) && plan.streams.contains_key(&*need.of.stream);
        let mut asked = HashMap::new();
        let mut outlooks = Vec::new();
        for need in shared.needs.of_all(is_ours) {
            if now - need.appended_at < NOT_BEHIND_MS {
                continue;
            }
            if shared.is_stopping() {
                break;
            }
            let (of, topic) = (&need.of, need.topic);
            let (kept, end) = match asked.get(&(of.clone(), topic)) {
                Some(known) => *known,
                None => {
                    let kept = log.kept(&of.stream, topic, of.partition)?;
                    let end = log.end(&of.stream, topic, of.partition)?;
                    asked.insert((of.clone(), topic), (kept, end));
                    (kept, end)
                }
            };
            let outlook = outlook(&need, &kept, end, now);
            outlooks.push((need, outlook));
        }
        outlooks.sort_by_key(|(_, outlook)| outlook.left.unwrap_or(i64::MAX));
        Ok(outlooks)
    }

    /// Tells the metrics. Who is not behind any more has none.
    fn measure(&self, standings: &BTreeMap<ReaderLabel, Standing>) {
        let metrics = &self.shared.metrics;
        metrics.retention_left.clear();
        metrics.near_retention.clear();
        for (label, standing) in standings {
            metrics.near_retention.get_or_create(label).set(standing.in_danger as i64);
            if let Some(left) = standing.left {
                metrics.retention_left.get_or_create(label).set(left.max(0) / 1000);
            }
        }
    }

    /// Logs warnings when they begin, and every minute while they hold.
    fn warn(&mut self, standings: BTreeMap<ReaderLabel, Standing>) {
        for (label, standing) in standings {
            let Some(danger) = standing.danger else { continue };
            if is_time_again(self.warned.get(&label).copied()) {
                let partitions = standing.in_danger;
                tracing::warn!(reader = label.reader, stream = label.stream, partitions, "{danger}");
                self.warned.insert(label, Instant::now());
            }
        }
    }
}

fn is_time_again(said: Option<Instant>) -> bool {
    said.is_none_or(|said| said.elapsed() >= SAY_AGAIN)
}
