//! Why a change or a read was refused: messages for the people who asked for it.

use std::fmt;

use assay_runtime::PluginError;

use crate::ports::StoreError;
use crate::ports::catalog::Kind;

/// One thing that is wrong with one definition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// What kind of definition.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Which part of it, such as `inputs.spent_1h`; empty: the whole.
    pub at: String,
    /// What was expected, what came, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)?;
        if !self.at.is_empty() {
            write!(f, ", {}", self.at)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a change was not carried out; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The definitions do not fit together.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
    /// It contradicts what is there or somebody else's change.
    #[error("{0}")]
    Conflict(String),
    /// What should be changed is not there.
    #[error("{0}")]
    NotFound(String),
    /// The plugin was refused.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// Some of what the answer needs is not kept any more.
    #[error(
        "view '{view}' has let go of events of '{key}' that its value at {at} would cover: it can be given at {from} and at \
         every later time (ms since 1970)"
    )]
    NotKept {
        /// The view.
        view: String,
        /// The entity.
        key: String,
        /// The time that was asked for, ms since 1970.
        at: i64,
        /// The earliest time whose value can be given, ms since 1970. So can that of every later time.
        from: i64,
    },
    /// The question makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The stores that are in use cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
