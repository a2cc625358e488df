//! Every setting that a page or a file of the stack names is one that the server has, and every setting is on the page
//! about them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assay::config::{self, Config};

/// Names that look like settings and are not: topics' settings of Kafka, collections of MongoDB.
const OTHERS: [&str; 4] = ["retention.ms", "retention.bytes", "plugins.files", "plugins.chunks"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All settings, as `section.key`.
fn settings() -> BTreeSet<String> {
    let table: toml::Table = Config::default().to_toml().unwrap().parse().unwrap();
    let keys = |(section, keys): (&String, &toml::Value)| {
        let keys = keys.as_table().unwrap().keys();
        keys.map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    table.iter().flat_map(keys).collect()
}

/// The pages, and the files of the distributed stack: name and text.
fn texts() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["docs", "compose", "compose/assay", "compose/scylladb"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                files.push((format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()), text));
            }
        }
    }
    let readme = repository().join("README.md");
    files.push(("README.md".to_owned(), fs::read_to_string(readme).unwrap()));
    files
}

fn is_word(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// What stands between backticks, as far as it begins with a name of one word or of two with a dot between.
fn quoted_names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| {
        let name = quoted.split([' ', '=']).next()?;
        let is_name = !name.is_empty() && name.chars().all(|c| is_word(c) || c == '.');
        (is_name && name.matches('.').count() <= 1 && !name.ends_with('.')).then_some(name)
    })
}

/// `section.key` of each variable such as `ASSAY_SECTION__KEY`.
fn variables(text: &str) -> impl Iterator<Item = String> {
    text.match_indices("ASSAY_").filter_map(|(at, _)| {
        let rest = &text[at + "ASSAY_".len()..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
        let (section, key) = rest[..end].split_once("__")?;
        Some(format!("{section}.{key}").to_ascii_lowercase())
    })
}

/// The fields of the adapters' own configs, which are not what a file of the server may hold.
fn adapters_fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let mut folders = vec![repository().join("host/stores")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let Some((_, config)) = text.split_once("pub struct Config {") else { continue };
            let body = config.split("\n}").next().unwrap();
            let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
            fields.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
    assert!(fields.contains("replication_factor"), "{fields:?}");
    fields
}

#[test]
fn every_setting_that_a_text_names_exists() {
    let settings = settings();
    let keys: BTreeSet<&str> = settings.iter().filter_map(|name| Some(name.split_once('.')?.1)).collect();
    let sections: BTreeSet<&str> = settings.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    let fields = adapters_fields();
    let mut wrong = Vec::new();
    for (file, text) in texts() {
        for name in quoted_names(&text) {
            let is_wrong = match name.split_once('.') {
                Some((section, _)) => sections.contains(section) && !settings.contains(name) && !OTHERS.contains(&name),
                // A parameter of a request may have such a name, too.
                None => name != "timeout" && fields.contains(name) && !keys.contains(name),
            };
            if is_wrong {
                wrong.push(format!("{file}: `{name}`"));
            }
        }
        let unknown = variables(&text).filter(|name| name != "section.key" && !settings.contains(name));
        wrong.extend(unknown.map(|name| format!("{file}: the variable of {name}")));
    }
    assert!(wrong.is_empty(), "no such settings: {wrong:#?}");
}

#[test]
fn the_page_has_every_setting_and_no_other() {
    let page = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let mut told = BTreeSet::new();
    for block in page.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let table: toml::Table = block.parse().unwrap_or_else(|error| panic!("{error}\n{block}"));
        for (section, keys) in &table {
            told.extend(keys.as_table().unwrap().keys().map(|key| format!("{section}.{key}")));
        }
    }
    assert_eq!(told, settings());
}

#[test]
fn the_config_of_the_stack_is_valid() {
    config::load(Some(&repository().join("compose/assay/assay.toml"))).unwrap();
}
