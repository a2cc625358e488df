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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::schema::History;
use assay_core::verdict::{VerdictBlock, block_flags, read_block};

pub(crate) use archive::Events as ArchiveEvents;

use crate::metrics::FollowerLabel;
use crate::panics::{self, EVENT_PANICKED, Heartbeat, Panicked, catch};
use crate::plan::Plan;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::log::{Bell, Records, Refused, Topic};
use crate::ports::{Place, Poison, StoreError, StreamPartition};
use crate::probe::Probed;
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

/// What is not carried of an event, for good.
struct Refusal {
    offset: Offset,
    /// What kind of failure.
    code: &'static str,
    message: String,
}

/// Makes a follower: at the start, and anew after a panic, which may have left it half-changed.
type Make = Box<dyn Fn() -> Box<dyn Follow> + Send>;

fn maker<P: ?Sized + Send + Sync + 'static>(port: &Arc<P>, make: fn(Arc<P>) -> Box<dyn Follow>) -> Make {
    let port = port.clone();
    Box::new(move || make(port.clone()))
}

/// The events of refused items, where `offsets` has the event of each item of the write.
fn refusals(poison: Vec<Poison>, offsets: &[Offset]) -> Vec<Refusal> {
    let refusal = |poison: Poison| {
        Some(Refusal { offset: *offsets.get(poison.index)?, code: "store-refused", message: poison.message })
    };
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
    let mut all: Vec<Make> = vec![
        maker(&ports.archive, |port| Box::new(archive::Events::new(port))),
        maker(&ports.archive, |port| Box::new(archive::Verdicts(port))),
        maker(&ports.profiles, |port| Box::new(profiles::Follower(port))),
        maker(&ports.graph, |port| Box::new(graph::Follower(port))),
        maker(&ports.dead_letters, |port| Box::new(dead_letters::Follower(port))),
        maker(shared, |shared| Box::new(derive::Follower::new(shared))),
    ];
    if let Some(series) = &ports.series {
        all.push(maker(series, |port| Box::new(series::Events::new(port))));
        all.push(maker(series, |port| Box::new(series::Verdicts(port))));
    }
    if let Some(outbox) = &ports.outbox {
        all.push(maker(outbox, |port| Box::new(outbox::Follower(port))));
    }
    let wanted = all.into_iter().map(|make| (make(), make)).filter(|(follow, _)| shared.config.follows(follow.name()));
    wanted.map(|(follow, make)| start_one(follow, make, shared.clone())).collect()
}

fn start_one(follow: Box<dyn Follow>, make: Make, shared: Arc<Shared>) -> std::io::Result<Follower> {
    let bell = Arc::new(Bell::default());
    shared.ports.log.on_append(follow.topic(), bell.clone());
    shared.progress.add_follower(follow.name(), follow.topic());
    shared.health.note(&format!("follower {}", follow.name()), None);
    let name = format!("follow-{}", follow.name());
    let stopping = shared.clone();
    let (plan, own_bell) = (shared.plan(), bell.clone());
    let mut follower = Loop {
        follow,
        make,
        shared,
        plan,
        bell: own_bell,
        positions: HashMap::new(),
        one_by_one: HashMap::new(),
        panicked: BTreeMap::new(),
    };
    let is_over = move || stopping.is_stopping();
    let thread = panics::spawn(name, is_over, move |heartbeat| follower.run(heartbeat))?;
    Ok(Follower { bell, thread: Some(thread) })
}

struct Loop {
    follow: Box<dyn Follow>,
    make: Make,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    bell: Arc<Bell>,
    positions: HashMap<StreamPartition, Offset>,
    /// Where records are carried one at a time, because some of them panicked together: before this offset.
    one_by_one: HashMap<StreamPartition, Offset>,
    /// Events that panicked alone.
    panicked: BTreeMap<(StreamPartition, Offset), Refused>,
}

