//! The members: three processes of one group, each killed, stopped, frozen and started again by itself.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::PARTITIONS;
use crate::rng::SeededRng;
use crate::servers::Servers;
use crate::support::Server;

/// The secret of the key `admin`, for all members.
const KEY: &str = "assay_the-key-of-the-test-of-faults-0123456789abcdef";
/// How long a member may take until it listens, while stores that it needs come and go.
const START: Duration = Duration::from_secs(300);
/// How long all may take until nothing waits any more, after the last fault.
const SETTLE: Duration = Duration::from_secs(300);
/// How long an answer may take, of a member that may be frozen.
pub(crate) const ANSWER: Duration = Duration::from_secs(8);
/// Between two looks at something that takes its time.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Checkpoints are saved often by one and rarely by another.
const CHECKPOINT_EVERY: [&str; 3] = ["100ms", "400ms", "1500ms"];

/// A member as it is now.
enum Life {
    Up(Arc<Server>),
    Frozen(Arc<Server>),
    Down,
}

pub(crate) struct Member {
    data: PathBuf,
    settings: Vec<(String, String)>,
    life: Mutex<Life>,
    /// Somebody does something to it.
    taken: AtomicBool,
}

pub(crate) struct Members(Vec<Member>);

impl Members {
    /// Starts all of them.
    pub(crate) fn start(folder: &Path, servers: &Servers) -> Self {
        let members = CHECKPOINT_EVERY.iter().enumerate().map(|(index, every)| Member {
            data: folder.join(format!("member-{index}")),
            settings: settings(folder, servers, every),
            life: Mutex::new(Life::Down),
            taken: AtomicBool::new(false),
        });
        let members = Self(members.collect());
        members.0.iter().for_each(Member::start);
        members
    }

    /// Those that are up.
    pub(crate) fn up(&self) -> Vec<Arc<Server>> {
        self.0.iter().filter_map(Member::server).collect()
    }

    /// One of those that are up, if any is.
    pub(crate) fn any(&self, rng: &mut SeededRng) -> Option<Arc<Server>> {
        let up = self.up();
        if up.is_empty() { None } else { Some(up[rng.between(0, up.len() - 1)].clone()) }
    }

    /// Does something with one that is up.
    pub(crate) fn with_any<T>(&self, rng: &mut SeededRng, action: impl FnOnce(&Server) -> T) -> T {
        action(&self.any(rng).expect("a member is up"))
    }

    /// Takes a member to do something to it, so that nobody else does meanwhile. One is always left alone.
    pub(crate) fn take(&self, rng: &mut SeededRng) -> Taken<'_> {
        let deadline = Instant::now() + START;
        loop {
            let free: Vec<&Member> = self.0.iter().filter(|member| !member.taken.load(Ordering::SeqCst)).collect();
            if free.len() > 1 {
                let member = free[rng.between(0, free.len() - 1)];
                // Only one thread takes.
                member.taken.store(true, Ordering::SeqCst);
                return Taken(member);
            }
            assert!(Instant::now() < deadline, "no member comes back");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until nothing waits any more on any member: neither events nor what stores have yet to get.
    pub(crate) fn wait_settled(&self) {
        let deadline = Instant::now() + SETTLE;
        let up = self.up();
        assert_eq!(up.len(), self.0.len(), "all members are up at the end");
        let mut settled = 0;
        // Twice: what one has just said another may still have to carry.
        while settled < 2 {
            let mut owned: Vec<u32> = up.iter().flat_map(|server| partitions_of(server)).collect();
            owned.sort_unstable();
            let mut waiting: Vec<String> = up.iter().flat_map(|server| waiting(server)).collect();
            if owned != (0..PARTITIONS).collect::<Vec<_>>() {
                waiting.push(format!("these partitions have a member: {owned:?}"));
            }
            settled = if waiting.is_empty() { settled + 1 } else { 0 };
            assert!(Instant::now() < deadline, "still waiting: {waiting:#?}\n{}", up[0].log_tail());
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Stops all in order.
    pub(crate) fn stop(&self) {
        for member in &self.0 {
            let status = member.stop().expect("it is up");
            assert!(status.success(), "asked to stop, a member ended with {status}");
        }
    }
}

/// A member that is taken. Given back when it is dropped.
pub(crate) struct Taken<'a>(&'a Member);

impl std::ops::Deref for Taken<'_> {
    type Target = Member;

    fn deref(&self) -> &Member {
        self.0
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::SeqCst);
    }
}

