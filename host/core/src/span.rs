//! A span of time as people write it: `90s`, `15m`, `1h`, `30d`.

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Span(pub u64);
