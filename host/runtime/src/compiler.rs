//! Compiling in a process of its own, whose CPU time and memory the operating system bounds: a compiler cannot be stopped
//! from within, and some uploads keep it busy for minutes, or make it fill the memory.
//!
//! The child is this program itself, called so that it ends in [`compile_in_child`]. It reads the upload from its
//! standard input; it writes machine code to standard output and ends with 0, or says on standard error what is wrong
//! and ends with 1.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use crate::error::PluginError;
use crate::limits::RuntimeConfig;
use crate::runtime::engine_config;
use crate::upload::Upload;

/// More threads would need more memory for their stacks than a compilation gains by them.
const MAX_THREADS: usize = 8;
/// How much of what a child says is told: its end, where a panic or an abort explains itself.
const MAX_WORDS: usize = 500;

/// How the process that compiles is started, and what it may use.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// A program and its arguments, such as `/usr/bin/assay compile-plugin`. Two more are appended, which
    /// [`compile_in_child`] takes: seconds of CPU time, bytes of memory.
    pub command: Vec<OsString>,
    /// CPU time of one compilation, over all threads, to the second.
    pub time: Duration,
    /// Memory of one compilation, in bytes. Enforced on Linux; other systems count it differently or not at all.
    pub memory_bytes: u64,
}

impl Compiler {
    /// Machine code of an upload, for an engine with the same settings.
    pub(crate) fn compile(&self, upload: &[u8]) -> Result<Vec<u8>, PluginError> {
        let setup = |error: &dyn std::fmt::Display| {
            PluginError::Setup(format!("the process that compiles plugins does not start: {error}"))
        };
        let (program, arguments) = self.command.split_first().ok_or_else(|| setup(&"no program is named"))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let mut child = Command::new(program)
            .args(arguments)
            .args([self.seconds().to_string(), self.memory_bytes.to_string()])
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| setup(&error))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                // A child that ends early does not read everything; why it ended is told below.
                let _ = stdin.map(|mut stdin| stdin.write_all(upload));
            });
            child.wait_with_output()
        });
        let output = output.map_err(|error| setup(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.failure(output.status, &String::from_utf8_lossy(&output.stderr)))
    }

    fn seconds(&self) -> u64 {
        self.time.as_secs().max(1)
    }

    fn failure(&self, status: ExitStatus, words: &str) -> PluginError {
        let words = words.trim();
        if status.code() == Some(1) {
            return PluginError::Refused(words.to_owned());
        }
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal: Option<i32> = None;
        if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
            return PluginError::CompileTime { seconds: self.seconds() };
        }
        // The words of Rust's allocator when it gives up.
        if words.contains("memory allocation of") {
            return PluginError::CompileMemory { mib: self.memory_bytes >> 20 };
        }
        let end = words.ceil_char_boundary(words.len().saturating_sub(MAX_WORDS));
        PluginError::Compile(format!("the process that compiles ended with {status}: {}", &words[end..]))
    }
}

/// What the child does, with the limits that it was called with: it bounds itself, and compiles standard input to
/// standard output.
///
/// # Errors
/// Says what is wrong with the upload; its text belongs on standard error, before the process ends with 1.
pub fn compile_in_child(seconds: u64, memory_bytes: u64) -> Result<(), PluginError> {
    let setup = |error: &dyn std::fmt::Display| PluginError::Setup(error.to_string());
    let limit = |resource, current, maximum| {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) }).map_err(|error| setup(&error))
    };
    limit(Resource::Core, 0, 0)?;
    // At the first a signal that tells the time was over, at the second the end without one.
    limit(Resource::Cpu, seconds, seconds + 2)?;
    // What is written to, in private mappings; addresses that are only reserved cost nothing.
    limit(Resource::Data, memory_bytes, memory_bytes)?;

    let mut upload = Vec::new();
    std::io::stdin().lock().read_to_end(&mut upload).map_err(|error| setup(&error))?;
    // Its size was checked by who called.
    let config = RuntimeConfig {
        max_module_bytes: usize::MAX,
        max_functions: u32::MAX,
        max_function_bytes: usize::MAX,
        ..RuntimeConfig::default()
    };
    let engine = Engine::new(&engine_config(&config)).map_err(|error| setup(&format!("{error:#}")))?;
    let component = Upload::read(&upload, &config)?.component()?;
    let code = engine.precompile_component(&component).map_err(|error| PluginError::Compile(format!("{error:#}")))?;
    let mut out = std::io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(|error| setup(&error))
}