impl Member {
    /// The running server, unless it is down or frozen.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        match &*self.life.lock().unwrap() {
            Life::Up(server) => Some(server.clone()),
            Life::Frozen(_) | Life::Down => None,
        }
    }

    /// Starts it; again, if a store that it needs is away.
    pub(crate) fn start(&self) {
        let deadline = Instant::now() + START;
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        loop {
            match Server::try_start(&self.data, Some(KEY), &settings) {
                Ok(server) => {
                    *self.life.lock().unwrap() = Life::Up(Arc::new(server));
                    return;
                }
                Err(why) => assert!(Instant::now() < deadline, "a member does not start: {why}"),
            }
        }
    }

    fn take_down(&self) -> Option<Arc<Server>> {
        match std::mem::replace(&mut *self.life.lock().unwrap(), Life::Down) {
            Life::Up(server) | Life::Frozen(server) => Some(server),
            Life::Down => None,
        }
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&self) {
        if let Some(server) = self.take_down() {
            server.kill();
        }
    }

    /// Asks it to stop (SIGTERM), and waits until it has. None: it was down.
    pub(crate) fn stop(&self) -> Option<std::process::ExitStatus> {
        let server = self.take_down()?;
        server.signal("TERM");
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = server.ended() {
                return Some(status);
            }
            assert!(Instant::now() < deadline, "a member does not stop\n{}", server.log_tail());
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops it from running (SIGSTOP), without its knowing.
    pub(crate) fn freeze(&self) {
        let mut life = self.life.lock().unwrap();
        if let Life::Up(server) = &*life {
            server.signal("STOP");
            *life = Life::Frozen(server.clone());
        }
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        let mut life = self.life.lock().unwrap();
        if let Life::Frozen(server) = &*life {
            server.signal("CONT");
            *life = Life::Up(server.clone());
        }
    }
}

/// The partitions that a member has, as far as it knows.
pub(crate) fn partitions_of(server: &Server) -> Vec<u32> {
    let Ok((_, text)) = server.send_within(ANSWER, "GET", "/readyz", None) else { return Vec::new() };
    let answer: Value = serde_json::from_str(&text).unwrap();
    let names = answer["parts"].as_array().into_iter().flatten().filter_map(|part| part["name"].as_str());
    names.filter_map(|name| name.strip_prefix("partition payments/")?.parse().ok()).collect()
}

/// What a member still has to do, or has to have done for it.
fn waiting(server: &Server) -> Vec<String> {
    let Ok((status, text)) = server.send_within(ANSWER, "GET", "/readyz", None) else {
        return vec!["a member does not answer".to_owned()];
    };
    let answer: Value = serde_json::from_str(&text).unwrap();
    let parts = answer["parts"].as_array().into_iter().flatten();
    let mut waiting: Vec<String> =
        parts.filter(|part| part["ok"] != true || part["lag"] != 0).map(Value::to_string).collect();
    if status != 200 {
        waiting.push(format!("{}: not ready", server.url));
    }
    waiting
}

/// What a member's environment says.
fn settings(folder: &Path, servers: &Servers, checkpoint_every: &str) -> Vec<(String, String)> {
    let token = folder.join("influxdb.token");
    std::fs::write(&token, servers.variable("ASSAY_TEST_INFLUXDB_TOKEN")).unwrap();
    let token = token.to_str().unwrap();
    let settings = [
        ("ASSAY_ADMIN_KEY", KEY),
        ("ASSAY_STORES__MODE", "distributed"),
        ("ASSAY_KAFKA__BROKERS", servers.variable("ASSAY_TEST_KAFKA")),
        ("ASSAY_KAFKA__PARTITIONER", "xxh3"),
        ("ASSAY_KAFKA__SESSION_TIMEOUT", "3s"),
        ("ASSAY_MONGODB__URI", servers.variable("ASSAY_TEST_MONGODB")),
        ("ASSAY_SCYLLADB__NODES", servers.variable("ASSAY_TEST_CASSANDRA")),
        ("ASSAY_INFLUXDB__URL", servers.variable("ASSAY_TEST_INFLUXDB")),
        ("ASSAY_INFLUXDB__ORG", "assay"),
        ("ASSAY_INFLUXDB__BUCKET", "assay"),
        ("ASSAY_INFLUXDB__TOKEN_FILE", token),
        ("ASSAY_DGRAPH__URL", servers.variable("ASSAY_TEST_DGRAPH")),
        ("ASSAY_ENGINE__CHECKPOINT_EVERY", checkpoint_every),
        // Deadlines are CPU time: on a busy machine an event could miss one here, and not there.
        ("ASSAY_PLUGINS__TIME_PER_EVENT", "1s"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
