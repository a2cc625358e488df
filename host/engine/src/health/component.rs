//! The components of the engine that have a state in `/readyz`, with their names there.

use std::fmt;

use crate::ports::PartitionId;

/// The beginnings of the names of threads without which no event can be accepted or scored.
const NEEDED_THREADS: [&str; 4] = ["worker-", "saver-", "log-", "kafka-"];

/// A component whose state is noted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthComponent {
    /// The catalog: it can be read, and compiles.
    Catalog,
    /// The log: it takes appends.
    Log,
    /// The scoring of a partition.
    Scoring(PartitionId),
    /// A partition that waits for a rule. It can be scored, so the process is ready.
    Rules(PartitionId),
    /// A sink, by its name.
    Sink(&'static str),
    /// A thread that panicked, by its name.
    Thread(String),
}

impl HealthComponent {
    /// True if no event can be accepted and scored without it.
    pub(super) fn is_needed(&self) -> bool {
        match self {
            Self::Catalog | Self::Log | Self::Scoring(_) => true,
            Self::Rules(_) | Self::Sink(_) => false,
            Self::Thread(name) => NEEDED_THREADS.iter().any(|needed| name.starts_with(needed)),
        }
    }
}

/// The name in `/readyz`. Alerts and scripts of operators match it, so it never changes.
impl fmt::Display for HealthComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog => f.write_str("catalog"),
            Self::Log => f.write_str("log"),
            Self::Scoring(partition) => write!(f, "partition {partition}"),
            Self::Rules(partition) => write!(f, "rules of {partition}"),
            Self::Sink(name) => write!(f, "sink {name}"),
            Self::Thread(name) => write!(f, "thread {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_core::names::PartitionIndex;

    use super::*;

    #[test]
    fn components_keep_their_names_and_say_who_needs_them() {
        let partition = PartitionId { stream: "payments".into(), partition: PartitionIndex(3) };
        let components = [
            (HealthComponent::Catalog, "catalog", true),
            (HealthComponent::Log, "log", true),
            (HealthComponent::Scoring(partition.clone()), "partition payments/3", true),
            (HealthComponent::Rules(partition), "rules of payments/3", false),
            (HealthComponent::Sink("graph"), "sink graph", false),
            (HealthComponent::Thread("saver-0".to_owned()), "thread saver-0", true),
            (HealthComponent::Thread("sink-graph".to_owned()), "thread sink-graph", false),
        ];
        for (component, name, is_needed) in components {
            assert_eq!((component.to_string().as_str(), component.is_needed()), (name, is_needed));
        }
    }
}
