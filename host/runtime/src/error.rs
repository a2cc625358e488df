//! Errors of uploads (`PluginError`), manifests (`ManifestError`), rows (`ScoreError`) and batches (`Unfinished`).

use std::fmt;
use std::time::Duration;

use assay_core::failure_code::FailureCode;

/// The reason why bytes are no plugin, or why a plugin cannot run with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The upload is empty.
    #[error("expected a WebAssembly module or component, found 0 bytes")]
    Empty,
    /// It has more bytes than allowed.
    #[error(
        "the plugin has {bytes} bytes, at most {max} are allowed; build it with --release and strip debug information"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// It is not WebAssembly, or damaged.
    #[error("expected a WebAssembly module or component, but the bytes cannot be read: {0}")]
    NotWasm(String),
    /// It would take too long to compile.
    #[error("{what}: {found} found, at most {max} are allowed")]
    TooComplex {
        /// The counted thing.
        what: &'static str,
        /// The count.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// It imports something, by these names.
    #[error("a plugin may import nothing, this one imports {}", ImportList(.0))]
    Imports(Vec<String>),
    /// It is a core module that exports no function of an interface.
    #[error(
        "this module exports no function of an interface, such as assay:plugin/scoring@1.0.0#score: build it with the \
         Assay SDK, or with wit-bindgen and the package assay:plugin"
    )]
    NoInterface,
    /// It exports another interface than the contract's.
    #[error("expected a plugin that exports assay:plugin/scoring@1, found {found}")]
    WrongWorld {
        /// The names of its exports.
        found: String,
    },
    /// Its exports do not have the contract's types.
    #[error("the plugin does not fit assay:plugin@1: {0}")]
    Misfit(String),
    /// wasmtime refused to compile it.
    #[error("the plugin cannot be compiled: {0}")]
    Compile(String),
    /// The compiling process refused it; the text is that of one of the errors above.
    #[error("{0}")]
    Refused(String),
    /// Compiling it takes too long.
    #[error(
        "compiling the plugin was stopped after {seconds} s of CPU time: leave out code that it does not need, divide \
         its largest functions, or raise plugins.compile_time of the server"
    )]
    CompileTime {
        /// The limit on CPU time, in seconds.
        seconds: u64,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling the plugin was stopped because it takes more than {mib} MiB of memory: leave out code that it does \
         not need, divide its largest functions, or raise plugins.compile_memory_mib of the server"
    )]
    CompileMemory {
        /// The limit on memory, in MiB.
        mib: u64,
    },
    /// It cannot be instantiated within the limits.
    #[error("the plugin cannot be started: {0}")]
    Start(String),
    /// It failed in `describe`.
    #[error("the plugin failed in `describe`: {0}")]
    Describe(ScoreError),
    /// Its manifest breaks a rule.
    #[error("the plugin's manifest is not valid: {0}")]
    Manifest(#[from] ManifestError),
    /// It refused its config; the text is the plugin's own.
    #[error("the plugin refuses the config: {0}")]
    ConfigRefused(String),
    /// It failed in `configure`.
    #[error("the plugin failed in `configure`: {0}")]
    Configure(ScoreError),
    /// The runtime could not be set up.
    #[error("the WebAssembly runtime cannot be set up: {0}")]
    Setup(String),
}

/// Displays imports, each with advice.
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

/// The advice for the author of a plugin with this import.
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

/// The rule that a manifest breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A name has a wrong form.
    #[error("{what} '{name}' is not a name: {why}")]
    Name {
        /// The kind of the named thing.
        what: &'static str,
        /// The name, shortened.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// A name appears twice.
    #[error("{what} '{name}' appears twice")]
    Duplicate {
        /// The kind of the named thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The version is not a semantic version.
    #[error("version '{version}' is not a semantic version such as 1.2.0: {why}")]
    Version {
        /// The version, shortened.
        version: String,
        /// The mistake.
        why: String,
    },
    /// The config schema is not a JSON object.
    #[error("the config schema must be a JSON Schema object: {0}")]
    Schema(String),
    /// A list is too long, or a text.
    #[error("{what}: {found} found, at most {max} are allowed")]
    TooMuch {
        /// The counted thing.
        what: &'static str,
        /// The count.
        found: usize,
        /// The limit.
        max: usize,
    },
}

/// The reason why a row has no verdict, or why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The guest trapped. The text is the message of the plugin's panic, if it has left one, else that of wasmtime,
    /// with the names of the functions on the stack.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It used up its CPU time.
    #[error("the plugin was stopped after {ms} ms")]
    Deadline {
        /// The limit on CPU time, in milliseconds.
        ms: u64,
    },
    /// It requested more memory or table elements than allowed.
    #[error("the plugin ran out of memory: {0}")]
    OutOfMemory(String),
    /// It answered with an error; the text is the plugin's own.
    #[error("the plugin refused: {0}")]
    Refused(String),
    /// Its answer breaks the contract.
    #[error("the plugin's answer is malformed: {0}")]
    Malformed(String),
    /// The host interrupted it. That is no failure of a row; see [`Unfinished`].
    #[error("the plugin was interrupted")]
    Interrupted,
}

/// The reason why a batch was abandoned. Its rows are neither scored nor failed; they must be scored again from the
/// states before the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// Its [`Interrupt`](crate::Interrupt) was raised.
    #[error("the call was interrupted")]
    Interrupted,
    /// It took more CPU time than one batch may. The rows must be scored in smaller batches.
    #[error("the batch was given up after {} ms, to go on with smaller ones", .spent.as_millis())]
    TooSlow {
        /// The CPU time that it took.
        spent: Duration,
        /// The wall time of its calls that ran out of time or memory.
        exhausted: Duration,
    },
}

impl ScoreError {
    /// True if the call ran out of time or memory. Such failures take far longer than others.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::OutOfMemory(_))
    }

    /// The code of the error, for dead letters and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap(_) => FailureCode::PluginTrap.as_str(),
            Self::Deadline { .. } => FailureCode::PluginDeadline.as_str(),
            Self::OutOfMemory(_) => FailureCode::PluginOutOfMemory.as_str(),
            Self::Refused(_) => FailureCode::PluginRefused.as_str(),
            Self::Malformed(_) => FailureCode::PluginMalformed.as_str(),
            Self::Interrupted => "interrupted",
        }
    }

    /// Advice for the plugin's author.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Trap(_) => {
                "In Rust this is a panic: an index out of range, an overflow, an unwrap. The message has its words and its \
                 line, if the plugin was built with the SDK of this version, and the functions where it happened. Run \
                 the event in a native test of the plugin."
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
