//! `assay dead-letters`: events that a rule could not score.

use anyhow::Result;

use super::{Output, field, items, print, table};
use crate::client::{Client, escape, with_query};

/// List and show events that a rule could not score.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay dead-letters list
  assay dead-letters list --rule card_velocity --limit 10
  assay dead-letters show payments 3 4711")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List dead letters, the newest of each partition first.
    #[command(after_help = "\
Examples:
  assay dead-letters list
  assay dead-letters list --stream payments --rule card_velocity --limit 10")]
    List {
        /// Only letters of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// Only letters of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// The largest number of letters.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one event with its failures.
    #[command(after_help = "\
Examples:
  assay dead-letters show payments 3 4711")]
    Show {
        /// The stream.
        stream: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        Action::List { stream, rule, limit } => {
            let limit = Some(limit.to_string());
            let wanted = [("limit", limit), ("stream", stream.clone()), ("rule", rule.clone())];
            let letters = client.get(&with_query("/v1/dead-letters", &wanted))?;
            print(output, &letters, |letters| {
                let mut rows = vec![["STREAM", "PLACE", "RULE", "CODE", "MESSAGE"].map(str::to_owned).to_vec()];
                rows.extend(items(letters).map(|letter| {
                    let place = format!("{} {}", letter["place"]["partition"], letter["place"]["offset"]);
                    let names = ["rule", "code", "message"].map(|name| field(letter, name));
                    [vec![field(letter, "stream"), place], names.to_vec()].concat()
                }));
                table(&rows)
            });
        }
        Action::Show { stream, partition, offset } => {
            let letter = client.get(&format!("/v1/dead-letters/{}/{partition}/{offset}", escape(stream)))?;
            print(output, &letter, |letter| format!("{letter:#}\n"));
        }
    }
    Ok(())
}
