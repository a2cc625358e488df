//! The SDK's sources as they travel inside the binary, so that no crate of ours needs to be published.

use std::io;
use std::path::Path;

use include_dir::{Dir, include_dir};

/// `plugin-sdk/`, `plugin-sdk/macros/` and `wit/`, gathered by the build script.
static SDK: Dir<'static> = include_dir!("$OUT_DIR/assay");

/// What a new plugin depends on beside the SDK, as lines of TOML.
pub(crate) const DEPENDENCIES: &str = include_str!(concat!(env!("OUT_DIR"), "/dependencies.toml"));

/// Where the SDK lies in a plugin's folder.
const FOLDER: &str = "vendor/assay";

/// Writes the SDK into a plugin's folder, in place of the one that is there: how a plugin gets a newer SDK.
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
    fn the_manifests_stand_on_their_own() {
        let manifests = ["plugin-sdk/Cargo.toml", "plugin-sdk/macros/Cargo.toml"];
        for path in manifests {
            let text = SDK.get_file(path).unwrap().contents_utf8().unwrap();
            assert!(!text.contains("workspace"), "{path}:\n{text}");
            assert!(text.contains(concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"")), "{path}:\n{text}");
        }
        assert!(SDK.get_file("wit/plugin.wit").is_some());
    }
}
