//! The course of things: which fault comes when, carried out side by side, and what is counted of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::changes::{Change, Pack};
use crate::load::{self, Load};
use crate::members::{Member, Members, Taken, partitions_of};
use crate::rng::SeededRng;
use crate::servers::Servers;
use crate::truth::Truth;

/// How long it may take after a kill until an event of the killed member's partitions is judged by another, even if
/// Kafka and stores are killed meanwhile.
const RECOVERY: Duration = Duration::from_secs(180);

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A member is killed (SIGKILL), and started again up to two seconds later.
    Kill,
    /// A member is stopped in order (SIGTERM), and started again.
    Stop,
    /// A member is frozen (SIGSTOP) for longer than its session, and then goes on as if nothing had been.
    Freeze,
    /// The broker is frozen for one to three seconds.
    PauseBroker,
    /// A server is killed (SIGKILL) and started again.
    Crash(&'static str),
}

impl Fault {
    fn name(self) -> String {
        match self {
            Self::Kill => "kills".to_owned(),
            Self::Stop => "stops".to_owned(),
            Self::Freeze => "zombies".to_owned(),
            Self::PauseBroker => "broker pauses".to_owned(),
            Self::Crash(server) => format!("crashes of {server}"),
        }
    }
}

pub(crate) struct Course<'a> {
    servers: &'a Servers,
    members: &'a Members,
    load: &'a Load,
    counts: Mutex<BTreeMap<String, usize>>,
    /// After each kill: how long until an event that was sent later to one of its partitions was judged.
    recoveries: Mutex<Vec<Duration>>,
    began: Instant,
}

impl<'a> Course<'a> {
    pub(crate) fn new(servers: &'a Servers, members: &'a Members, load: &'a Load) -> Self {
        let (counts, recoveries) = (Mutex::default(), Mutex::default());
        Self { servers, members, load, counts, recoveries, began: Instant::now() }
    }

    /// Lets the faults happen, in any order and partly at the same time. Returns when the last is over.
    pub(crate) fn run(&self, faults: &[Fault], rng: &mut SeededRng) {
        std::thread::scope(|scope| {
            for fault in rng.shuffled(faults) {
                std::thread::sleep(rng.millis(500, 3_500));
                match fault {
                    Fault::Kill => {
                        let (member, pause) = (self.members.take(rng), rng.millis(0, 2_000));
                        scope.spawn(move || self.kill(&member, pause));
                    }
                    Fault::Stop => {
                        let member = self.members.take(rng);
                        scope.spawn(move || self.stop(&member));
                    }
                    Fault::Freeze => {
                        let (member, pause) = (self.members.take(rng), rng.millis(4_000, 6_000));
                        scope.spawn(move || self.freeze(&member, || std::thread::sleep(pause)));
                    }
                    Fault::PauseBroker => {
                        let pause = rng.millis(1_000, 3_000);
                        scope.spawn(move || self.servers.with_broker_frozen(|| std::thread::sleep(pause)));
                    }
                    Fault::Crash(server) => {
                        scope.spawn(move || self.servers.crash(server));
                    }
                }
                if !matches!(fault, Fault::Freeze) {
                    self.note(&fault.name());
                }
            }
        });
    }

    /// Changes rules while a member is frozen, which therefore does not hear of it.
    pub(crate) fn change_while_frozen(&self, change: &Change, pack: &Pack, rng: &mut SeededRng) {
        let (member, pause) = (self.members.take(rng), rng.millis(4_000, 6_000));
        self.freeze(&member, || {
            let thaw = Instant::now() + pause;
            change.make(pack, || self.members.any(rng));
            std::thread::sleep(thaw.saturating_duration_since(Instant::now()));
        });
        self.note("changes");
    }

    fn kill(&self, member: &Member, pause: Duration) {
        let partitions = member.server().map(|server| partitions_of(&server)).unwrap_or_default();
        member.kill();
        let killed = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| self.await_recovery(killed, &partitions));
            std::thread::sleep(pause);
            member.start();
        });
    }

    fn stop(&self, member: &Member) {
        let status = member.stop();
        // A store that is away may keep it from saving the last checkpoint, but not from ending well.
        assert!(status.is_none_or(|status| status.success()), "asked to stop, a member ended with {status:?}");
        member.start();
    }

    fn freeze(&self, member: &Taken<'_>, meanwhile: impl FnOnce()) {
        member.freeze();
        meanwhile();
        member.thaw();
        self.note(&Fault::Freeze.name());
    }

    /// Waits until an event that was sent after a kill, to a partition of the killed member, is judged.
    fn await_recovery(&self, killed: Instant, partitions: &[u32]) {
        if partitions.is_empty() {
            return;
        }
        while killed.elapsed() < RECOVERY {
            let event = self.load.first_after(killed, partitions);
            if event.is_some_and(|event| load::is_judged(self.members, &event.id)) {
                self.recoveries.lock().unwrap().push(killed.elapsed());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{RECOVERY:?} after a kill nobody judges events of the partitions {partitions:?}");
    }

    fn note(&self, what: &str) {
        *self.counts.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    /// What happened, in a few lines.
    pub(crate) fn report(&self, load: &Load, truth: &Truth) -> String {
        let counts = self.counts.lock().unwrap();
        let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let mut recoveries = self.recoveries.lock().unwrap().clone();
        recoveries.sort_unstable();
        let [median, longest] = [recoveries.len() / 2, recoveries.len().saturating_sub(1)]
            .map(|index| recoveries.get(index).map_or(0.0, Duration::as_secs_f64));
        let seconds = self.began.elapsed().as_secs();
        format!(
            "{} events in the log, {} of them again, in {seconds} s; lost 0, doubled 0\n\
             {}\n\
             sent again after: {}\n\
             recovery of {} kills: median {median:.1} s, longest {longest:.1} s",
            truth.events.len(),
            truth.sent_again(),
            counts.join(", "),
            load.refusals(),
            recoveries.len(),
        )
    }
}
