//! The `assay` command: parses arguments, runs the command, reports errors.

use std::process::ExitCode;

use assay::args::Args;
use assay::failure;
use clap::Parser as _;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return failure::report_usage(error, std::env::args_os()),
    };
    let output = args.output();
    args.run().unwrap_or_else(|error| failure::report_error(&error, output))
}
