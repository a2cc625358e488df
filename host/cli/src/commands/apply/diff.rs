//! Unified diffs of the definitions that would change.

use std::io::IsTerminal as _;

use anyhow::Result;
use assay_engine::definition::Kind;
use serde_json::{Value, json};
use similar::TextDiff;

use super::super::{field, items};
use crate::client::Client;

/// All definitions on the server.
///
/// # Errors
/// The server answers with an error.
pub(super) fn load_definitions(client: &Client) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for kind in Kind::editable() {
        all.extend(items(&client.get(kind.properties().path)?).cloned());
    }
    Ok(all)
}

/// A diff for each definition that would change or be deleted.
pub(super) fn diff_definitions(before: &[Value], applied: &Value) -> Vec<String> {
    let changed = applied["changed"].as_array().into_iter().flatten();
    let deleted = applied["deleted"].as_array().into_iter().flatten();
    changed.chain(deleted).map(|after| diff_definition(before, after)).collect()
}

fn diff_definition(before: &[Value], after: &Value) -> String {
    let is_it = |old: &&Value| old["kind"] == after["kind"] && old["name"] == after["name"];
    let old = before.iter().find(is_it).map_or(&Value::Null, |old| &old["definition"]);
    let name = format!("{}s/{}", field(after, "kind"), field(after, "name"));
    let header =
        |text: &Value, side: &str| if text.is_null() { "/dev/null".to_owned() } else { format!("{side}/{name}") };
    let new = &after["definition"];
    let (old_text, new_text) = (definition_lines(old), definition_lines(new));
    let diff = TextDiff::from_lines(&old_text, &new_text);
    diff.unified_diff().context_radius(3).header(&header(old, "server"), &header(new, "pack")).to_string()
}

/// A definition as text, with one line per field or item of a list.
fn definition_lines(definition: &Value) -> String {
    if *definition == json!(null) { String::new() } else { format!("{definition:#}\n") }
}

/// A diff with colours, if stdout is a terminal and `NO_COLOR` is not set.
pub(super) fn coloured(diff: &str) -> String {
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return diff.to_owned();
    }
    let colour = |line: &str| match line.as_bytes().first() {
        _ if line.starts_with("+++") || line.starts_with("---") => "1",
        Some(b'+') => "32",
        Some(b'-') => "31",
        Some(b'@') => "36",
        _ => "0",
    };
    diff.lines().map(|line| format!("\x1b[{}m{line}\x1b[0m\n", colour(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_definition_has_a_diff_of_its_own() {
        let before = [
            json!({"kind": "rule", "name": "big", "definition": {"rule": "big", "score": "1.0"}}),
            json!({"kind": "view", "name": "old", "definition": {"view": "old"}}),
        ];
        let applied = json!({
            "changed": [
                {"kind": "rule", "name": "big", "definition": {"rule": "big", "score": "2.0"}},
                {"kind": "rule", "name": "new", "definition": {"rule": "new"}},
            ],
            "deleted": [{"kind": "view", "name": "old"}],
        });
        let expected = [
            "--- server/rules/big\n+++ pack/rules/big\n@@ -1,4 +1,4 @@\n {\n   \"rule\": \"big\",\n-  \"score\": \"1.0\"\n+  \"score\": \"2.0\"\n }\n",
            "--- /dev/null\n+++ pack/rules/new\n@@ -0,0 +1,3 @@\n+{\n+  \"rule\": \"new\"\n+}\n",
            "--- server/views/old\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-{\n-  \"view\": \"old\"\n-}\n",
        ];
        assert_eq!(diff_definitions(&before, &applied), expected);
    }
}
