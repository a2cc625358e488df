//! `assay keys`: list, make and delete API keys.

use anyhow::Result;
use serde_json::json;

use super::{Output, cell, field, items, print, table};
use crate::client::{Body, Client, escape};

/// List, make and delete API keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay keys create producer --role ingest
  assay keys create analyst --role read
  assay keys create ci --role author --role ingest
  assay keys delete producer

Roles: ingest sends events; read queries; author changes streams, views, rules and plugins, and reads; admin may do \
everything.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all keys, without their secrets.
    #[command(after_help = "\
Examples:
  assay keys list")]
    List,
    /// Make a key; its secret is shown once.
    #[command(after_help = "\
Examples:
  assay keys create producer --role ingest
  assay keys create ci --role author --role ingest")]
    Create {
        /// The key's name, which becomes the author of changes.
        name: String,
        /// The roles of the key.
        #[arg(long = "role", required = true, value_parser = ["ingest", "read", "author", "admin"])]
        roles: Vec<String>,
    },
    /// Delete a key.
    #[command(after_help = "\
Examples:
  assay keys delete producer")]
    Delete {
        /// The key's name.
        name: String,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        Action::List => {
            let keys = client.get("/v1/keys")?;
            print(output, &keys, |keys| {
                let mut rows = vec![["KEY", "ROLES"].map(str::to_owned).to_vec()];
                rows.extend(items(keys).map(|key| vec![field(key, "name"), cell(&key["roles"])]));
                table(&rows)
            });
        }
        Action::Create { name, roles } => {
            let body = json!({ "name": name, "roles": roles });
            let made = client.request("POST", "/v1/keys", &Body::Json(&body))?;
            print(output, &made, |made| format!("{}\n", field(made, "key")));
        }
        Action::Delete { name } => {
            client.request("DELETE", &format!("/v1/keys/{}", escape(name)), &Body::Empty)?;
            print(output, &json!({ "deleted": name }), |_| format!("deleted {name}\n"));
        }
    }
    Ok(())
}
