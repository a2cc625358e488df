//! `assay entity`: the deletion of what is held of one entity.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Output, items, print, say};
use crate::client::{Client, RequestError, escape};

/// The longest page of a listing.
const PAGE: usize = 1000;

/// Delete what is held of one entity.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay entity delete payments card-1          show what would be deleted
  assay entity delete payments card-1 --yes    delete it: events, verdicts, profile, state")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Delete an entity's events with all that came of them. It needs a key with the role admin.
    Delete {
        /// The stream.
        stream: String,
        /// The entity.
        key: String,
        /// Really delete. Nothing brings it back.
        #[arg(long)]
        yes: bool,
    },
}

/// Does what was asked.
///
/// # Errors
/// The server says no, or it was not told to delete really.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    let Action::Delete { stream, key, yes } = &args.action;
    let path = format!("/v1/entities/{}/{}", escape(stream), escape(key));
    if !yes {
        say(&preview(client, &path, stream, key)?);
        bail!("nothing was deleted: repeat it with --yes");
    }
    let deleted = client.request("DELETE", &path, &crate::client::Body::Empty)?;
    print(output, &deleted, |deleted| {
        let count = |name: &str| deleted[name].as_u64().unwrap_or(0);
        let profile = if deleted["profile"] == true { ", its profile" } else { "" };
        format!(
            "deleted {} events, {} verdicts, {} dead letters, {} edges{profile}\n",
            count("events"),
            count("verdicts"),
            count("dead_letters"),
            count("edges")
        )
    });
    Ok(())
}

/// What there is of the entity.
fn preview(client: &Client, path: &str, stream: &str, key: &str) -> Result<String, RequestError> {
    let entity = match client.get(path) {
        Err(RequestError::Refused { status: 404, .. }) => {
            return Ok(format!("there is nothing of '{key}' in '{stream}'\n"));
        }
        entity => entity?,
    };
    let events = count(client, &format!("{path}/events"))?;
    let verdicts = count(client, &format!("{path}/verdicts"))?;
    let names = |part: &str| {
        let names: Vec<&str> = entity[part].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let (rules, views) = (names("rules"), names("views"));
    Ok(format!(
        "of '{key}' in '{stream}' there are\n  {events} events, {verdicts} of them with verdicts\n  a profile with the \
         rules: {rules}\n  state of the views: {views}\n"
    ))
}

/// How many items a listing has.
fn count(client: &Client, path: &str) -> Result<usize, RequestError> {
    let (mut total, mut cursor) = (0, String::new());
    loop {
        let page = client.get(&format!("{path}?limit={PAGE}{cursor}"))?;
        total += items(&page).count();
        match &page["cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return Ok(total),
        }
    }
}
