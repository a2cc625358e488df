//! The `assay` command: parse, run, tell what went wrong.

use std::process::ExitCode;

use assay::args::Args;
use clap::Parser as _;

fn main() -> ExitCode {
    match Args::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
