//! Compiles plugins in a child process, whose CPU time and memory the operating system bounds. A compiler cannot be
//! stopped from within its process, and some uploads keep it busy for minutes or make it exhaust the memory.
//!
//! The child is this program, started with a command that calls [`compile_in_child`]. It reads the upload from standard
//! input. It writes machine code to standard output and exits with 0, or writes the error to standard error and exits
//! with 1.

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

/// The most threads of a compilation. More would take more memory for their stacks than they gain.
const MAX_THREADS: usize = 8;
/// The most bytes of a child's output in an error: its end, which has the message of a panic or an abort.
const MAX_MESSAGE_BYTES: usize = 500;

/// The command and the limits of the compiling process.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// A program and its arguments, such as `/usr/bin/assay compile-plugin`. Two arguments are appended for
    /// [`compile_in_child`]: seconds of CPU time and bytes of memory.
    pub command: Vec<OsString>,
    /// The CPU time of one compilation over all threads, in whole seconds.
    pub time: Duration,
    /// The memory of one compilation, in bytes. It is enforced on Linux; other systems count it differently or not at
    /// all.
    pub memory_bytes: u64,
}

impl Compiler {
    /// Compiles an upload to machine code, for an engine with the same settings.
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
                // A child that ends early does not read everything; its exit status is handled below.
                let _ = stdin.map(|mut stdin| stdin.write_all(upload));
            });
            child.wait_with_output()
        });
        let output = output.map_err(|error| setup(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.describe_failure(output.status, &String::from_utf8_lossy(&output.stderr)))
    }

    fn seconds(&self) -> u64 {
        self.time.as_secs().max(1)
    }

    fn describe_failure(&self, status: ExitStatus, output: &str) -> PluginError {
        let output = output.trim();
        if status.code() == Some(1) {
            return PluginError::Refused(output.to_owned());
        }
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal: Option<i32> = None;
        if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
            return PluginError::CompileTime { seconds: self.seconds() };
        }
        // The message of Rust's allocator before it aborts.
        if output.contains("memory allocation of") {
            return PluginError::CompileMemory { mib: self.memory_bytes >> 20 };
        }
        let start = output.ceil_char_boundary(output.len().saturating_sub(MAX_MESSAGE_BYTES));
        PluginError::Compile(format!("the process that compiles ended with {status}: {}", &output[start..]))
    }
}

/// The main function of the child: sets its own limits and compiles standard input to standard output.
///
/// # Errors
/// The upload is refused. The caller writes the error's text to standard error and exits with 1.
pub fn compile_in_child(seconds: u64, memory_bytes: u64) -> Result<(), PluginError> {
    let setup = |error: &dyn std::fmt::Display| PluginError::Setup(error.to_string());
    let limit = |resource, current, maximum| {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) }).map_err(|error| setup(&error))
    };
    limit(Resource::Core, 0, 0)?;
    // The soft limit sends SIGXCPU, by which the parent recognises the cause. The hard limit kills the process.
    limit(Resource::Cpu, seconds, seconds + 2)?;
    // This limit counts writable private mappings. Reserved address space does not count.
    limit(Resource::Data, memory_bytes, memory_bytes)?;

    let mut upload = Vec::new();
    std::io::stdin().lock().read_to_end(&mut upload).map_err(|error| setup(&error))?;
    // The parent has checked the size.
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
