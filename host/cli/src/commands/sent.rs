//! The result of sending events, for `ingest` and `generate`: the summary, and the error about refused events.

use serde_json::{Map, Value, json};

use super::{Output, print};
use crate::send::{RefusedEvent, Summary};

/// How many refused events are printed as text.
const MAX_SHOWN_EVENTS: usize = 10;
/// How many refused events the error has as JSON.
const MAX_JSON_EVENTS: usize = 100;

/// Events that the server refused.
#[derive(Debug, thiserror::Error)]
#[error("{rejected} of {total} events were refused{left_out}")]
pub(crate) struct RefusedEvents {
    rejected: u64,
    total: u64,
    /// The first ones.
    events: Vec<RefusedEvent>,
    /// The number of reasons that are not listed, with the remedy; empty if all are.
    left_out: String,
}

impl RefusedEvents {
    /// The refused events of a summary; none if all were accepted. At most `max_listed` reasons are listed; `remedy` says
    /// how to get the others.
    pub(super) fn find(summary: &Summary, max_listed: usize, remedy: &str) -> Option<Self> {
        let (rejected, total) = (summary.rejected, summary.rejected + summary.accepted);
        if rejected == 0 {
            return None;
        }
        let left_out = match rejected.saturating_sub(summary.errors.len().min(max_listed) as u64) {
            0 => String::new(),
            count => format!("; {count} of the reasons are left out: {remedy}"),
        };
        let events = summary.errors.iter().take(MAX_JSON_EVENTS).cloned().collect();
        Some(Self { rejected, total, events, left_out })
    }

    /// The members of the error as JSON.
    pub(crate) fn details(&self) -> Map<String, Value> {
        let events = self.events.iter().map(|event| json!({ event.unit: event.number, "message": event.message }));
        let members = [("rejected", json!(self.rejected)), ("errors", events.collect())];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Prints the refused events to stderr, one line each. As JSON they are in the error.
    pub(super) fn print_events(&self, output: Output) {
        if output == Output::Text {
            self.events.iter().take(MAX_SHOWN_EVENTS).for_each(|event| eprintln!("{event}"));
        }
    }
}

/// How many refused events are listed in a format.
pub(super) fn max_listed(output: Output) -> usize {
    if output == Output::Json { MAX_JSON_EVENTS } else { MAX_SHOWN_EVENTS }
}

/// Prints counts, time and rate.
pub(super) fn print_summary(summary: &Summary, output: Output) {
    let seconds = summary.took.as_secs_f64();
    let value = json!({ "accepted": summary.accepted, "rejected": summary.rejected, "seconds": seconds });
    print(output, &value, |_| {
        let (accepted, rejected) = (summary.accepted, summary.rejected);
        format!("{accepted} events accepted, {rejected} rejected, {}\n", time_and_rate(accepted, seconds))
    });
}

/// The time that events took, and how many that is per second.
pub(super) fn time_and_rate(events: u64, seconds: f64) -> String {
    format!("{seconds:.1} s, {:.0} events/s", events as f64 / seconds.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_has_the_first_reasons_and_counts_the_rest() {
        let event = |number| RefusedEvent { unit: "line", number, message: "bad".to_owned() };
        let summary =
            Summary { accepted: 5, rejected: 250, errors: (1..=200).map(event).collect(), ..Summary::default() };
        let refused = RefusedEvents::find(&summary, max_listed(Output::Json), "--all has them").unwrap();
        let said = refused.to_string();
        assert_eq!(said, "250 of 255 events were refused; 150 of the reasons are left out: --all has them");
        let details = refused.details();
        assert_eq!(details["errors"].as_array().map(Vec::len), Some(100));
        assert_eq!(details["errors"][1], json!({ "line": 2, "message": "bad" }));
        assert!(RefusedEvents::find(&Summary::default(), 10, "").is_none());
    }
}
