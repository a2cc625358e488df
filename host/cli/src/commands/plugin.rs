//! `assay plugin`: make, build, test, look at and upload plugins; list those of the server, and take versions back.

mod build;
mod catalog;

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Output;
use crate::client::{Client, ServerArgs};

/// Make, build, test, upload and list plugins; take versions back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay plugin new my-scorer      a new crate with a working scorer and a test
  cd my-scorer && assay plugin test
  assay plugin build              to WebAssembly; prints the file
  assay plugin push               build and upload
  assay plugin inspect FILE.wasm  what a plugin says of itself
  assay plugin list               what the server has
  assay plugin yank my-scorer@0.2.0")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new plugin: a crate with a working scorer, a test, and the SDK beside it.
    #[command(after_help = "\
Examples:
  assay plugin new my-scorer
  assay plugin new my-scorer --dir plugins/my-scorer")]
    New {
        /// Its name: a-z, 0-9 and '-'.
        name: String,
        /// Where; a folder of the plugin's name, without it.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Build a plugin to WebAssembly.
    #[command(after_help = "\
Examples:
  assay plugin build
  assay plugin build plugins/my-scorer

What plugins have in common is compiled once, in the user's cache folder, unless CARGO_TARGET_DIR says where.")]
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Run a plugin's tests natively, without WebAssembly.
    #[command(after_help = "\
Examples:
  assay plugin test
  assay plugin test plugins/my-scorer")]
    Test {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Upload a plugin: a .wasm file, or a folder that is built first.
    #[command(after_help = "\
Examples:
  assay plugin push
  assay plugin push target/plugins/velocity.wasm
  assay plugin push --dry-run              which rules would take it up")]
    Push {
        /// The file or folder.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Build, check on the server, and tell which rules would take it up; upload nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a .wasm file as the server would, and show what it says of itself.
    #[command(after_help = "\
Examples:
  assay plugin inspect target/plugins/velocity.wasm")]
    Inspect {
        /// The file.
        file: PathBuf,
    },
    /// List the plugins of the server, the newest version first.
    #[command(after_help = "\
Examples:
  assay plugin list
  assay plugin list velocity     all versions of one plugin")]
    List {
        /// The plugin; all, without it.
        name: Option<String>,
    },
    /// Show a version of a plugin: its inputs, its config, who uploaded it.
    #[command(after_help = "\
Examples:
  assay plugin show velocity@1.0.0")]
    Show {
        /// The version.
        #[arg(value_name = "NAME@VERSION")]
        version: String,
    },
    /// Take a version back: rules that follow newer versions go over to the one before.
    #[command(after_help = "\
Examples:
  assay plugin yank velocity@1.1.0 --dry-run     which rules would go over
  assay plugin yank velocity@1.1.0
  assay plugin yank velocity@1.1.0 --undo        offer it again

A rule that says 'velocity@1' goes over to the newest version that is not yanked; one that says 'velocity@1.1.0' keeps it.")]
    Yank {
        /// The version.
        #[arg(value_name = "NAME@VERSION")]
        version: String,
        /// Offer it again.
        #[arg(long)]
        undo: bool,
        /// Tell which rules would go over; change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what was asked.
///
/// # Errors
/// What stands in the way, and what to do.
pub fn run(args: &Args, server: &ServerArgs, output: Output, quiet: bool) -> Result<()> {
    match &args.action {
        Action::New { name, dir } => build::new(name, dir.as_deref().unwrap_or_else(|| Path::new(name)), output),
        Action::Build { dir } => build::print_modules(dir, output, quiet),
        Action::Test { dir } => build::test(dir),
        Action::Push { path, dry_run } => build::push(path, *dry_run, &Client::new(server)?, output, quiet),
        Action::Inspect { file } => build::inspect(file, output),
        Action::List { name } => catalog::list(name.as_deref(), &Client::new(server)?, output),
        Action::Show { version } => catalog::show(version, &Client::new(server)?, output),
        Action::Yank { version, undo, dry_run } => {
            catalog::yank(version, *undo, *dry_run, &Client::new(server)?, output)
        }
    }
}
