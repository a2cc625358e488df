//! Every code that a dead letter or an error of the API can have: its cause, and what to do. Tests compare this table with
//! the sources and with the docs.

/// What a code means.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The code. An error of the API has it behind `urn:assay:`.
    pub code: &'static str,
    /// Where it is met.
    pub of: Of,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// Where a code is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A dead letter.
    DeadLetter,
    /// A problem that the API answers, with this status.
    Problem(u16),
}

const fn letter(code: &'static str, cause: &'static str, advice: &'static str) -> Code {
    Code { code, of: Of::DeadLetter, cause, advice }
}

const fn problem(code: &'static str, status: u16, cause: &'static str, advice: &'static str) -> Code {
    Code { code, of: Of::Problem(status), cause, advice }
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
        "Mend the clock, or the unit, of whoever sends it. Where times to come are meant, such as bookings, give the \
         stream a longer max_ahead, or max_ahead: none.",
    ),
    letter(
        "time-out-of-range",
        "The event's own time is more than 2^60 ms before or after 1970, which no view can hold. Over HTTP such events \
         are refused.",
        "Look at its unit: nanoseconds in a field of timestamp-millis, for example.",
    ),
    letter(
        "plugin-trap",
        "The plugin trapped on this event. In Rust that is a panic: an index out of range, an overflow, an unwrap. The \
         message names the functions where it happened.",
        "Run the event in a native test of the plugin (assay plugin test), where the panic has a message and a line; \
         raise the version and push it again.",
    ),
    letter(
        "plugin-deadline",
        "The plugin took more CPU time than it may.",
        "Look for a loop that does not end on this input. If the plugin needs the time, raise plugins.time_per_event.",
    ),
    letter(
        "plugin-out-of-memory",
        "The plugin wanted more memory than it may have.",
        "Look for an allocation sized by the input, or for memory that grows from call to call. If the plugin needs it, \
         raise plugins.memory_mib.",
    ),
    letter(
        "plugin-refused",
        "The plugin answered with an error; the dead letter's message is its own.",
        "Read the message: the plugin's author wrote it for this case.",
    ),
    letter(
        "plugin-malformed",
        "The plugin's answer breaks the contract or a limit: an infinite score, too large a state, an index out of range.",
        "Answer as wit/plugin.wit says. If the state is too large, keep less of it, or raise plugins.state_bytes.",
    ),
    letter(
        "plugin-missing",
        "The worker had no instance of the rule's plugin. This does not happen while a server runs well.",
        "Look into the server's log, and report it.",
    ),
    letter(
        "state-migration",
        "The plugin could not carry the entity's state over from the layout of an earlier version.",
        "Push a version whose 'migrate' takes the older layout; the state is kept until then.",
    ),
    letter(
        "score-infinite",
        "The rule's expression gave an infinite score, mostly by a division by zero.",
        "Guard the division, such as spent / max(double(count), 1.0).",
    ),
    letter(
        "event-malformed",
        "The event's bytes are no record of the schema, or do not begin as the stream's 'format' says.",
        "Find the producer by the partition and offset, and let it write with the stream's schema and format.",
    ),
    letter(
        "event-incomplete",
        "The event lacks its key, its time or its id, which the stream needs of every event.",
        "Find the producer by the partition and offset, and let it fill in these fields.",
    ),
    letter(
        "event-panicked",
        "The event makes the server panic: a mistake in Assay. No rule judges it, and no view counts it.",
        "Report it with the message, which has the panic's words and place. All other events are scored as usual.",
    ),
    letter(
        "event-key-invalid",
        "The event's key or id is empty, has more than 1024 bytes, or is '.' or '..', which no URL can name.",
        "Read the message: it names the field. Let the producer write another text there, such as a digest of a long one.",
    ),
    letter(
        "event-empty",
        "The message has no value (a tombstone).",
        "Streams take no tombstones: let the producer send only events.",
    ),
    letter(
        "event-too-large",
        "The message has more than 1 MiB.",
        "Let the producer send smaller events, with large contents kept elsewhere and named in the event.",
    ),
    letter(
        "schema-unknown",
        "The message names a schema that the registry does not have.",
        "Let the producer register its schema in the registry that kafka.schema_registry names.",
    ),
    letter(
        "schema-incompatible",
        "The message's schema is known, but the stream's schema cannot read what was written with it.",
        "Read the message: it names the field. Let the producer write it as the stream has it, or with a default.",
    ),
    letter(
        "store-refused",
        "A store refuses to keep something of this event for good; the dead letter's message has the store's words.",
        "Read the message. The event is scored and in the log; only that store lacks it.",
    ),
    problem(
        "bad-request",
        400,
        "A parameter, a header or a body cannot be read.",
        "The detail says which and where; a misspelt parameter is told with the nearest name.",
    ),
    problem(
        "unauthorized",
        401,
        "There is no API key, or none with this secret.",
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
        "It is not there, or is not there any more.",
        "Look for the name: assay rule list, GET /v1/streams.",
    ),
    problem(
        "entity-not-found",
        404,
        "No event of this entity was seen, or nothing is held of it any more; of a node of the graph: it has no edge.",
        "Look at the spelling of the key. Stores follow the log: what was sent this moment is there a moment later.",
    ),
    problem(
        "method-not-allowed",
        405,
        "The path is there, but not with this method.",
        "The detail and the header Allow say which methods it takes.",
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
        "It contradicts what is there: a plugin's version with other bytes, a name that is taken, the last admin key.",
        "The detail says what. A plugin's version never changes: raise the version in its Cargo.toml.",
    ),
    problem(
        "in-use",
        409,
        "Something cannot be deleted because others use it. Nothing has changed.",
        "'users' names them: change or delete them first, or all of it together with POST /v1/changes.",
    ),
    problem(
        "not-kept",
        409,
        "A view's value at a time before the entity's newest event would cover events that the view has let go of.",
        "Ask for a time from 'from' of the error on; up to 'to', where that is not null. To reach further back, give the \
         stream more 'lateness', or make a view with 'every' and 'keep'.",
    ),
    problem(
        "revision-mismatch",
        412,
        "If-Match or If-None-Match does not hold: somebody else made or changed it meanwhile.",
        "Read it again, make the change to what is there now, and send it with the new ETag.",
    ),
    problem(
        "too-large",
        413,
        "The body or the number of events is over a limit. Compressed bodies count as what they become.",
        "Send several smaller requests, or raise server.max_body_mib, server.max_events or plugins.max_size_mib.",
    ),
    problem(
        "unsupported-media-type",
        415,
        "The content type or the content encoding is not taken here.",
        "The detail says what is taken.",
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
        "The host does not take the plugin: it is no WebAssembly, imports something, takes too much to compile, or its \
         manifest is wrong.",
        "Check it without a server: assay plugin inspect FILE. Build it with assay plugin build.",
    ),
    problem(
        "internal",
        500,
        "The server failed.",
        "Look into the server's log at the time of the request, and report it.",
    ),
    problem(
        "unsupported",
        501,
        "The stores in use cannot do it.",
        "The detail says which store, and what to do instead.",
    ),
    problem(
        "overloaded",
        503,
        "Too many bytes of bodies, or too many followers of live verdicts, are there already.",
        "Send it again after Retry-After. If it stays so, add workers or processes, or raise server.max_in_flight_mib.",
    ),
    problem(
        "scoring-behind",
        503,
        "So much of a partition waits to be scored that no more is taken in. Nothing of the request was stored.",
        "Send it again after Retry-After. If it stays so: assay rule status shows which rule takes the time; add workers or \
         processes, or raise the engine.max_unscored_ setting that the detail names.",
    ),
    problem(
        "unavailable",
        503,
        "A store does not answer.",
        "Send it again after Retry-After. GET /readyz and the server's log say which store and why.",
    ),
    problem(
        "http",
        400,
        "An error of HTTP itself that has no code of its own; its status says which.",
        "The status and the detail say what the request lacks.",
    ),
];

/// What a code means, written with or without `urn:assay:`.
pub fn find(code: &str) -> Option<&'static Code> {
    let code = code.trim().strip_prefix("urn:assay:").unwrap_or(code.trim());
    CODES.iter().find(|known| known.code == code)
}

/// The code nearest to a misspelt one.
pub fn nearest(code: &str) -> Option<&'static str> {
    let distances = CODES.iter().map(|known| (strsim::osa_distance(code, known.code), known.code));
    distances.min().filter(|(distance, _)| *distance <= (code.len() / 3).max(1)).map(|(_, code)| code)
}
