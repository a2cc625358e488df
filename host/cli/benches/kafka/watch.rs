//! How long something took, and what it cost.

use serde_json::{Value, json};

/// Events that were carried, and what that took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) events: usize,
    pub(crate) seconds: f64,
    /// Seconds of CPU of the process that is measured, without broker and stores.
    pub(crate) cpu: f64,
}

impl Run {
    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    pub(crate) fn cpu_ns_per_event(&self) -> f64 {
        self.cpu * 1e9 / self.events as f64
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "events_per_s": self.events_per_s().round(),
            "seconds": (self.seconds * 1e3).round() / 1e3,
            "cpu_ns_per_event": self.cpu_ns_per_event().round(),
        })
    }
}

/// Seconds of CPU that a process has used, to a hundredth.
pub(crate) fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything, the 12th and 13th are the ticks of user and system.
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
