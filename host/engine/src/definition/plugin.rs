//! A version of a plugin in the catalog. Its bytes are an artifact, found by their digest.

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
    /// Its manifest at the upload, for readers of the catalog. Rules are compiled against the manifest in the artifact,
    /// so this one need not be readable by this version of the host.
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
