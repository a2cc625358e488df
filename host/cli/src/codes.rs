//! All codes of dead letters and of errors of the API, with causes and remedies. Tests compare this table with the
//! sources and with the docs.

/// A code with its explanation.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The code. In an error of the API it comes after `urn:assay:`.
    pub code: &'static str,
    /// The kind of message that has it.
    pub source: CodeSource,
    /// The cause.
    pub cause: &'static str,
    /// The remedy.
    pub advice: &'static str,
}

/// The kind of message that has a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeSource {
    /// A dead letter.
    DeadLetter,
    /// An error of the API, with this status.
    Problem(u16),
}

const fn letter(code: &'static str, cause: &'static str, advice: &'static str) -> Code {
    Code { code, source: CodeSource::DeadLetter, cause, advice }
}

const fn problem(code: &'static str, status: u16, cause: &'static str, advice: &'static str) -> Code {
    Code { code, source: CodeSource::Problem(status), cause, advice }
}

/// All codes.
pub const CODES: &[Code] = &[
    letter(
        "input-missing",
        "The event lacks a value for an input that the plugin requires.",
        "Give the rule a 'when' that leaves such events out, or an input with a fallback, such as coalesce(amount, 0.0).",
    ),
    letter(
        "time-ahead",
        "The event's own time is more than the stream's 'max_ahead' later than the time at which the log stored it. No \
         view has counted it and no rule has judged it. Over HTTP such events are refused.",
        "Correct the clock or the unit of the producer. For events about the future, such as bookings, give the stream a \
         longer max_ahead, or max_ahead: none.",
    ),
    letter(
        "time-out-of-range",
        "The event's own time is more than 2^60 ms before or after 1970, which no view can hold. Over HTTP such events \
         are refused.",
        "Check its unit, for example nanoseconds in a field of timestamp-millis.",
    ),
    letter(
        "plugin-trap",
        "The plugin trapped on this event. In Rust that is a panic: an index out of range, an overflow, an unwrap. The \
         message has the panic's message and line, and the functions where it happened.",
        "Run the event in a native test of the plugin (assay plugin test); raise the version and push it again. A \
         plugin that was built with an older SDK has no panic message.",
    ),
    letter(
        "plugin-deadline",
        "The plugin exceeded its CPU time.",
        "Look for an endless loop on this input. If the plugin needs the time, raise plugins.time_per_event.",
    ),
    letter(
        "plugin-out-of-memory",
        "The plugin exceeded its memory.",
        "Look for an allocation sized by the input, or for memory that grows from call to call. If the plugin needs it, \
         raise plugins.memory_mib.",
    ),
    letter(
        "plugin-refused",
        "The plugin returned an error, which is the dead letter's message.",
        "Read the message: the plugin's author wrote it for this case.",
    ),
    letter(
        "plugin-malformed",
        "The plugin's answer breaks the interface or a limit: an infinite score, a state that is too large, an index out of range.",
        "Compare the answer with wit/plugin.wit. If the state is too large, make it smaller, or raise plugins.state_bytes.",
    ),
    letter(
        "plugin-missing",
        "The worker had no instance of the rule's plugin. This does not happen in normal operation.",
        "Read the server's log, and report the failure.",
    ),
    letter(
        "state-migration",
        "The plugin could not convert the entity's state from the layout of an earlier version.",
        "Push a version whose 'migrate' reads the older layout. The state is kept until then.",
    ),
    letter(
        "score-infinite",
        "The rule's expression gave an infinite score, mostly by a division by zero.",
        "Guard the division, such as spent / max(double(count), 1.0).",
    ),
    letter(
        "event-malformed",
        "The event's bytes are not a record of the schema, or do not begin as the stream's 'format' requires.",
        "Find the producer by partition and offset, and make it use the stream's schema and format.",
    ),
    letter(
        "event-incomplete",
        "The event lacks its key, its time or its id, which every event of the stream needs.",
        "Find the producer by partition and offset, and make it set these fields.",
    ),
    letter(
        "event-panicked",
        "The event makes the server panic, which is a bug of Assay. No rule judges it, and no view counts it.",
        "Report it with the message, which has the panic's message and place. All other events are scored as usual.",
    ),
    letter(
        "event-key-invalid",
        "The event's key or id is empty, has more than 1024 bytes, or is '.' or '..', which no URL can name.",
        "The message names the field. Make the producer write another text there, such as the digest of a long one.",
    ),
    letter(
        "event-empty",
        "The message has no value (a tombstone).",
        "Streams do not accept tombstones: make the producer send only events.",
    ),
    letter(
        "event-too-large",
        "The message has more than 1 MiB.",
        "Make the producer send smaller events, which refer to large contents elsewhere.",
    ),
    letter(
        "schema-unknown",
        "The message names a schema that the registry does not have.",
        "Make the producer register its schema in the registry of kafka.schema_registry.",
    ),
    letter(
        "schema-incompatible",
        "The message's schema is known, but the stream's schema cannot read its events.",
        "The message names the field. Make the producer write it as in the stream's schema, or give it a default.",
    ),
    letter(
        "store-refused",
        "A store refuses a part of this event for good; the dead letter's message has the store's error.",
        "Read the message. The event is scored and in the log; only that store does not have it.",
    ),
    problem(
        "bad-request",
        400,
        "A parameter, a header or a body is malformed.",
        "The detail names it and its place; for an unknown parameter it has the nearest known name.",
    ),
    problem(
        "unauthorized",
        401,
        "The request has no API key, or no key has this secret.",
        "Send 'Authorization: Bearer KEY'; the command line takes ASSAY_KEY or --key. Make keys with assay keys create.",
    ),
    problem(
        "forbidden",
        403,
        "The API key lacks the role that this needs.",
        "Use a key with the role in the detail, or make one: assay keys create NAME --role ROLE.",
    ),
    problem(
        "not-found",
        404,
        "It does not exist, or does not exist any more.",
        "Look for the name: assay rule list, GET /v1/streams.",
    ),
    problem(
        "entity-not-found",
        404,
        "No event of this entity was seen, or its data was deleted. A node of the graph: it has no edge.",
        "Check the spelling of the key. Stores receive events from the log, so a new event can be found a moment later.",
    ),
    problem(
        "method-not-allowed",
        405,
        "The path does not have this method.",
        "The detail and the header Allow list its methods.",
    ),
    problem(
        "timeout",
        408,
        "The body did not arrive in time.",
        "Send smaller requests, or raise server.body_timeout for clients on slow lines.",
    ),
    problem(
        "conflict",
        409,
        "It contradicts the current state: other bytes for a plugin's version, a name that is in use, the last admin key.",
        "The detail has the reason. A plugin's version never changes: raise the version in its Cargo.toml.",
    ),
    problem(
        "in-use",
        409,
        "The definition cannot be deleted because others use it. Nothing has changed.",
        "'users' lists them: change or delete them first, or all together with POST /v1/changes.",
    ),
    problem(
        "not-kept",
        409,
        "A view's value at this time needs tiles or buckets that the view does not keep any more.",
        "Choose a time from 'from' of the error on, up to 'to' if that is not null. For earlier times, give the stream more \
         'lateness', or make a view with 'every' and 'keep'.",
    ),
    problem(
        "revision-mismatch",
        412,
        "If-Match or If-None-Match does not hold: another request created or changed it meanwhile.",
        "Read it again, change the current revision, and send it with the new ETag.",
    ),
    problem(
        "too-large",
        413,
        "The body or the number of events exceeds a limit. The uncompressed size of a body counts.",
        "Send several smaller requests, or raise server.max_body_mib, server.max_events or plugins.max_size_mib.",
    ),
    problem(
        "unsupported-media-type",
        415,
        "The content type or the content encoding is not supported here.",
        "The detail lists the supported ones.",
    ),
    problem(
        "invalid-definition",
        422,
        "A stream, view or rule does not fit its schema, its stream or the others. Nothing has changed.",
        "Every entry of 'problems' has the definition, the place in it and the message. Try it with assay apply --dry-run.",
    ),
    problem(
        "invalid-events",
        422,
        "All events were refused; nothing was stored.",
        "Every entry of 'errors' has the row and the reason. GET /v1/streams/NAME shows the schema.",
    ),
    problem(
        "invalid-plugin",
        422,
        "The host refuses the plugin: it is not WebAssembly, has imports, takes too long to compile, or has an invalid \
         manifest.",
        "Check it without a server: assay plugin inspect FILE. Build it with assay plugin build.",
    ),
    problem(
        "internal",
        500,
        "The server failed.",
        "Read the server's log at the time of the request, and report the failure.",
    ),
    problem(
        "unsupported",
        501,
        "The stores in use do not support it.",
        "The detail has the store and the alternative.",
    ),
    problem(
        "overloaded",
        503,
        "Too many bytes of bodies are in memory, or too many clients read live verdicts.",
        "Send it again after Retry-After. If it happens often, add workers or processes, or raise server.max_in_flight_mib.",
    ),
    problem(
        "scoring-behind",
        503,
        "Too many events of a partition wait to be scored. Nothing of the request was stored.",
        "Send it again after Retry-After. If it happens often: assay rule status shows the time of each rule; add workers or \
         processes, or raise the engine.max_unscored_ setting in the detail.",
    ),
    problem(
        "unavailable",
        503,
        "A store does not answer.",
        "Send it again after Retry-After. GET /readyz and the server's log have the store and the reason.",
    ),
    problem(
        "http",
        400,
        "An error of HTTP itself without a code of its own; see its status.",
        "The status and the detail have the reason.",
    ),
];

/// Finds a code, with or without `urn:assay:`.
pub fn find(code: &str) -> Option<&'static Code> {
    let code = code.trim().strip_prefix("urn:assay:").unwrap_or(code.trim());
    CODES.iter().find(|known| known.code == code)
}

/// The code nearest to an unknown one.
pub fn nearest(code: &str) -> Option<&'static str> {
    let distances = CODES.iter().map(|known| (strsim::osa_distance(code, known.code), known.code));
    distances.min().filter(|(distance, _)| *distance <= (code.len() / 3).max(1)).map(|(_, code)| code)
}
