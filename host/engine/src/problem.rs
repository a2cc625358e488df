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

/// A message names at most this many streams.
const MAX_SHOWN_STREAMS: usize = 20;

/// The message about an unknown stream, with those that there are.
pub(crate) fn describe_unknown_stream<'s>(name: &str, streams: impl IntoIterator<Item = &'s String>) -> String {
    let streams: Vec<&str> = streams.into_iter().map(String::as_str).collect();
    let shown = streams[..streams.len().min(MAX_SHOWN_STREAMS)].join(", ");
    match streams.len() {
        0 => format!("there is no stream '{name}': none was made yet"),
        count if count > MAX_SHOWN_STREAMS => {
            format!("there is no stream '{name}' (streams: {shown} and {} more)", count - MAX_SHOWN_STREAMS)
        }
        _ => format!("there is no stream '{name}' (streams: {shown})"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_stream_is_reported_with_the_known_ones() {
        let describe = |count: usize| {
            let streams: Vec<String> = (1..=count).map(|number| format!("s{number}")).collect();
            describe_unknown_stream("x", &streams)
        };
        assert_eq!(describe(0), "there is no stream 'x': none was made yet");
        assert_eq!(describe(2), "there is no stream 'x' (streams: s1, s2)");
        assert!(describe(22).ends_with(", s19, s20 and 2 more)"), "{}", describe(22));
    }
}
