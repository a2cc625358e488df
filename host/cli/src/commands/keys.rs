//! `assay keys`: list, make and delete API keys.

use anyhow::Result;
use serde_json::json;

use super::{Output, field, items, print, table};
use crate::client::{Body, Client, escape};

/// List, make and delete API keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay keys create producer --role ingest
  assay keys create analyst --role read
  assay keys create ci --role author --role ingest
  assay keys delete producer

Roles: ingest sends events; read queries; author changes streams, views, rules and plugins, and reads; admin does all.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all keys; never their secrets.
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
        /// Its name, which is the author of what it changes.
        name: String,
        /// What it may do.
        #[arg(long = "role", required = true, value_parser = ["ingest", "read", "author", "admin"])]
        roles: Vec<String>,
    },
    /// Delete a key: it is refused from then on.
    #[command(after_help = "\
Examples:
  assay keys delete producer")]
    Delete {
        /// Its name.
        name: String,
    },
}

/// Does what was asked.
///
/// # Errors
/// The server says no.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        Action::List => {
            let keys = client.get("/v1/keys")?;
            print(output, &keys, |keys| {
                let mut rows = vec![["KEY", "ROLES"].map(str::to_owned).to_vec()];
                rows.extend(items(keys).map(|key| vec![field(key, "name"), field(key, "roles")]));
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
