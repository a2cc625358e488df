//! `assay show`: an entity, an event's explanation, the highest scores.

use anyhow::Result;

use super::{Output, cell, items, print, table};
use crate::client::{Client, escape, with_query};

/// Show an entity, explain an event, list the highest scores.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay show scores payment_risk --limit 5
  assay show entity payments card-000001
  assay show event payments p-0001")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The entities with the highest scores of a rule.
    #[command(after_help = "\
Examples:
  assay show scores payment_risk
  assay show scores payment_risk --limit 5 --min 0.9")]
    Scores {
        /// The rule.
        rule: String,
        /// The largest number of entities.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only scores of at least this.
        #[arg(long, allow_negative_numbers = true)]
        min: Option<f64>,
    },
    /// An entity's latest scores and tags, and the values of its views.
    #[command(after_help = "\
Examples:
  assay show entity payments card-000001")]
    Entity {
        /// The stream.
        stream: String,
        /// The entity.
        #[arg(value_name = "KEY")]
        entity: String,
    },
    /// An event with the inputs and the verdict of each rule.
    #[command(after_help = "\
Examples:
  assay show event payments p-0001
  assay show event payments 3-4711     by its partition and offset")]
    Event {
        /// The stream.
        stream: String,
        /// The event's id, or PARTITION-OFFSET.
        id: String,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        Action::Scores { rule, limit, min } => {
            let (limit, min) = (Some(limit.to_string()), min.map(|min| min.to_string()));
            let wanted = [("rule", Some(rule.clone())), ("limit", limit), ("min", min)];
            let scores = client.get(&with_query("/v1/scores", &wanted))?;
            print(output, &scores, |scores| {
                let mut rows = vec![["ENTITY", "SCORE", "TAGS", "EVENT"].map(str::to_owned).to_vec()];
                rows.extend(
                    items(scores).map(|item| ["key", "score", "tags", "event"].map(|name| cell(&item[name])).to_vec()),
                );
                table(&rows)
            });
        }
        Action::Entity { stream, entity } => {
            let entity = client.get(&format!("/v1/entities/{}/{}", escape(stream), escape(entity)))?;
            print(output, &entity, |entity| format!("{entity:#}\n"));
        }
        Action::Event { stream, id } => {
            let event = client.get(&format!("/v1/events/{}/{}", escape(stream), escape(id)))?;
            print(output, &event, |event| format!("{event:#}\n"));
        }
    }
    Ok(())
}