impl Loop {
    fn run(&mut self, heartbeat: &Heartbeat) {
        // After a panic only the stored positions are known to be right.
        self.positions.clear();
        self.follow = (self.make)();
        let mut delay = FIRST_DELAY;
        while !self.shared.is_stopping() {
            self.shared.config.probe.look(Probed::Round);
            let round = self.round().and_then(|carried| match carried {
                0 => self.follow.rest().map(|()| 0),
                carried => Ok(carried),
            });
            if round.is_ok() {
                heartbeat.beat();
            }
            match round {
                Ok(0) => {
                    delay = FIRST_DELAY;
                    self.bell.wait(IDLE);
                }
                Ok(_) => delay = FIRST_DELAY,
                Err(error) => {
                    tracing::warn!(follower = self.follow.name(), %error, "a store fails; trying again");
                    self.shared.metrics.follower_errors.get_or_create(&self.label()).inc();
                    self.note(Some(&error.to_string()));
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
                Ok(()) => {
                    self.shared.progress.note_carried(self.follow.name(), &of, next);
                    self.positions.insert(of, next)
                }
                Err(_) => self.positions.remove(&of),
            };
        }
        settled.and(carried)
    }

    /// Carries what each partition has, and notes how far each has come.
    fn carry_all(&mut self, reached: &mut Vec<(StreamPartition, Offset)>) -> Result<u64, StoreError> {
        let plan = self.shared.plan();
        let mut carried = 0;
        let before = std::mem::replace(&mut self.plan, plan.clone());
        let (name, shared) = (self.follow.name(), self.shared.clone());
        let progress = &shared.progress;
        self.positions.retain(|of, _| self.shared.is_mine(of) && !self.follow.is_elsewhere(&before, &plan, of));
        progress.retain_carried(name, |of| shared.is_mine(of));
        for of in self.shared.mine() {
            if self.shared.is_stopping() {
                return Ok(0);
            }
            if !plan.streams.contains_key(&*of.stream) || !self.follow.wants(&plan, &of) {
                self.shared.needs.note_none(name, &of);
                progress.note_nothing(name, &of);
                continue;
            }
            let position = match self.positions.get(&of) {
                Some(position) => *position,
                None => self.follow.position(&of)?,
            };
            progress.note_carried(name, &of, position);
            let log = &shared.ports.log;
            let topic = self.follow.topic();
            let mut next = position;
            let end = log.end(&of.stream, topic, of.partition)?;
            if end > position {
                let history = plan.streams.get(&*of.stream).map(|stream| &stream.history);
                let history = history.filter(|_| topic == Topic::Events);
                let mut records = match history.map(History::newest) {
                    None => log.read(&of.stream, topic, of.partition, position, READ_RECORDS, READ_BYTES)?,
                    Some(newest) => {
                        log.read_events(&of.stream, of.partition, position, newest, READ_RECORDS, READ_BYTES)?
                    }
                };
                if let Some(first) = records.first() {
                    let need = Need::new(name, &of, topic, position, first);
                    self.shared.needs.note(need);
                }
                if let Some(history) = history {
                    records = in_schema(history, records);
                }
                if self.one_by_one.get(&of).is_some_and(|before| position < *before) {
                    records.truncate(1);
                    records.iter_mut().for_each(|first| self.keep_one(&of, first));
                }
                next = records.last().map_or(position, Records::next);
                let refused = self.carry(&plan, &of, &records, next)?;
                self.set_aside(&of, refused)?;
                self.panicked.retain(|(one, offset), _| *one != of || *offset >= next);
                carried += next.0 - position.0;
            }
            let behind = log.end(&of.stream, topic, of.partition)?.0.saturating_sub(next.0);
            if behind == 0 {
                self.shared.needs.note_none(name, &of);
            }
            reached.push((of, next));
        }
        self.note(None);
        Ok(carried)
    }

    /// Carries records. If that panics, they are carried one at a time when the round is repeated; an event that panics
    /// alone is set aside.
    fn carry(
        &mut self,
        plan: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let first = records.first().map_or(next, |first| first.first);
        let name = self.follow.name();
        let is_set_aside = self.panicked.contains_key(&(of.clone(), first));
        let follow = &mut self.follow;
        let carried = catch(|| {
            if !is_set_aside {
                let last = Offset(next.0.saturating_sub(1));
                self.shared.config.probe.look(Probed::Carry(name, of, first, last));
            }
            follow.carry(plan, of, records, next)
        });
        let mut refusals = carried.map_err(|panicked| self.give_up_after(of, first, next, &panicked))??;
        let alone = self.panicked.range((of.clone(), first)..(of.clone(), next));
        let refusal = |offset: &Offset, refused: &Refused| Refusal {
            offset: *offset,
            code: refused.code,
            message: refused.message.clone(),
        };
        refusals.extend(alone.map(|((_, offset), refused)| refusal(offset, refused)));
        Ok(refusals)
    }

    fn give_up_after(&mut self, of: &StreamPartition, first: Offset, next: Offset, panicked: &Panicked) -> StoreError {
        let name = self.follow.name();
        tracing::error!(follower = name, partition = %of, %first, %next, %panicked, "a panic while records are carried");
        // Verdicts of many events are in one record: a follower of theirs goes on with the same one until it works.
        if next.0 - first.0 == 1 && self.follow.topic() == Topic::Events {
            let refused = Refused { code: EVENT_PANICKED, message: panicked.to_string() };
            self.panicked.insert((of.clone(), first), refused);
        } else {
            self.one_by_one.insert(of.clone(), next);
        }
        self.positions.clear();
        self.follow = (self.make)();
        StoreError::Broken { store: "engine", message: format!("the follower {name} at {of}: {panicked}") }
    }

    /// Cuts a block down to its first record. Of an event that panics only its place is left.
    fn keep_one(&self, of: &StreamPartition, block: &mut Records) {
        block.ends.truncate(1);
        block.data.truncate(block.ends.first().map_or(0, |end| *end as usize));
        block.refused.retain(|(at, _)| *at == 0);
        if let Some(refused) = self.panicked.get(&(of.clone(), block.first)) {
            block.data.clear();
            block.ends.iter_mut().for_each(|end| *end = 0);
            block.refused = vec![(0, refused.clone())];
        }
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
            code: refusal.code.to_owned(),
            message: format!("{name}: {}", refusal.message),
        };
        let letters: Vec<DeadLetter> = refused.into_iter().map(letter).collect();
        tracing::warn!(follower = name, partition = %of, count = letters.len(), "some events are not carried into a store, for good");
        let dead_letters = &self.shared.ports.dead_letters;
        // Where their own follower is stays as it is. Should it go on meanwhile, this write is an older one, which changes
        // nothing: again then.
        loop {
            let position = dead_letters.position(of)?;
            dead_letters.write(of, &letters, position)?;
            if dead_letters.position(of)? == position {
                return Ok(());
            }
        }
    }

    fn note(&self, problem: Option<&str>) {
        self.shared.health.note(&format!("follower {}", self.follow.name()), problem);
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
