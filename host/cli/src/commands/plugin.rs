//! `assay plugin`: make, build, test, look at and upload plugins.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use assay_runtime::{Runtime, RuntimeConfig};
use assay_toolchain::{Build, find, scaffold};
use indicatif::ProgressBar;
use serde_json::json;

use super::{Output, effects, field, print, say};
use crate::client::{Body, Client, ServerArgs};

/// Make, build, test, look at and upload plugins.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay plugin new my-scorer      a new crate with a working scorer and a test
  cd my-scorer && assay plugin test
  assay plugin build              to WebAssembly; prints the file
  assay plugin push               build and upload
  assay plugin inspect FILE.wasm  what a plugin says of itself")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new plugin: a crate with a working scorer, a test, and the SDK beside it.
    New {
        /// Its name: a-z, 0-9 and '-'.
        name: String,
        /// Where; a folder of the plugin's name, without it.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Build a plugin to WebAssembly.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Run a plugin's tests natively, without WebAssembly.
    Test {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Upload a plugin: a .wasm file, or a folder that is built first.
    Push {
        /// The file or folder.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Build, check on the server, and tell which rules would take it up; upload nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a .wasm file as the server would, and show what it says of itself.
    Inspect {
        /// The file.
        file: PathBuf,
    },
}

/// Does what was asked.
///
/// # Errors
/// What stands in the way, and what to do.
pub fn run(args: &Args, server: &ServerArgs, output: Output) -> Result<()> {
    match &args.action {
        Action::New { name, dir } => new(name, dir.as_deref().unwrap_or_else(|| Path::new(name))),
        Action::Build { dir } => {
            for module in build(dir)? {
                say(&format!("{}\n", module.display()));
            }
            Ok(())
        }
        Action::Test { dir } => {
            let status = Command::new("cargo").arg("test").current_dir(dir).status().context("cannot run cargo")?;
            ensure!(status.success(), "the tests failed");
            Ok(())
        }
        Action::Push { path, dry_run } => push(path, *dry_run, &Client::new(server)?, output),
        Action::Inspect { file } => inspect(file, output),
    }
}

fn new(name: &str, dir: &Path) -> Result<()> {
    scaffold(name, dir)?;
    let dir = dir.display();
    say(&format!("made {dir}: a scorer in src/lib.rs with a test\n\nnext:\n"));
    say(&format!("  cd {dir}\n  assay plugin test     # natively\n  assay plugin push     # build and upload\n"));
    Ok(())
}

fn build(dir: &Path) -> Result<Vec<PathBuf>> {
    ensure!(dir.join("Cargo.toml").is_file(), "{} has no Cargo.toml: give the plugin's folder", dir.display());
    let toolchain = find(dir)?;
    let bar = ProgressBar::new_spinner().with_message("building");
    bar.enable_steady_tick(Duration::from_millis(200));
    let built = toolchain.build(&Build::release(dir), &mut |line| bar.set_message(line.trim().to_owned()));
    bar.finish_and_clear();
    Ok(built?)
}

fn push(path: &Path, dry_run: bool, client: &Client, output: Output) -> Result<()> {
    let modules = if path.is_dir() { build(path)? } else { vec![path.to_owned()] };
    for module in modules {
        let wasm = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let route = if dry_run { "/v1/plugins?dry_run=true" } else { "/v1/plugins" };
        let uploaded = client.request("POST", route, &Body::Bytes("application/wasm", &wasm))?;
        print(output, &uploaded, |plugin| {
            let (name, version, digest) = (field(plugin, "name"), field(plugin, "version"), field(plugin, "digest"));
            format!("{name}@{version} {digest}\n{}", effects(plugin))
        });
    }
    Ok(())
}

fn inspect(file: &Path, output: Output) -> Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let plugin = Runtime::new(RuntimeConfig::default())?.load(&wasm)?;
    let manifest = plugin.manifest();
    let value = json!({ "digest": plugin.digest(), "size": wasm.len(), "manifest": manifest });
    print(output, &value, |_| {
        let mut text = format!("{} {}\n", manifest.name, manifest.version);
        text.push_str(&format!("{}\n\n", manifest.doc.trim()));
        text.push_str(&format!("digest   {}\nsize     {} bytes\n", plugin.digest(), wasm.len()));
        let state = manifest.state_version.map_or("none".to_owned(), |version| format!("version {version}"));
        text.push_str(&format!("state    {state}\ninputs\n"));
        for input in &manifest.inputs {
            let kind = format!("{:?}", input.kind).to_lowercase();
            let need = if input.required { "required" } else { "optional" };
            text.push_str(&format!("  {:<16} {kind:<10} {need}  {}\n", input.name, input.doc.trim()));
        }
        for (what, names) in [("tags", &manifest.tags), ("reasons", &manifest.reasons), ("edges", &manifest.edges)] {
            if !names.is_empty() {
                text.push_str(&format!("{what:<8} {}\n", names.join(", ")));
            }
        }
        text.push_str(&format!("config   {:#}\n", manifest.config_schema));
        text
    });
    Ok(())
}
