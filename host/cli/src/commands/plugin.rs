//! `assay plugin`: creates, builds, tests, inspects and uploads plugins; lists and yanks those of the server.

mod build;
mod catalog;
mod target;

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Output;
use crate::client::{Client, ServerArgs};

/// Make, build, test, upload, list and yank plugins.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay plugin new my-scorer      a new crate with a working scorer and a test
  cd my-scorer && assay plugin test
  assay plugin build              to WebAssembly; prints the file
  assay plugin push               build and upload
  assay plugin inspect FILE.wasm  show a plugin's manifest
  assay plugin list               list the plugins of the server
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
        /// The plugin's name: a-z, 0-9 and '-'.
        name: String,
        /// The folder of the crate; by default named like the plugin.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Build a plugin to WebAssembly.
    #[command(after_help = "\
Examples:
  assay plugin build
  assay plugin build plugins/my-scorer

The common dependencies of plugins are compiled once, in the user's cache folder or in CARGO_TARGET_DIR.")]
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
  assay plugin push --dry-run              list the rules that would switch to it")]
    Push {
        /// The file or folder.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Build, check on the server, and list the rules that would switch to it. Upload nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a .wasm file like the server, and show its manifest.
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
        /// The plugin; by default all.
        name: Option<String>,
    },
    /// Show a version of a plugin: its inputs, its config, its author.
    #[command(after_help = "\
Examples:
  assay plugin show velocity@1.0.0")]
    Show {
        /// The version.
        #[arg(value_name = "NAME@VERSION")]
        version: String,
    },
    /// Yank a version: rules that do not name it exactly switch to another one.
    #[command(after_help = "\
Examples:
  assay plugin yank velocity@1.1.0 --dry-run     list the rules that would switch
  assay plugin yank velocity@1.1.0
  assay plugin yank velocity@1.1.0 --undo        make it available again

A rule with 'velocity@1' switches to the newest version that is not yanked. A rule with 'velocity@1.1.0' keeps it.")]
    Yank {
        /// The version.
        #[arg(value_name = "NAME@VERSION")]
        version: String,
        /// Make the version available again.
        #[arg(long)]
        undo: bool,
        /// List the rules that would switch. Change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The command failed; the message has the remedy.
pub fn run(args: &Args, server: &ServerArgs, output: Output, quiet: bool) -> Result<()> {
    match &args.action {
        Action::New { name, dir } => build::new(name, dir.as_deref().unwrap_or_else(|| Path::new(name)), output),
        Action::Build { dir } => build::print_modules(dir, output, quiet),
        Action::Test { dir } => build::test(dir, quiet),
        Action::Push { path, dry_run } => build::push(path, *dry_run, &Client::new(server)?, output, quiet),
        Action::Inspect { file } => build::inspect(file, output),
        Action::List { name } => catalog::list(name.as_deref(), &Client::new(server)?, output),
        Action::Show { version } => catalog::show(version, &Client::new(server)?, output),
        Action::Yank { version, undo, dry_run } => {
            catalog::yank(version, *undo, *dry_run, &Client::new(server)?, output)
        }
    }
}
