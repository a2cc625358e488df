//! The demo: server, plugins, pack, 200,000 payments, their results, and a plugin replaced under load.
//!
//! Everything that is shown is also checked: with `--exit` the task succeeds only if all of it is correct.

mod server;
mod show;
mod swap;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::run::{build_server, root, target};
use crate::{plugins, run};
use server::Server;

/// The options of the demo.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop the server at the end, and fail if a check fails.
    #[arg(long)]
    exit: bool,
    /// The number of payments.
    #[arg(long, default_value_t = 200_000)]
    count: u64,
    /// The address of the server; port 0: any free one.
    #[arg(long, default_value = "127.0.0.1:7717")]
    listen: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let assay = build_server()?;
    let plugins = plugins::build()?;
    let data = target().join("demo");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot clear {}", data.display()))?;
    }
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let mut server = Server::start(&assay, &data.join("data"), &args.listen)?;
    println!("\n1. A server on a fresh data folder: {}", server.url);

    println!("\n2. The pack rules/payments: a stream, views, rules on three plugins, a rule that combines them");
    let pack = root().join("rules").join("payments");
    run::run(server.assay(&["apply"]).arg(pack).arg("--plugins").arg(&plugins))?;

    println!("\n3. {} payments of 100,000 cards, fraud among them", args.count);
    let file = data.join("payments.jsonl");
    let count = args.count.to_string();
    run::run(server.assay(&["generate", "payments", "--count", &count, "--to-file"]).arg(&file))?;
    let started = Instant::now();
    run::run(server.assay(&["ingest", "payments"]).arg(&file))?;
    server.wait_scored(args.count)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("   stored, scored and queryable after {seconds:.1} s: {:.0} events/s", args.count as f64 / seconds);

    show::show_highest_scores(&server)?;
    swap::replace_plugin(&server, &data, args.count)?;

    if args.exit {
        server.stop()?;
        println!("\nAll that was shown was checked.");
        return Ok(());
    }
    println!("\nThe server is up. Look around, then end it with Ctrl-C here:");
    println!("   export ASSAY_URL={} ASSAY_KEY={}", server.url, server.key);
    println!("   curl -H \"Authorization: Bearer $ASSAY_KEY\" \"$ASSAY_URL/v1/scores?rule=payment_risk&limit=3\"");
    server.wait()
}

/// Runs a command, and prints its output only if it fails.
fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed ({}): {said}", output.status);
    Ok(())
}

/// The first and the last id of a file of payments.
fn read_first_and_last_id(file: &Path) -> Result<(String, String)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = |line: Option<&str>| -> Result<String> {
        let event: serde_json::Value = serde_json::from_str(line.context("no payments")?)?;
        Ok(event["id"].as_str().context("a payment without id")?.to_owned())
    };
    Ok((id(text.lines().next())?, id(text.lines().last())?))
}
