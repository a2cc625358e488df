//! Plugins on the server: lists, shows and yanks them.

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::{Output, effects, field, items, print, table, time};
use crate::client::{Body, Client, escape, with_query};

/// Lists plugins, or the versions of one.
pub(super) fn list(name: Option<&str>, client: &Client, output: Output) -> Result<()> {
    let path = name.map_or_else(|| "/v1/plugins".to_owned(), |name| format!("/v1/plugins/{}", escape(name)));
    let plugins = client.get(&path)?;
    print(output, &plugins, |plugins| {
        let mut rows = vec![["PLUGIN", "SIZE", "AT", "BY", "DIGEST"].map(str::to_owned).to_vec()];
        rows.extend(items(plugins).map(|plugin| {
            let yanked = if plugin["yanked"] == true { " (yanked)" } else { "" };
            let version = format!("{}@{}{yanked}", field(plugin, "name"), field(plugin, "version"));
            vec![version, field(plugin, "size"), time(&plugin["at"]), field(plugin, "author"), field(plugin, "digest")]
        }));
        table(&rows)
    });
    Ok(())
}

/// Shows a version of a plugin.
pub(super) fn show(version: &str, client: &Client, output: Output) -> Result<()> {
    let plugin = client.get(&version_path(version)?)?;
    print(output, &plugin, |plugin| format!("{plugin:#}\n"));
    Ok(())
}

/// Yanks a version, or makes it available again.
pub(super) fn yank(version: &str, undo: bool, dry_run: bool, client: &Client, output: Output) -> Result<()> {
    let action = if undo { "unyank" } else { "yank" };
    let dry_run = dry_run.then(|| "true".to_owned());
    let path = with_query(&format!("{}/{action}", version_path(version)?), &[("dry_run", dry_run)]);
    let changed = client.request("POST", &path, &Body::Empty)?;
    print(output, &changed, |plugin| format!("{}\n{}", describe_change(plugin), effects(plugin)));
    Ok(())
}

/// The state of a version after a change, or after a dry run.
fn describe_change(plugin: &Value) -> String {
    let version = format!("{}@{}", field(plugin, "name"), field(plugin, "version"));
    let state = if plugin["yanked"] == true { "yanked" } else { "offered to rules" };
    let is = if plugin["dry_run"] == true { "would be" } else { "is" };
    format!("{version} {is} {state}")
}

/// The route of a version, written as `NAME@VERSION`.
fn version_path(version: &str) -> Result<String> {
    let (name, number) = version.split_once('@').with_context(|| {
        format!("'{version}' names no version of a plugin: expected NAME@VERSION, such as velocity@1.0.0")
    })?;
    Ok(format!("/v1/plugins/{}/{}", escape(name), escape(number)))
}
