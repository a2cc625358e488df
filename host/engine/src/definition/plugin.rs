//! What the catalog knows of a plugin's version. The bytes are an artifact, found by their digest.

use assay_core::names::Digest;
use assay_runtime::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One version of a plugin; its name in the catalog is `name@version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginDef {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The number of its bytes.
    #[serde(default)]
    pub size: u64,
    /// What it said of itself when it was uploaded, for those who read the catalog. Rules are compiled against the
    /// manifest in the artifact, so one that an earlier version of the host wrote is no damage.
    #[serde(default)]
    pub manifest: Value,
    /// True: only a reference to exactly this version means it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yanked: bool,
}

impl PluginDef {
    /// The definition of a plugin of `size` bytes that has just been read.
    pub fn new(digest: Digest, size: usize, manifest: &Manifest) -> Self {
        Self { digest, size: size as u64, manifest: json!(manifest), yanked: false }
    }
}
