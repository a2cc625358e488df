//! The target folder for builds of plugins. It is shared, so that common dependencies are compiled once for all plugins
//! of a user.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Environment variables by which a user chooses the target folder.
const TARGET_DIR_VARIABLES: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// The shared target folder, in the user's cache. None if cargo's own choice applies: the user has set a folder, the
/// plugin is part of a larger workspace, or the user has no cache folder.
pub fn shared_target(plugin: &Path) -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if TARGET_DIR_VARIABLES.iter().any(|name| variable(name).is_some()) || !is_alone(plugin) {
        return None;
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    cache.is_absolute().then(|| cache.join("assay").join("target"))
}

/// True if a plugin is a workspace of its own, as `assay plugin new` creates it.
fn is_alone(plugin: &Path) -> bool {
    let manifest = fs::read_to_string(plugin.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.trim() == "[workspace]") && !manifest.contains("\nmembers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_a_plugin_with_its_own_workspace_uses_the_shared_target() {
        let dir = tempfile::tempdir().unwrap();
        let is_alone = |manifest: &str| {
            fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
            super::is_alone(dir.path())
        };
        assert!(is_alone("[package]\nname = \"a\"\n[workspace]\nexclude = [\"vendor\"]\n"));
        assert!(!is_alone("[package]\nname = \"a\"\n"));
        assert!(!is_alone("[workspace]\nmembers = [\"a\"]\n"));
        assert!(!super::is_alone(&dir.path().join("nowhere")));
    }
}
