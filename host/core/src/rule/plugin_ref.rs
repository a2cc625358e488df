//! References from rules to plugins: by version or by digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::Digest;

/// A reference to a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PluginRef {
    /// `name@1.2.3`: this version; `name@1` or `name@1.2`: the newest uploaded version with this prefix.
    Version {
        /// The plugin's name.
        name: String,
        /// One to three numbers.
        version: String,
    },
    /// `sha256:...`: these bytes.
    Digest(Digest),
}

impl PluginRef {
    /// True if it names exactly one version.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Digest(_) => true,
            Self::Version { version, .. } => version.parse::<semver::Version>().is_ok(),
        }
    }

    /// True if a plugin with this name, version and digest matches the reference.
    pub fn matches(&self, name: &str, version: &semver::Version, digest: &Digest) -> bool {
        match self {
            Self::Digest(wanted) => wanted == digest,
            Self::Version { name: wanted, .. } if wanted != name => false,
            Self::Version { version: wanted, .. } => {
                let numbers = [version.major, version.minor, version.patch];
                match wanted.parse::<semver::Version>() {
                    Ok(exact) => exact == *version,
                    Err(_) => {
                        version.pre.is_empty()
                            && wanted.split('.').zip(numbers).all(|(want, have)| want == have.to_string())
                    }
                }
            }
        }
    }
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { name, version } => write!(f, "{name}@{version}"),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A text that is no reference to a plugin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' names no plugin: expected NAME@VERSION such as 'velocity@1' or 'velocity@1.2.0', or 'sha256:' and 64 hex digits"
)]
pub struct ParsePluginRefError(String);

impl FromStr for PluginRef {
    type Err = ParsePluginRefError;

    fn from_str(text: &str) -> Result<Self, ParsePluginRefError> {
        let refused = || ParsePluginRefError(text.to_owned());
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Digest).map_err(|_| refused());
        }
        let (name, version) = text.split_once('@').ok_or_else(refused)?;
        let is_prefix = version.split('.').count() <= 3
            && version
                .split('.')
                .all(|part| !part.is_empty() && part.len() <= 9 && part.chars().all(|c| c.is_ascii_digit()));
        if name.is_empty() || !(is_prefix || version.parse::<semver::Version>().is_ok()) {
            return Err(refused());
        }
        Ok(Self::Version { name: name.to_owned(), version: version.to_owned() })
    }
}

impl Serialize for PluginRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(reference: &str, version: &str) -> bool {
        let reference: PluginRef = reference.parse().unwrap();
        reference.matches("velocity", &version.parse().unwrap(), &Digest::of(b"x"))
    }

    #[test]
    fn a_version_prefix_means_every_release_that_begins_so() {
        assert!(fits("velocity@1", "1.4.2"));
        assert!(fits("velocity@1.4", "1.4.2"));
        assert!(fits("velocity@1.4.2", "1.4.2"));
        assert!(!fits("velocity@1", "2.0.0"));
        assert!(!fits("velocity@1", "10.0.0"));
        assert!(!fits("velocity@1.4.2", "1.4.3"));
        assert!(!fits("velocity@1", "1.5.0-beta.1"));
        assert!(fits("velocity@1.5.0-beta.1", "1.5.0-beta.1"));
        assert!(!fits("other@1", "1.0.0"));
    }

    #[test]
    fn a_whole_version_and_a_digest_are_exact() {
        let is_exact = |reference: &str| reference.parse::<PluginRef>().unwrap().is_exact();
        assert!(
            is_exact("velocity@1.4.2") && is_exact("velocity@1.5.0-beta.1") && is_exact(&Digest::of(b"x").to_string())
        );
        assert!(!is_exact("velocity@1") && !is_exact("velocity@1.4"));
    }

    #[test]
    fn texts_that_name_no_plugin_are_refused_with_advice() {
        for bad in ["velocity", "@1", "velocity@", "velocity@x", "velocity@1.2.3.4", "sha256:12"] {
            let error = bad.parse::<PluginRef>().unwrap_err();
            assert!(error.to_string().contains("expected NAME@VERSION"), "{error}");
        }
    }
}
