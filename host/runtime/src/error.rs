//! What can go wrong: with an upload (`PluginError`) and with a row (`ScoreError`).

use std::fmt;
use std::time::Duration;

/// Why bytes are not taken as a plugin, or why a plugin cannot run with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// Nothing was uploaded.
    #[error("expected a WebAssembly module or component, found 0 bytes")]
    Empty,
    /// More bytes than allowed.
    #[error(
        "the plugin has {bytes} bytes, at most {max} are allowed; build it with --release and strip debug information"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not WebAssembly, or damaged.
    #[error("expected a WebAssembly module or component, but the bytes cannot be read: {0}")]
    NotWasm(String),
    /// Too costly to compile.
    #[error("{what}: {found} found, at most {max} are allowed")]
    TooComplex {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// The plugin wants something of the host.
    #[error("a plugin may import nothing, this one imports {}", ImportList(.0))]
    Imports(Vec<String>),
    /// A core module without any function of an interface.
    #[error(
        "this module exports no function of an interface, such as assay:plugin/scoring@1.0.0#score: build it with the \
         Assay SDK, or with wit-bindgen and the package assay:plugin"
    )]
    NoInterface,
    /// It implements something else.
    #[error("expected a plugin that exports assay:plugin/scoring@1, found {found}")]
    WrongWorld {
        /// What it exports.
        found: String,
    },
    /// It implements the contract wrongly.
    #[error("the plugin does not fit assay:plugin@1: {0}")]
    Misfit(String),
    /// wasmtime refused to compile it.
    #[error("the plugin cannot be compiled: {0}")]
    Compile(String),
    /// The process that compiles refused it, in the words of one of the errors above.
    #[error("{0}")]
    Refused(String),
    /// Compiling it takes too long.
    #[error(
        "compiling the plugin was stopped after {seconds} s of CPU time: leave out code that it does not need, divide \
         its largest functions, or raise plugins.compile_time of the server"
    )]
    CompileTime {
        /// CPU time that it was allowed.
        seconds: u64,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling the plugin was stopped because it takes more than {mib} MiB of memory: leave out code that it does \
         not need, divide its largest functions, or raise plugins.compile_memory_mib of the server"
    )]
    CompileMemory {
        /// Memory that it was allowed, in MiB.
        mib: u64,
    },
    /// It cannot be instantiated within the limits.
    #[error("the plugin cannot be started: {0}")]
    Start(String),
    /// It failed while it was asked what it is.
    #[error("the plugin failed in `describe`: {0}")]
    Describe(ScoreError),
    /// Its manifest breaks a rule.
    #[error("the plugin's manifest is not valid: {0}")]
    Manifest(#[from] ManifestError),
    /// It refused its config; the text is the plugin's own.
    #[error("the plugin refuses the config: {0}")]
    ConfigRefused(String),
    /// It failed while it was configured.
    #[error("the plugin failed in `configure`: {0}")]
    Configure(ScoreError),
    /// The runtime could not be set up.
    #[error("the WebAssembly runtime cannot be set up: {0}")]
    Setup(String),
}

/// Imports, each with what to do about it.
struct ImportList<'a>(&'a [String]);

impl fmt::Display for ImportList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}`{name}` ({})", import_advice(name))?;
        }
        Ok(())
    }
}

/// What an author does about an import.
fn import_advice(name: &str) -> &'static str {
    if name.starts_with("wasi") {
        "build for wasm32-unknown-unknown and use no clock, randomness, file, environment or printing"
    } else if name.starts_with("__wbindgen") || name.starts_with("wbg") {
        "a dependency expects a browser: turn off its `js` or `wasm-bindgen` feature"
    } else if name.starts_with("assay:plugin") {
        "this host knows no such interface: build with the SDK of the host's version"
    } else {
        "remove the dependency that needs it, or link what it names into the module"
    }
}

/// Which rule a manifest breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A name with a wrong form.
    #[error("{what} '{name}' is not a name: {why}")]
    Name {
        /// What it names.
        what: &'static str,
        /// The name, shortened.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// A name that appears twice.
    #[error("{what} '{name}' appears twice")]
    Duplicate {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Not a semantic version.
    #[error("version '{version}' is not a semantic version such as 1.2.0: {why}")]
    Version {
        /// The version, shortened.
        version: String,
        /// What is wrong.
        why: String,
    },
    /// The config schema is not a JSON object.
    #[error("the config schema must be a JSON Schema object: {0}")]
    Schema(String),
    /// Too many or too long.
    #[error("{what}: {found} found, at most {max} are allowed")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many, or how long.
        found: usize,
        /// The limit.
        max: usize,
    },
}

/// Why a row has no verdict, or why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The guest trapped; the text is wasmtime's, with the names of the functions where that happened.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It took longer than allowed.
    #[error("the plugin was stopped after {ms} ms")]
    Deadline {
        /// CPU time that it was allowed, in milliseconds.
        ms: u64,
    },
    /// It wanted more memory or table elements than allowed.
    #[error("the plugin ran out of memory: {0}")]
    OutOfMemory(String),
    /// It answered with an error; the text is the plugin's own.
    #[error("the plugin refused: {0}")]
    Refused(String),
    /// Its answer breaks the contract.
    #[error("the plugin's answer is malformed: {0}")]
    Malformed(String),
    /// The host stopped it for reasons of its own. No row has failed by that; see [`Unfinished`].
    #[error("the plugin was interrupted")]
    Interrupted,
}

/// Why a batch was given up. Nothing is known of its rows: they are neither scored nor failed, and must be scored again
/// from the states that they had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// Its [`Interrupt`](crate::Interrupt) was raised.
    #[error("the call was interrupted")]
    Interrupted,
    /// It took more of its thread's time than one batch may: a smaller batch does not.
    #[error("the batch was given up after {} ms, to go on with smaller ones", .spent.as_millis())]
    TooSlow {
        /// CPU time.
        spent: Duration,
        /// Wall time of the calls that ran out of time or memory.
        exhausted: Duration,
    },
}

impl ScoreError {
    /// True if the call ran out of time or memory: failures that take far longer than others.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::OutOfMemory(_))
    }

    /// The kind of error, for dead letters and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap(_) => "plugin-trap",
            Self::Deadline { .. } => "plugin-deadline",
            Self::OutOfMemory(_) => "plugin-out-of-memory",
            Self::Refused(_) => "plugin-refused",
            Self::Malformed(_) => "plugin-malformed",
            Self::Interrupted => "interrupted",
        }
    }

    /// What the plugin's author can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Trap(_) => {
                "In Rust this is a panic: an index out of range, an overflow, an unwrap, in the functions that are named. \
                 Run the event in a native test of the plugin, where the panic has a message and a line."
            }
            Self::Deadline { .. } => {
                "Look for a loop that does not end on this input. A plugin that needs the time gets it by \
                 limits.time_per_event of the rule."
            }
            Self::OutOfMemory(_) => {
                "Look for an allocation sized by the input, or for memory that grows from call to call. A plugin that \
                 needs the memory gets it by limits.memory of the rule."
            }
            Self::Refused(_) => "The text is the plugin's own. Replay the event when the plugin takes it.",
            Self::Malformed(_) => {
                "Answer as wit/plugin.wit says: one score per row or none, finite numbers, indices in range, lists \
                 ordered by row, a state per entity, all within the rule's limits."
            }
            Self::Interrupted => "The rules were changed or the server stopped meanwhile; the event is scored again.",
        }
    }
}
