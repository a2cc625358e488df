//! All codes of dead letters and of errors of the API, with causes and remedies. Dead letters have theirs of
//! [`FailureCode`]; tests compare both tables with the docs, and that of problems with the API.

use assay_core::failure_code::FailureCode;

/// A code with its explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

const fn problem(code: &'static str, status: u16, cause: &'static str, advice: &'static str) -> Code {
    Code { code, source: CodeSource::Problem(status), cause, advice }
}

/// The codes of problems.
const PROBLEMS: &[Code] = &[
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

/// All codes: those of dead letters, then those of problems.
pub fn all_codes() -> impl Iterator<Item = Code> {
    let letters = FailureCode::EXPLANATIONS.iter().map(|letter| Code {
        code: letter.text,
        source: CodeSource::DeadLetter,
        cause: letter.cause,
        advice: letter.advice,
    });
    letters.chain(PROBLEMS.iter().copied())
}

/// Finds a code, with or without `urn:assay:`.
pub fn find(code: &str) -> Option<Code> {
    let code = code.trim().strip_prefix("urn:assay:").unwrap_or(code.trim());
    all_codes().find(|known| known.code == code)
}

/// The code nearest to an unknown one.
pub fn nearest(code: &str) -> Option<&'static str> {
    let distances = all_codes().map(|known| (strsim::osa_distance(code, known.code), known.code));
    distances.min().filter(|(distance, _)| *distance <= (code.len() / 3).max(1)).map(|(_, code)| code)
}
