//! Measures time and CPU: of the measured process, of its threads, of the servers that it uses, and of everything else
//! that ran meanwhile and disturbed the figures.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

/// Smaller costs, in ns of CPU per event, are not reported, because idle servers also use some CPU.
const MIN_COST_NS: f64 = 50.0;

/// Seconds of CPU by what used them.
type Cpu = BTreeMap<String, f64>;

/// Started together with the measured work.
pub(crate) struct Clock {
    pid: u32,
    servers: Vec<(String, Vec<u32>)>,
    started: Instant,
    before: Used,
}

/// The CPU used up to a moment.
struct Used {
    /// `own`, and each server.
    parts: Cpu,
    /// The process's threads, grouped by kind.
    threads: Cpu,
    /// The whole machine.
    machine: f64,
    bench: f64,
}

/// The measurements of a clock up to a moment.
#[derive(Clone, Debug)]
pub(crate) struct Lap {
    seconds: f64,
    parts: Cpu,
    threads: Cpu,
    /// Cores that were busy with other work.
    others: f64,
}

/// A number of processed events, and their cost.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) events: usize,
    lap: Lap,
}

impl Clock {
    /// Measures a process from now on.
    pub(crate) fn start(pid: u32) -> Self {
        let servers = servers();
        let before = Used::now(pid, &servers);
        Self { pid, servers, started: Instant::now(), before }
    }

    /// The measurements up to now.
    pub(crate) fn lap(&self) -> Lap {
        let seconds = self.started.elapsed().as_secs_f64();
        let Used { parts, threads, machine, bench } = Used::now(self.pid, &self.servers);
        let since = |now: Cpu, before: &Cpu| -> Cpu {
            now.into_iter().map(|(name, cpu)| (name.clone(), cpu - before.get(&name).unwrap_or(&0.0))).collect()
        };
        let parts = since(parts, &self.before.parts);
        let bench = if self.pid == std::process::id() { 0.0 } else { bench - self.before.bench };
        let others = (machine - self.before.machine - bench - parts.values().sum::<f64>()) / seconds;
        Lap { seconds, parts, threads: since(threads, &self.before.threads), others: others.max(0.0) }
    }
}

impl Used {
    fn now(pid: u32, servers: &[(String, Vec<u32>)]) -> Self {
        let mut parts: Cpu =
            servers.iter().map(|(name, pids)| (name.clone(), pids.iter().map(|pid| cpu(*pid)).sum())).collect();
        parts.insert("own".to_owned(), cpu(pid));
        Self { parts, threads: threads(pid), machine: machine(), bench: cpu(std::process::id()) }
    }
}

impl Run {
    pub(crate) fn new(events: usize, lap: Lap) -> Self {
        Self { events, lap }
    }

    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.lap.seconds
    }

    /// ns of CPU per event, the greatest first.
    fn costs(&self, of: &Cpu) -> Vec<(String, f64)> {
        let cost = |(name, cpu): (&String, &f64)| (name.clone(), (cpu * 1e9 / self.events.max(1) as f64).round());
        let mut costs: Vec<(String, f64)> = of.iter().map(cost).filter(|(_, cost)| *cost >= MIN_COST_NS).collect();
        costs.sort_by(|a, b| b.1.total_cmp(&a.1));
        costs
    }

    pub(crate) fn to_json(&self) -> Value {
        let object = |costs: Vec<(String, f64)>| costs.into_iter().map(|(name, cost)| (name, cost.into())).collect();
        json!({
            "events_per_s": self.events_per_s().round(),
            "seconds": (self.lap.seconds * 1e3).round() / 1e3,
            "cpu_ns_per_event": Value::Object(object(self.costs(&self.lap.parts))),
            "cpu_ns_per_event_by_thread": Value::Object(object(self.costs(&self.lap.threads))),
            "cores_busy_with_something_else": (self.lap.others * 1e2).round() / 1e2,
        })
    }

    /// The run as a line of text.
    pub(crate) fn line(&self) -> String {
        let costs: Vec<String> =
            self.costs(&self.lap.parts).iter().map(|(name, cost)| format!("{name} {cost:.0}")).collect();
        let (rate, others) = (self.events_per_s(), self.lap.others);
        format!("{rate:>8.0} events/s; CPU ns/event: {}; {others:.1} cores busy with something else", costs.join(", "))
    }
}

/// The servers that `cargo xtask servers` has started, each with its processes.
fn servers() -> Vec<(String, Vec<u32>)> {
    let Ok(path) = std::env::var("ASSAY_TEST_SERVERS") else { return Vec::new() };
    let addresses: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let servers = addresses["servers"].as_object().into_iter().flatten();
    let pids = |server: &Value| -> Vec<u32> {
        let pids = server["pids"].as_object().into_iter().flatten();
        pids.filter_map(|(_, pid)| u32::try_from(pid.as_u64()?).ok()).collect()
    };
    servers.map(|(name, server)| (name.clone(), pids(server))).collect()
}

/// Seconds of CPU that a process has used, to a hundredth.
pub(crate) fn cpu(pid: u32) -> f64 {
    cpu_in(&format!("/proc/{pid}/stat"))
}

fn cpu_in(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // After the name, which may contain any character, the 12th and 13th fields are the ticks of user and system.
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The CPU of the living threads of a process, by their names without numbers.
fn threads(pid: u32) -> Cpu {
    let mut threads = Cpu::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let path = thread.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *threads.entry(name).or_default() += cpu_in(&path.join("stat").display().to_string());
    }
    threads
}

/// The CPU of all processes.
fn machine() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = ticks.filter_map(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq: without the two in the middle.
    ticks.iter().enumerate().filter(|(index, _)| [0, 1, 2, 5, 6].contains(index)).map(|(_, ticks)| ticks).sum::<f64>()
        / 100.0
}
