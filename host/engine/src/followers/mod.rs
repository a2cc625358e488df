//! Followers: plain loops that carry a log into one store each, at their own pace, idempotently.
//!
//! A store that fails stops only its own follower, which tries again until it succeeds.

mod archive;
mod dead_letters;
mod derive;
mod graph;
mod outbox;
mod profiles;
mod series;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::schema::History;
use assay_core::verdict::{VerdictBlock, block_flags, read_block};

pub(crate) use archive::Events as ArchiveEvents;

use crate::metrics::FollowerLabel;
use crate::plan::Plan;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::log::{Bell, Records, Topic};
use crate::ports::{Place, Poison, StoreError, StreamPartition};
use crate::resolved::in_schema;
use crate::retention::Need;
use crate::shared::{FIRST_DELAY, Shared, unreadable_block};

/// The names of all followers.
pub const FOLLOWERS: [&str; 9] = [
    "archive-events",
    "archive-verdicts",
    "profiles",
    "graph",
    "dead-letters",
    "derive",
    "series-events",
    "series-verdicts",
    "outbox",
];

/// Records that are read at once, about.
const READ_RECORDS: usize = 32_768;
/// Bytes that are read at once, about.
const READ_BYTES: usize = 8 << 20;
/// How long a follower sleeps at most when nothing rings.
const IDLE: Duration = Duration::from_millis(500);

/// What one follower does with the records of its log.
trait Follow: Send {
    /// The store that it feeds, as metrics and logs name it.
    fn name(&self) -> &'static str;

    /// Which topic it follows.
    fn topic(&self) -> Topic;

    /// Whether there is anything for it in a partition.
    fn wants(&self, _plan: &Plan, _of: &StreamPartition) -> bool {
        true
    }

    /// Whether a change of the plan makes it begin elsewhere in a partition.
    fn is_elsewhere(&self, _before: &Plan, _now: &Plan, _of: &StreamPartition) -> bool {
        false
    }

    /// Where it is in a partition.
    fn position(&mut self, of: &StreamPartition) -> Result<Offset, StoreError>;

    /// Carries records, all before `next`, into the store. Returns what the store refuses for good.
    fn carry(
        &mut self,
        plan: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError>;

    /// Waits until everything that was carried is in the store.
    fn settle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// There is nothing to carry now.
    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a store refuses for good of an event.
struct Refusal {
    offset: Offset,
    message: String,
}

/// The events of refused items, where `offsets` has the event of each item of the write.
fn refusals(poison: Vec<Poison>, offsets: &[Offset]) -> Vec<Refusal> {
    let refusal = |poison: Poison| Some(Refusal { offset: *offsets.get(poison.index)?, message: poison.message });
    poison.into_iter().filter_map(refusal).collect()
}

/// A running follower.
pub(crate) struct Follower {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Waits until the follower has ended. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts all followers.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Vec<Follower>> {
    let ports = &shared.ports;
    let mut all: Vec<Box<dyn Follow>> = vec![
        Box::new(archive::Events::new(ports.archive.clone())),
        Box::new(archive::Verdicts(ports.archive.clone())),
        Box::new(profiles::Follower(ports.profiles.clone())),
        Box::new(graph::Follower(ports.graph.clone())),
        Box::new(dead_letters::Follower(ports.dead_letters.clone())),
        Box::new(derive::Follower::new(shared.clone())),
    ];
    if let Some(series) = &ports.series {
        all.push(Box::new(series::Events::new(series.clone())));
        all.push(Box::new(series::Verdicts(series.clone())));
    }
    if let Some(outbox) = &ports.outbox {
        all.push(Box::new(outbox::Follower(outbox.clone())));
    }
    all.retain(|follow| shared.config.follows(follow.name()));
    all.into_iter().map(|follow| start_one(follow, shared.clone())).collect()
}

fn start_one(follow: Box<dyn Follow>, shared: Arc<Shared>) -> std::io::Result<Follower> {
    let bell = Arc::new(Bell::default());
    shared.ports.log.on_append(follow.topic(), bell.clone());
    let name = format!("follow-{}", follow.name());
    let own_bell = bell.clone();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let plan = shared.plan();
        Loop { follow, shared, plan, bell: own_bell, positions: HashMap::new(), is_failing: false }.run();
    })?;
    Ok(Follower { bell, thread: Some(thread) })
}

struct Loop {
    follow: Box<dyn Follow>,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    bell: Arc<Bell>,
    positions: HashMap<StreamPartition, Offset>,
    is_failing: bool,
}

impl Loop {
    fn run(&mut self) {
        let mut delay = FIRST_DELAY;
        while !self.shared.is_stopping() {
            let round = self.round().and_then(|carried| match carried {
                0 => self.follow.rest().map(|()| 0),
                carried => Ok(carried),
            });
            self.is_failing = round.is_err();
            match round {
                Ok(0) => {
                    delay = FIRST_DELAY;
                    self.bell.wait(IDLE);
                }
                Ok(_) => delay = FIRST_DELAY,
                Err(error) => {
                    tracing::warn!(follower = self.follow.name(), %error, "a store fails; trying again");
                    self.shared.metrics.follower_errors.get_or_create(&self.label()).inc();
                    self.note(Some(&error.to_string()), 0);
                    if !self.shared.back_off(&mut delay, &self.bell) {
                        break;
                    }
                }
            }
        }
        if let Err(error) = self.follow.rest() {
            tracing::debug!(follower = self.follow.name(), %error, "a follower's last words were not heard");
        }
    }

