//! Replaces a plugin while events flow, and checks that no event was lost, failed or was scored twice.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::server::Server;
use super::show::text;
use super::{read_first_and_last_id, run_quietly};
use crate::plugins;
use crate::run::root;

/// Payments sent while the plugin is replaced, and how many a second.
const COUNT: u64 = 60_000;
const RATE: u64 = 20_000;

pub(super) fn replace_plugin(server: &Server, data: &Path, before: u64) -> Result<()> {
    println!("\n7. A new version of a plugin, while {RATE} payments a second come in");
    let next = data.join("velocity-1.1.0");
    next_version(&next)?;
    plugins::build_to(&next, &[], "release", &next)?;
    let verdicts_before = server.counter("assay_verdicts_total")?;
    let failures_before = server.counter("assay_failures_total")?;

    let (count, rate) = (COUNT.to_string(), RATE.to_string());
    let generate = ["generate", "payments", "--seed", "2", "--count", &count];
    let file = data.join("more.jsonl");
    run_quietly(server.assay(&generate).arg("--to-file").arg(&file))?;
    let (first, last) = read_first_and_last_id(&file)?;
    let mut sender = server.assay(&generate);
    let mut sending = sender.args(["--rate", &rate, "--to-stream", "payments"]).spawn().context("cannot send")?;
    std::thread::sleep(Duration::from_secs(1));
    run_quietly(server.assay(&["plugin", "push"]).arg(next.join("velocity.wasm")))?;
    ensure!(sending.wait()?.success(), "sending failed");
    server.wait_scored(before + COUNT)?;

    let (old, new) = (version_behind(server, &first)?, version_behind(server, &last)?);
    println!("   the first payment was scored by velocity {old}, the last by velocity {new}");
    ensure!(old == "1.0.0" && new == "1.1.0", "expected 1.0.0 before and 1.1.0 after");
    let verdicts = server.counter("assay_verdicts_total")? - verdicts_before;
    let failures = server.counter("assay_failures_total")? - failures_before;
    println!("   {COUNT} payments sent, {COUNT} scored, {verdicts} verdicts, {failures} failures");
    ensure!(failures == 0, "{failures} failures");
    let listed = server.get("/v1/dead-letters?limit=1")?;
    ensure!(listed["items"].as_array().is_some_and(Vec::is_empty), "there are dead letters: {listed}");
    Ok(())
}

/// The version of `velocity` that scored an event, which must have one verdict of each rule at most.
fn version_behind(server: &Server, id: &str) -> Result<String> {
    let explained = server.get(&format!("/v1/events/payments/{id}"))?;
    let events = explained["events"].as_array().context("no events")?;
    ensure!(events.len() == 1, "event {id} is there {} times", events.len());
    let verdicts = events[0]["verdicts"].as_array().context("no verdicts")?;
    let by: Vec<_> = verdicts.iter().filter(|verdict| verdict["rule"] == "card_velocity").collect();
    ensure!(by.len() == 1, "event {id} has {} verdicts of card_velocity", by.len());
    Ok(text(&by[0]["plugin"]["version"]))
}

/// The source of `velocity` with another version, as its author would publish it.
fn next_version(folder: &Path) -> Result<()> {
    let source = root().join("plugins").join("velocity");
    let sdk = root().join("plugin-sdk");
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::copy(source.join("src").join("lib.rs"), folder.join("src").join("lib.rs"))?;
    let manifest = format!(
        "[package]\nname = \"velocity\"\nversion = \"1.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\n\
         crate-type = [\"cdylib\", \"rlib\"]\n\n[profile.release]\npanic = \"abort\"\n\n[dependencies]\n\
         assay-sdk = {{ path = {:?} }}\nschemars = {{ version = \"1\", default-features = false, features = [\"derive\", \"std\"] }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n",
        sdk.display().to_string()
    );
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}
