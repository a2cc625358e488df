//! Finds views and rules of the pack's streams that are on the server, but not in the pack.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Result, bail, ensure};
use assay_engine::ports::catalog::{Change, Kind};

use super::super::{field, items};
use crate::client::Client;

/// The deletions that a pack asks for.
///
/// # Errors
/// The pack has no stream, so nothing says what is its own; or the server says no.
pub(super) fn find(pack: &[Change], client: &Client) -> Result<Vec<Change>> {
    let has = |kind: Kind, name: &str| pack.iter().any(|change| change.is_of(kind, name));
    let has_streams = pack.iter().any(|change| change.kind == Kind::Stream);
    ensure!(has_streams, "--prune deletes what belongs to the pack's streams, but the pack has none");
    let mut gone = Vec::new();
    // Those first that use others: rules use views.
    for kind in Kind::editable().rev().filter(|kind| kind.properties().belongs_to_stream) {
        let there = client.get(kind.properties().path)?;
        for item in items(&there) {
            let name = field(item, "name");
            if has(Kind::Stream, &field(&item["definition"], "stream")) && !has(kind, &name) {
                gone.push(Change::delete(kind, name));
            }
        }
    }
    Ok(gone)
}

/// Asks before anything is deleted.
///
/// # Errors
/// The answer is no, or nobody is there to ask.
pub(super) fn confirm(gone: &[Change], is_sure: bool) -> Result<()> {
    if gone.is_empty() || is_sure {
        return Ok(());
    }
    let names: Vec<String> = gone.iter().map(|change| format!("{} '{}'", change.kind, change.name)).collect();
    let names = names.join(", ");
    ensure!(std::io::stdin().is_terminal(), "--prune would delete {names}: add --yes, or look first with --diff");
    eprint!("delete {names}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was changed");
    }
    Ok(())
}
