//! `assay compile-plugin`: compiles an upload in a process of its own. Only the server calls it.

use std::ffi::OsString;
use std::process::ExitCode;

/// Compile a plugin from standard input to standard output, within limits: called by the server.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// CPU time, in seconds.
    seconds: u64,
    /// Memory, in bytes.
    memory_bytes: u64,
}

/// The command by which the server calls itself to compile, without the limits; none if its path is unknown.
pub(crate) fn command() -> Option<Vec<OsString>> {
    // On Linux the running program, not its path: a newer version may have replaced the file.
    let program =
        if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().ok()?.into() };
    Some(vec![program, "compile-plugin".into()])
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match assay_runtime::compile_in_child(args.seconds, args.memory_bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
