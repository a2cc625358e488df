//! Runs seeds of the engine's simulator, as long as wanted; a seed that failed can be run again alone. With `--mutations`
//! each planted bug of `host/engine/mutations` is put into a copy of the tree, and the simulator has to find it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, root, target};

/// The folder of planted bugs.
const MUTATIONS: &str = "host/engine/mutations";
/// The time in which each of them has to be found, in seconds.
const MUTATION_SECONDS: u64 = 60;
/// The seed that each of them is tried with first.
const FIRST_MUTATION_SEED: u64 = 1_000_000;
/// The words of a failure that are shown.
const MAX_SHOWN_CHARS: usize = 100;
/// What is copied to plant bugs.
const COPIED: [&str; 10] =
    ["Cargo.toml", "Cargo.lock", "clippy.toml", "docs", "host", "plugin-sdk", "plugins", "rules", "wit", "xtask"];

/// The options of a simulation.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run at most so many seeds.
    #[arg(long, default_value_t = 1_000_000)]
    seeds: u64,
    /// Run at most so many minutes.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Begin with this seed, and run only it unless --seeds is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Lose single blocks of verdicts in each seed, not in some.
    #[arg(long)]
    gaps: bool,
    /// Plant bugs in a copy of the tree, one after the other, and show after how many seeds each is found. Each takes about
    /// a minute to build.
    #[arg(long)]
    mutations: bool,
    /// Only the planted bugs with this in their names.
    #[arg(long, requires = "mutations")]
    only: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.mutations {
        return find_mutations(args);
    }
    let seeds = if args.seed.is_some() && args.seeds == 1_000_000 { 1 } else { args.seeds };
    let wanted = format!("{},{seeds},{}", args.seed.unwrap_or(1), args.minutes * 60);
    let mut command = simulator(&wanted);
    if args.gaps {
        command.env("ASSAY_SIMULATE_GAPS", "1");
    }
    crate::run::run(&mut command)
}

fn simulator(wanted: &str) -> Command {
    let filter = "results_are_those_of_an_undisturbed_run";
    let mut command = cargo(&["test", "--release", "--test", "simulator", "--", "--nocapture", filter]);
    command.env("ASSAY_SIMULATE", wanted);
    command
}

/// A planted bug: a text of a file, and the text in its place.
struct Mutation {
    name: String,
    file: PathBuf,
    original: String,
    mutated: String,
}

fn read_mutation(path: &Path) -> Result<Mutation> {
    let text = std::fs::read_to_string(path)?;
    let format = || format!("{}: expected 'file: PATH', '--- original' and '--- mutated'", path.display());
    let (head, rest) = text.split_once("--- original\n").with_context(format)?;
    let (original, mutated) = rest.split_once("--- mutated\n").with_context(format)?;
    let file = head.lines().find_map(|line| line.strip_prefix("file: ")).with_context(format)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Mutation { name, file: file.into(), original: original.to_owned(), mutated: mutated.to_owned() })
}

fn find_mutations(args: &Args) -> Result<()> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root().join(MUTATIONS))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "patch"));
    paths.sort();
    let copy = target().join("mutations");
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    for path in paths {
        let mutation = read_mutation(&path)?;
        if args.only.as_ref().is_some_and(|only| !mutation.name.contains(only)) {
            continue;
        }
        plant(&mutation, &copy)?;
        let found = run_mutation(&copy, args.seed.unwrap_or(FIRST_MUTATION_SEED))?;
        rows.push(format!("{:40} {found}", mutation.name));
        println!("{}", rows.last().map_or("", String::as_str));
        missed.extend((found == Found::Missed).then_some(mutation.name));
    }
    println!("\n{}", rows.join("\n"));
    ensure!(missed.is_empty(), "planted bugs that were not found: {}", missed.join(", "));
    Ok(())
}

/// The result of seeds on a tree with a planted bug.
#[derive(PartialEq)]
enum Found {
    /// By so many seeds, in this time, with these words.
    By(u64, Duration, String),
    Missed,
}

impl std::fmt::Display for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::By(seeds, time, what) => write!(out, "{seeds:5} seeds {:6.1} s  {what}", time.as_secs_f64()),
            Self::Missed => write!(out, "MISSED in {MUTATION_SECONDS} s"),
        }
    }
}

/// Makes the copy the tree with one planted bug.
fn plant(mutation: &Mutation, copy: &Path) -> Result<()> {
    copy_tree(copy)?;
    let file = copy.join(&mutation.file);
    let source = std::fs::read_to_string(&file)?;
    ensure!(source.matches(&mutation.original).count() == 1, "{}: its original is not there once", mutation.name);
    Ok(std::fs::write(&file, source.replace(&mutation.original, &mutation.mutated))?)
}

/// Builds the copy, and runs seeds until one fails.
fn run_mutation(copy: &Path, first: u64) -> Result<Found> {
    // Dependencies are shared with the tree itself; only the crates of the copy are built again.
    let in_copy = |mut command: Command| {
        command.current_dir(copy).env("CARGO_TARGET_DIR", target());
        command
    };
    crate::run::run(&mut in_copy(cargo(&["test", "--release", "--no-run", "--test", "simulator"])))?;
    let begin = Instant::now();
    let mut run = in_copy(simulator(&format!("{first},1000000,{MUTATION_SECONDS}")));
    let output = run.env("ASSAY_SIMULATE_FIRST", "1").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find_map(|line| line.strip_prefix("FAILED seed ")).and_then(|line| line.split_once(": "));
    match failed {
        Some((seed, what)) => {
            let what = what.chars().take(MAX_SHOWN_CHARS).collect();
            Ok(Found::By(seed.parse::<u64>()? - first + 1, begin.elapsed(), what))
        }
        None => {
            ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
            Ok(Found::Missed)
        }
    }
}

/// Copies the sources. What is built in the copy stays there, so that the next bug builds only what it changes.
fn copy_tree(to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for name in COPIED {
        copy(&root().join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies files whose contents differ, so that cargo sees only these as changed.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let content = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).ok().as_ref() != Some(&content) {
        std::fs::write(to, content)?;
    }
    Ok(())
}
