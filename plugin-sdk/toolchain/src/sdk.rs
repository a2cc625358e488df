//! The SDK's sources, embedded in the binary, so that the SDK need not be published.

use std::io;
use std::path::Path;

use include_dir::{Dir, include_dir};

/// `plugin-sdk/`, `plugin-sdk/macros/` and `wit/`, collected by the build script.
static SDK: Dir<'static> = include_dir!("$OUT_DIR/assay");

/// The dependencies of a new plugin beside the SDK, as lines of TOML.
pub(crate) const DEPENDENCIES: &str = include_str!(concat!(env!("OUT_DIR"), "/dependencies.toml"));

/// The folder of the SDK within a plugin's folder.
const FOLDER: &str = "vendor/assay";

/// Writes the SDK to a plugin's folder and replaces an existing one, so that a plugin can be updated to a newer SDK.
///
/// # Errors
/// The folder cannot be written.
pub fn write_sdk(plugin: &Path) -> io::Result<()> {
    let folder = plugin.join(FOLDER);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    SDK.extract(&folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_embedded_manifests_inherit_nothing() {
        let manifests = ["plugin-sdk/Cargo.toml", "plugin-sdk/macros/Cargo.toml"];
        for path in manifests {
            let text = SDK.get_file(path).unwrap().contents_utf8().unwrap();
            assert!(!text.contains("workspace"), "{path}:\n{text}");
            assert!(text.contains(concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"")), "{path}:\n{text}");
        }
        assert!(SDK.get_file("wit/plugin.wit").is_some());
    }
}
