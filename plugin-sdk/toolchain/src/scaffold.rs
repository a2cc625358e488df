//! Implements `assay plugin new`: creates a crate that builds with a Rust toolchain and crates.io, without a checkout
//! of Assay.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sdk::{DEPENDENCIES, write_sdk};

/// The files of a new plugin, with their templates.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../template/lib.rs")),
    ("README.md", include_str!("../template/README.md")),
    (".gitignore", include_str!("../template/gitignore")),
];

/// Reserved words of Rust, and names of crates that would collide with a plugin's.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "assay-sdk",
    "assay-sdk-macros",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The reason why no plugin was created.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is not one for a plugin.
    #[error("'{name}' cannot be a plugin's name: {why}")]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The folder exists and is not empty.
    #[error("{dir} is there already and is not an empty folder")]
    Occupied {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Creates a new plugin in `dir`, which must not exist or must be empty: a small scorer with a test, and the SDK.
///
/// # Errors
/// The name is not valid, the folder is not empty, or it cannot be written. In the first two cases nothing is changed.
pub fn scaffold(name: &str, dir: &Path) -> Result<(), ScaffoldError> {
    check_plugin_name(name)?;
    if !is_free(dir) {
        return Err(ScaffoldError::Occupied { dir: dir.to_owned() });
    }
    for (file, template) in FILES {
        let path = dir.join(file);
        write(&path, &fill_template(template, name)).map_err(|source| ScaffoldError::Write { path, source })?;
    }
    write_sdk(dir).map_err(|source| ScaffoldError::Write { path: dir.to_owned(), source })
}

/// Checks a plugin's name: lower-case words joined by `-`, as crates are named.
///
/// # Errors
/// Says which rule the name breaks.
pub fn check_plugin_name(name: &str) -> Result<(), ScaffoldError> {
    let refused = |why| Err(ScaffoldError::Name { name: name.to_owned(), why });
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return refused("it must begin with a letter a-z");
    }
    if name.len() > 64 {
        return refused("it is longer than 64 characters");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return refused("it may hold only a-z, 0-9 and '-'");
    }
    if name.split('-').any(str::is_empty) {
        return refused("a '-' must stand between two words");
    }
    if RESERVED.contains(&name) {
        return refused("it means something else to Rust");
    }
    Ok(())
}

fn is_free(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn fill_template(template: &str, name: &str) -> String {
    template
        .replace("{{name}}", name)
        .replace("{{module}}", &name.replace('-', "_"))
        .replace("{{dependencies}}\n", DEPENDENCIES)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn plugin_names_are_lower_case_words_joined_by_hyphens() {
        for name in ["velocity", "geo-jump", "a1-b2", "x"] {
            assert!(check_plugin_name(name).is_ok(), "{name}");
        }
        for name in ["", "Velocity", "1st", "-a", "a-", "a--b", "a_b", "a b", "../a", "fn", "test", "é"] {
            assert!(check_plugin_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_not_empty_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        let error = scaffold("mine", dir.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is there already and is not an empty folder", dir.path().display()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_is_not_valid_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new");
        let error = scaffold("My Plugin", &target).unwrap_err();
        assert_eq!(error.to_string(), "'My Plugin' cannot be a plugin's name: it must begin with a letter a-z");
        assert!(!target.exists());
    }
}
