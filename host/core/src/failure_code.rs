//! The codes of dead letters: one for each reason for which an event, or a rule on one, fails, with cause and advice.
//!
//! The text of a code is in verdict logs, stores, alerts and docs, so it never changes. `assay explain` shows the rest.

/// The code of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureCode {
    /// `input-missing`.
    InputMissing,
    /// `time-ahead`.
    TimeAhead,
    /// `time-out-of-range`.
    TimeOutOfRange,
    /// `plugin-trap`.
    PluginTrap,
    /// `plugin-deadline`.
    PluginDeadline,
    /// `plugin-out-of-memory`.
    PluginOutOfMemory,
    /// `plugin-refused`.
    PluginRefused,
    /// `plugin-malformed`.
    PluginMalformed,
    /// `plugin-missing`.
    PluginMissing,
    /// `state-migration`.
    StateMigration,
    /// `score-infinite`.
    ScoreInfinite,
    /// `event-malformed`.
    EventMalformed,
    /// `event-incomplete`.
    EventIncomplete,
    /// `event-panicked`.
    EventPanicked,
    /// `event-key-invalid`.
    EventKeyInvalid,
    /// `event-empty`.
    EventEmpty,
    /// `event-too-large`.
    EventTooLarge,
    /// `schema-unknown`.
    SchemaUnknown,
    /// `schema-incompatible`.
    SchemaIncompatible,
    /// `store-refused`.
    StoreRefused,
}

/// The part of the processing that a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// The event: no rule judges it.
    Event,
    /// One rule on the event; the others judge it.
    Rule,
    /// One sink on the event; it is judged, and the other sinks have it.
    Sink,
}

/// A code with its explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureExplanation {
    /// The code.
    pub code: FailureCode,
    /// The code as it is written.
    pub text: &'static str,
    /// The part of the processing that fails.
    pub scope: FailureScope,
    /// The cause, in one or more sentences.
    pub cause: &'static str,
    /// The advice for the operator or the author of the rule.
    pub advice: &'static str,
}