    /// One round over all partitions. Returns how many records were carried.
    fn round(&mut self) -> Result<u64, StoreError> {
        let mut reached = Vec::new();
        let carried = self.carry_all(&mut reached);
        // What was carried before something failed is waited for too: it is not carried again.
        let settled = self.follow.settle();
        for (of, next) in reached {
            match settled {
                Ok(()) => self.positions.insert(of, next),
                Err(_) => self.positions.remove(&of),
            };
        }
        settled.and(carried)
    }

    /// Carries what each partition has, and notes how far each has come.
    fn carry_all(&mut self, reached: &mut Vec<(StreamPartition, Offset)>) -> Result<u64, StoreError> {
        let plan = self.shared.plan();
        let (mut carried, mut lag) = (0, 0);
        let before = std::mem::replace(&mut self.plan, plan.clone());
        self.positions.retain(|of, _| self.shared.is_mine(of) && !self.follow.is_elsewhere(&before, &plan, of));
        for of in self.shared.mine() {
            if self.shared.is_stopping() {
                return Ok(0);
            }
            if !plan.streams.contains_key(&*of.stream) || !self.follow.wants(&plan, &of) {
                self.shared.needs.note_none(self.follow.name(), &of);
                continue;
            }
            let position = match self.positions.get(&of) {
                Some(position) => *position,
                None => self.follow.position(&of)?,
            };
            let log = &self.shared.ports.log;
            let topic = self.follow.topic();
            let mut next = position;
            let end = log.end(&of.stream, topic, of.partition)?;
            if end > position {
                if !self.is_failing {
                    // Carrying may take its time: it lags meanwhile.
                    self.note(None, lag + (end.0 - position.0));
                }
                let history = plan.streams.get(&*of.stream).map(|stream| &stream.history);
                let history = history.filter(|_| topic == Topic::Events);
                let mut records = match history.map(History::newest) {
                    None => log.read(&of.stream, topic, of.partition, position, READ_RECORDS, READ_BYTES)?,
                    Some(newest) => {
                        log.read_events(&of.stream, of.partition, position, newest, READ_RECORDS, READ_BYTES)?
                    }
                };
                if let Some(first) = records.first() {
                    let need = Need::new(self.follow.name(), &of, topic, position, first);
                    self.shared.needs.note(need);
                }
                if let Some(history) = history {
                    records = in_schema(history, records);
                }
                next = records.last().map_or(position, Records::next);
                let refused = self.follow.carry(&plan, &of, &records, next)?;
                self.set_aside(&of, refused)?;
                carried += next.0 - position.0;
            }
            let behind = log.end(&of.stream, topic, of.partition)?.0.saturating_sub(next.0);
            if behind == 0 {
                self.shared.needs.note_none(self.follow.name(), &of);
            }
            lag += behind;
            reached.push((of, next));
        }
        self.note(None, lag);
        Ok(carried)
    }

    /// What the store refuses becomes dead letters; the rest goes on.
    fn set_aside(&self, of: &StreamPartition, refused: Vec<Refusal>) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let name = self.follow.name();
        let letter = |refusal: Refusal| DeadLetter {
            stream: of.stream.to_string(),
            place: Place { partition: of.partition, offset: refusal.offset },
            time: 0,
            key: String::new(),
            id: String::new(),
            rule: None,
            revision: None,
            plugin: None,
            digest: None,
            code: "store-refused".to_owned(),
            message: format!("{name}: {}", refusal.message),
        };
        let letters: Vec<DeadLetter> = refused.into_iter().map(letter).collect();
        tracing::warn!(follower = name, partition = %of, count = letters.len(), "a store refuses some writes for good");
        let dead_letters = &self.shared.ports.dead_letters;
        // Where their own follower is stays as it is; should it go on meanwhile, it repeats a few, which changes nothing.
        dead_letters.write(of, &letters, dead_letters.position(of)?)
    }

    fn note(&self, problem: Option<&str>, lag: u64) {
        if problem.is_none() {
            self.shared.metrics.follower_lag.get_or_create(&self.label()).set(lag as i64);
        }
        self.shared.health.note(&format!("follower {}", self.follow.name()), problem, lag);
    }

    fn label(&self) -> FollowerLabel {
        FollowerLabel { follower: self.follow.name().to_owned() }
    }
}

/// The offsets of records that are no events of their stream: their bytes mean nothing.
fn refused(records: &[Records]) -> HashSet<Offset> {
    let offset = |block: &Records, at: u32| Offset(block.first.0 + u64::from(at));
    records.iter().flat_map(|block| block.refused.iter().map(move |(at, _)| offset(block, *at))).collect()
}

/// Reads the verdict blocks that have any of the flags; 0 means all.
fn blocks_with(flags: u8, of: &StreamPartition, records: &[Records]) -> Result<Vec<VerdictBlock>, StoreError> {
    let mut blocks = Vec::new();
    for (offset, bytes) in records.iter().flat_map(Records::iter) {
        let (has, _) = block_flags(bytes).map_err(|error| unreadable_block(of, offset, &error))?;
        if flags == 0 || has & flags != 0 {
            blocks.push(read_block(bytes).map_err(|error| unreadable_block(of, offset, &error))?);
        }
    }
    Ok(blocks)
}
