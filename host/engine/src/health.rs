//! How the engine's parts are: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Whether the engine can do its work.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// Whether events can be taken in and scored.
    pub ready: bool,
    /// Each part by itself.
    pub parts: Vec<PartStatus>,
}

/// How one part is: a worker's partition or a follower.
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

/// How the engine's parts are.
#[derive(Default)]
pub(crate) struct Health {
    parts: Mutex<BTreeMap<String, PartStatus>>,
    /// Warnings by the part's name.
    warnings: Mutex<BTreeMap<String, String>>,
}

impl Health {
    /// Notes how a part is.
    pub(crate) fn note(&self, name: &str, problem: Option<&str>, lag: u64) {
        let message = problem.unwrap_or_default().to_owned();
        let status = PartStatus { name: name.to_owned(), ok: problem.is_none(), message, warning: String::new(), lag };
        // Each entry is replaced whole.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), status);
    }

    /// Forgets a part that is gone.
    pub(crate) fn forget(&self, name: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Replaces all warnings.
    pub(crate) fn set_warnings(&self, warnings: BTreeMap<String, String>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    /// Ready: all workers work. A follower that does not only lags, and a partition that waits for a rule takes in
    /// events all the same.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut parts: Vec<PartStatus> =
            self.parts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for part in &mut parts {
            part.warning = warnings.get(&part.name).cloned().unwrap_or_default();
        }
        let ready =
            parts.iter().all(|part| part.ok || ["follower ", "rules "].iter().any(|kind| part.name.starts_with(kind)));
        Readiness { ready, parts }
    }
}
