//! Where cargo writes when it builds plugins: what they have in common is compiled once for all plugins of a user.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Variables by which a user says where cargo writes.
const CHOSEN: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// The target folder that plugins share, in the user's cache. None where cargo's own choice stands: the user made one, the
/// plugin is part of a larger workspace, or there is no place for a cache.
pub fn shared_target(plugin: &Path) -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if CHOSEN.iter().any(|name| variable(name).is_some()) || !is_alone(plugin) {
        return None;
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    cache.is_absolute().then(|| cache.join("assay").join("target"))
}

/// Whether a plugin's manifest is that of a workspace of its own, as `assay plugin new` writes it.
fn is_alone(plugin: &Path) -> bool {
    let manifest = fs::read_to_string(plugin.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.trim() == "[workspace]") && !manifest.contains("\nmembers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_a_plugin_of_its_own_shares_a_target() {
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
