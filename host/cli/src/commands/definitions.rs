//! `assay stream`, `assay view`: the definitions on the server. `assay apply` changes them.

use anyhow::Result;
use serde_json::Value;

use super::{Output, cell, field, items, print, table};
use crate::client::{Client, escape, with_query};

/// List and show streams.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay stream list
  assay stream show payments")]
pub struct StreamArgs {
    #[command(subcommand)]
    action: StreamAction,
}

#[derive(Debug, clap::Subcommand)]
enum StreamAction {
    /// List streams.
    #[command(after_help = "\
Examples:
  assay stream list
  assay stream list --name pay
  assay stream list --from payments     streams that are derived from payments")]
    List {
        /// Only those whose name contains this.
        #[arg(long)]
        name: Option<String>,
        /// Only streams that are derived from this one.
        #[arg(long, value_name = "STREAM")]
        from: Option<String>,
    },
    /// Show a stream with its schema, revision and author.
    #[command(after_help = "\
Examples:
  assay stream show payments")]
    Show {
        /// The stream.
        name: String,
    },
}

/// List and show views.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay view list --stream payments
  assay view show card_spend")]
pub struct ViewArgs {
    #[command(subcommand)]
    action: ViewAction,
}

#[derive(Debug, clap::Subcommand)]
enum ViewAction {
    /// List views.
    #[command(after_help = "\
Examples:
  assay view list
  assay view list --name card
  assay view list --stream payments")]
    List {
        /// Only those whose name contains this.
        #[arg(long)]
        name: Option<String>,
        /// Only views of this stream.
        #[arg(long)]
        stream: Option<String>,
    },
    /// Show a view with its revision and author.
    #[command(after_help = "\
Examples:
  assay view show card_spend")]
    Show {
        /// The view.
        name: String,
    },
}

/// Lists or shows streams.
///
/// # Errors
/// The server answers with an error.
pub fn run_stream(args: &StreamArgs, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        StreamAction::List { name, from } => {
            let wanted = [("name", name.clone()), ("from", from.clone())];
            let streams = client.get(&with_query("/v1/streams", &wanted))?;
            let columns = ["key", "time", "id", "partitions", "from"];
            print(output, &streams, |streams| listing("STREAM", &columns, streams));
        }
        StreamAction::Show { name } => show(&format!("/v1/streams/{}", escape(name)), client, output)?,
    }
    Ok(())
}

/// Lists or shows views.
///
/// # Errors
/// The server answers with an error.
pub fn run_view(args: &ViewArgs, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        ViewAction::List { name, stream } => {
            let wanted = [("name", name.clone()), ("stream", stream.clone())];
            let views = client.get(&with_query("/v1/views", &wanted))?;
            let columns = ["stream", "by", "over", "every", "measures"];
            print(output, &views, |views| listing("VIEW", &columns, views));
        }
        ViewAction::Show { name } => show(&format!("/v1/views/{}", escape(name)), client, output)?,
    }
    Ok(())
}

fn show(path: &str, client: &Client, output: Output) -> Result<()> {
    let definition = client.get(path)?;
    print(output, &definition, |definition| format!("{definition:#}\n"));
    Ok(())
}

/// A table of definitions: name, revision, and some of their fields.
fn listing(head: &str, columns: &[&str], definitions: &Value) -> String {
    let head = [head, "REVISION"].map(str::to_owned).into_iter().chain(columns.iter().map(|name| name.to_uppercase()));
    let mut rows = vec![head.collect::<Vec<_>>()];
    rows.extend(items(definitions).map(|item| {
        let own = ["name", "revision"].map(|name| field(item, name)).into_iter();
        own.chain(columns.iter().map(|name| cell(&item["definition"][*name]))).collect()
    }));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_are_a_table() {
        let views = json!({"items": [{"name": "spend", "revision": 2, "definition":
            {"view": "spend", "stream": "pay", "by": ["card", "country"], "measures": {"n": "count()", "sum": "sum(x)"}}}]});
        let shown = listing("VIEW", &["stream", "by", "over", "measures"], &views);
        let expected = "VIEW   REVISION  STREAM  BY            OVER  MEASURES\nspend  2         pay     card,country  -     n,sum\n";
        assert_eq!(shown, expected);
    }
}
