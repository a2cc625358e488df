//! How the engine's parts are: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::panics;
use crate::progress::Lags;

/// Whether the engine can do its work.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// Whether events can be taken in and scored.
    pub ready: bool,
    /// Each part by itself.
    pub parts: Vec<PartStatus>,
}

/// How one part is: a worker's partition or a sink.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartStatus {
    /// The part's name.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// What is wrong; empty when nothing is.
    pub message: String,
    /// What will go wrong if nothing is done, though it works; empty when nothing will.
    pub warning: String,
    /// How many records it is behind.
    pub lag: u64,
}

impl Lags {
    /// Tells the parts how far they are behind, as it is now.
    fn apply_to(&self, parts: &mut BTreeMap<String, PartStatus>) {
        for (partition, lag) in &self.scoring {
            if let Some(part) = parts.get_mut(&format!("partition {partition}")) {
                part.lag = *lag;
            }
        }
        for (sink, lag) in &self.sinks {
            let Some(part) = parts.get_mut(&format!("sink {sink}")) else { continue };
            part.lag = lag.records;
            if part.ok && lag.unknown > 0 {
                part.ok = false;
                part.message = format!("it has not read yet where it is in {} partitions", lag.unknown);
            }
        }
    }
}

/// Whether events cannot be taken in and scored without a part.
fn is_needed(part: &str) -> bool {
    let is_of = |name: &str, kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
    match part.strip_prefix("thread ") {
        Some(thread) => is_of(thread, &["worker-", "saver-", "log-", "kafka-"]),
        None => !is_of(part, &["sink ", "rules "]),
    }
}

/// How the engine's parts are.
#[derive(Default)]
pub(crate) struct Health {
    parts: Mutex<BTreeMap<String, PartStatus>>,
    /// Warnings by the part's name.
    warnings: Mutex<BTreeMap<String, String>>,
    /// Warnings that parts have of themselves.
    own_warnings: Mutex<BTreeMap<String, String>>,
}

impl Health {
    /// Notes how a part is.
    pub(crate) fn note(&self, name: &str, problem: Option<&str>) {
        let message = problem.unwrap_or_default().to_owned();
        let (name, ok) = (name.to_owned(), problem.is_none());
        let status = PartStatus { name: name.clone(), ok, message, warning: String::new(), lag: 0 };
        // Each entry is replaced whole.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, status);
    }

    /// Forgets a part that is gone.
    pub(crate) fn forget(&self, name: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Replaces all warnings.
    pub(crate) fn set_warnings(&self, warnings: BTreeMap<String, String>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    /// Replaces the warning that a part has of itself.
    pub(crate) fn set_own_warning(&self, name: &str, warning: Option<String>) {
        let mut warnings = self.own_warnings.lock().unwrap_or_else(PoisonError::into_inner);
        match warning {
            Some(warning) => drop(warnings.insert(name.to_owned(), warning)),
            None => drop(warnings.remove(name)),
        }
    }

    /// Ready: all workers work. A sink that does not only lags, and a partition that waits for a rule takes in
    /// events all the same.
    pub(crate) fn readiness(&self, lags: &Lags) -> Readiness {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Of two warnings the one about retention is the more urgent.
        let mut warnings = self.own_warnings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        warnings.extend(self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone());
        for (name, warning) in warnings {
            if let Some(part) = parts.get_mut(&name) {
                part.warning = warning;
            }
        }
        lags.apply_to(&mut parts);
        for (thread, message) in panics::failing() {
            let name = format!("thread {thread}");
            let status = PartStatus { name: name.clone(), ok: false, message, warning: String::new(), lag: 0 };
            parts.insert(name, status);
        }
        let parts: Vec<PartStatus> = parts.into_values().collect();
        let ready = parts.iter().all(|part| part.ok || !is_needed(&part.name));
        Readiness { ready, parts }
    }
}
