//! `assay entity`: deletes all data of an entity.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Output, items, print};
use crate::client::{Client, RequestError, escape};

/// The largest number of items of a page.
const MAX_PAGE_ITEMS: usize = 1000;

/// Delete all data of an entity.
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
    /// Delete an entity's events and everything that was derived from them. Needs a key with the role admin.
    #[command(after_help = "\
Examples:
  assay entity delete payments card-1          show what would be deleted
  assay entity delete payments card-1 --yes")]
    Delete {
        /// The stream.
        stream: String,
        /// The entity.
        #[arg(value_name = "KEY")]
        entity: String,
        /// Delete for good.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error, or --yes is missing.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    let Action::Delete { stream, entity, yes } = &args.action;
    let path = format!("/v1/entities/{}/{}", escape(stream), escape(entity));
    if !yes {
        let held = preview(client, &path)?;
        print(output, &held, |held| preview_text(held, stream, entity));
        bail!("nothing was deleted: add --yes to delete this for good");
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

/// The data of the entity. One that is unknown is an error: there is nothing to confirm.
fn preview(client: &Client, path: &str) -> Result<Value, RequestError> {
    let entity = client.get(path)?;
    let events = count_items(client, &format!("{path}/events"))?;
    let verdicts = count_items(client, &format!("{path}/verdicts"))?;
    let names = |part: &str| entity[part].as_object().into_iter().flatten().map(|(name, _)| json!(name)).collect();
    let (rules, views): (Vec<Value>, Vec<Value>) = (names("rules"), names("views"));
    Ok(json!({ "events": events, "verdicts": verdicts, "rules": rules, "views": views }))
}

fn preview_text(held: &Value, stream: &str, entity: &str) -> String {
    let names = |part: &str| {
        let names: Vec<&str> = held[part].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let (events, verdicts, rules, views) = (&held["events"], &held["verdicts"], names("rules"), names("views"));
    format!(
        "of '{entity}' in '{stream}' there are\n  {events} events, {verdicts} of them with verdicts\n  a profile with the \
         rules: {rules}\n  state of the views: {views}\n"
    )
}

/// The number of items of a listing.
fn count_items(client: &Client, path: &str) -> Result<usize, RequestError> {
    let (mut total, mut cursor) = (0, String::new());
    loop {
        let page = client.get(&format!("{path}?limit={MAX_PAGE_ITEMS}{cursor}"))?;
        total += items(&page).count();
        match &page["cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return Ok(total),
        }
    }
}