/// One row for each code, in the order of [`FailureCode`].
const EXPLANATIONS: &[FailureExplanation; 20] = &[
    FailureExplanation {
        code: FailureCode::InputMissing,
        text: "input-missing",
        scope: FailureScope::Rule,
        cause: "The event lacks a value for an input that the plugin requires.",
        advice: "Give the rule a 'when' that leaves such events out, or an input with a fallback, such as coalesce(amount, 0.0).",
    },
    FailureExplanation {
        code: FailureCode::TimeAhead,
        text: "time-ahead",
        scope: FailureScope::Event,
        cause: "The event's own time is more than the stream's 'max_ahead' later than the time at which the log stored it. No \
         view has counted it and no rule has judged it. Over HTTP such events are refused.",
        advice: "Correct the clock or the unit of the producer. For events about the future, such as bookings, give the stream a \
         longer max_ahead, or max_ahead: none.",
    },
    FailureExplanation {
        code: FailureCode::TimeOutOfRange,
        text: "time-out-of-range",
        scope: FailureScope::Event,
        cause: "The event's own time is more than 2^60 ms before or after 1970, which no view can hold. Over HTTP such events \
         are refused.",
        advice: "Check its unit, for example nanoseconds in a field of timestamp-millis.",
    },
    FailureExplanation {
        code: FailureCode::PluginTrap,
        text: "plugin-trap",
        scope: FailureScope::Rule,
        cause: "The plugin trapped on this event. In Rust that is a panic: an index out of range, an overflow, an unwrap. The \
         message has the panic's message and line, and the functions where it happened.",
        advice: "Run the event in a native test of the plugin (assay plugin test); raise the version and push it again. A \
         plugin that was built with an older SDK has no panic message.",
    },
    FailureExplanation {
        code: FailureCode::PluginDeadline,
        text: "plugin-deadline",
        scope: FailureScope::Rule,
        cause: "The plugin exceeded its CPU time.",
        advice: "Look for an endless loop on this input. If the plugin needs the time, raise plugins.time_per_event.",
    },
    FailureExplanation {
        code: FailureCode::PluginOutOfMemory,
        text: "plugin-out-of-memory",
        scope: FailureScope::Rule,
        cause: "The plugin exceeded its memory.",
        advice: "Look for an allocation sized by the input, or for memory that grows from call to call. If the plugin needs it, \
         raise plugins.memory_mib.",
    },
    FailureExplanation {
        code: FailureCode::PluginRefused,
        text: "plugin-refused",
        scope: FailureScope::Rule,
        cause: "The plugin returned an error, which is the dead letter's message.",
        advice: "Read the message: the plugin's author wrote it for this case.",
    },
    FailureExplanation {
        code: FailureCode::PluginMalformed,
        text: "plugin-malformed",
        scope: FailureScope::Rule,
        cause: "The plugin's answer breaks the interface or a limit: an infinite score, a state that is too large, an index out of range.",
        advice: "Compare the answer with wit/plugin.wit. If the state is too large, make it smaller, or raise plugins.state_bytes.",
    },
    FailureExplanation {
        code: FailureCode::PluginMissing,
        text: "plugin-missing",
        scope: FailureScope::Rule,
        cause: "The worker had no instance of the rule's plugin. This does not happen in normal operation.",
        advice: "Read the server's log, and report the failure.",
    },
    FailureExplanation {
        code: FailureCode::StateMigration,
        text: "state-migration",
        scope: FailureScope::Rule,
        cause: "The plugin could not convert the entity's state from the layout of an earlier version.",
        advice: "Push a version whose 'migrate' reads the older layout. The state is kept until then.",
    },
    FailureExplanation {
        code: FailureCode::ScoreInfinite,
        text: "score-infinite",
        scope: FailureScope::Rule,
        cause: "The rule's expression gave an infinite score, mostly by a division by zero.",
        advice: "Guard the division, such as spent / max(double(count), 1.0).",
    },
    FailureExplanation {
        code: FailureCode::EventMalformed,
        text: "event-malformed",
        scope: FailureScope::Event,
        cause: "The event's bytes are not a record of the schema, or do not begin as the stream's 'format' requires.",
        advice: "Find the producer by partition and offset, and make it use the stream's schema and format.",
    },
    FailureExplanation {
        code: FailureCode::EventIncomplete,
        text: "event-incomplete",
        scope: FailureScope::Event,
        cause: "The event lacks its key, its time or its id, which every event of the stream needs.",
        advice: "Find the producer by partition and offset, and make it set these fields.",
    },
    FailureExplanation {
        code: FailureCode::EventPanicked,
        text: "event-panicked",
        scope: FailureScope::Event,
        cause: "The event makes the server panic, which is a bug of Assay. No rule judges it, and no view counts it.",
        advice: "Report it with the message, which has the panic's message and place. All other events are scored as usual.",
    },
    FailureExplanation {
        code: FailureCode::EventKeyInvalid,
        text: "event-key-invalid",
        scope: FailureScope::Event,
        cause: "The event's key or id is empty, has more than 1024 bytes, or is '.' or '..', which no URL can name.",
        advice: "The message names the field. Make the producer write another text there, such as the digest of a long one.",
    },
    FailureExplanation {
        code: FailureCode::EventEmpty,
        text: "event-empty",
        scope: FailureScope::Event,
        cause: "The message has no value (a tombstone).",
        advice: "Streams do not accept tombstones: make the producer send only events.",
    },
    FailureExplanation {
        code: FailureCode::EventTooLarge,
        text: "event-too-large",
        scope: FailureScope::Event,
        cause: "The message has more than 1 MiB.",
        advice: "Make the producer send smaller events, which refer to large contents elsewhere.",
    },
    FailureExplanation {
        code: FailureCode::SchemaUnknown,
        text: "schema-unknown",
        scope: FailureScope::Event,
        cause: "The message names a schema that the registry does not have.",
        advice: "Make the producer register its schema in the registry of kafka.schema_registry.",
    },
    FailureExplanation {
        code: FailureCode::SchemaIncompatible,
        text: "schema-incompatible",
        scope: FailureScope::Event,
        cause: "The message's schema is known, but the stream's schema cannot read its events.",
        advice: "The message names the field. Make the producer write it as in the stream's schema, or give it a default.",
    },
    FailureExplanation {
        code: FailureCode::StoreRefused,
        text: "store-refused",
        scope: FailureScope::Sink,
        cause: "A store refuses a part of this event for good; the dead letter's message has the store's error.",
        advice: "Read the message. The event is scored and in the log; only that store does not have it.",
    },
];

impl FailureCode {
    /// The explanations of all codes.
    pub const EXPLANATIONS: &[FailureExplanation] = EXPLANATIONS;

    /// Its explanation.
    pub const fn explanation(self) -> &'static FailureExplanation {
        &EXPLANATIONS[self as usize]
    }

    /// The code as it is written.
    pub const fn as_str(self) -> &'static str {
        self.explanation().text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_own_row() {
        for (index, row) in EXPLANATIONS.iter().enumerate() {
            assert_eq!((row.code as usize, row.code.as_str()), (index, row.text));
            assert_eq!(EXPLANATIONS.iter().filter(|other| other.text == row.text).count(), 1, "{}", row.text);
        }
    }
}
