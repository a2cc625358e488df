//! Secrets of the config: given as they are, by a variable or by a file; never printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What is printed in the place of a secret.
pub(super) const MASK: &str = "***";
/// Parts of names of Kafka's properties that say that the value is a secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "secret", "token", "key", "oauthbearer", "jaas", "assertion", "credential"];
/// Ends of names of properties that say where something is, and are none.
const PLACES: [&str; 3] = [".location", ".file", ".url"];

/// A password, a token, or a connection string that holds one.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { MASK })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { MASK })
    }
}

/// The secret of a key, or what the file of `key_file` holds, without the line's end; empty: neither was given.
pub(crate) fn secret(key: &str, given: &Secret, file: &Path) -> Result<String> {
    ensure!(
        given.reveal() != MASK,
        "{key}: '{MASK}' is what is printed in the place of a secret; give the secret itself"
    );
    if file.as_os_str().is_empty() {
        return Ok(given.reveal().to_owned());
    }
    // Variables are in capitals.
    let key_file = if key.contains('.') { format!("{key}_file") } else { format!("{key}_FILE") };
    ensure!(given.is_empty(), "{key} and {key_file}: give one of them");
    let text = std::fs::read_to_string(file).with_context(|| format!("{key_file}: cannot read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether a property of Kafka's library is a secret, by its name.
fn is_secret_property(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !PLACES.iter().any(|end| name.ends_with(end))
}

/// Puts the mask in the place of the secrets among properties of Kafka's library.
pub(super) fn mask_properties(properties: &mut BTreeMap<String, String>) {
    for (_, value) in properties.iter_mut().filter(|(name, _)| is_secret_property(name)) {
        MASK.clone_into(value);
    }
}

/// A line of a printed config with the mask in the place of passwords in URLs.
pub(super) fn mask_urls(line: &str) -> String {
    let masked = line.split('"').map(|part| without_password(part).map_or(Cow::Borrowed(part), Cow::Owned));
    masked.collect::<Vec<_>>().join("\"")
}

/// A URL with the mask for its password; none: it has none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    // A password may hold anything but what ends the part of the URL in which it stands.
    let end = rest.find('/').unwrap_or(rest.len());
    let at = rest[..end].rfind('@').or_else(|| rest.rfind('@'))?;
    let (user, _) = rest[..at].split_once(':')?;
    Some(format!("{scheme}://{user}:{MASK}{}", &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_urls() {
        for (given, printed) in [
            ("mongodb://u:p@h:27017/?a=b", Some("mongodb://u:***@h:27017/?a=b")),
            ("https://u:p/q@h", Some("https://u:***@h")),
            ("https://u:p@q@h/x@y", Some("https://u:***@h/x@y")),
            ("http://h:8086", None),
            ("u:p@h", None),
        ] {
            assert_eq!(without_password(given).as_deref(), printed, "{given}");
        }
    }

    #[test]
    fn a_secret_comes_from_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "from the file\r\n").unwrap();
        let none = Path::new("");
        assert_eq!(secret("a.b", &Secret::default(), none).unwrap(), "");
        assert_eq!(secret("a.b", &Secret::new("given"), none).unwrap(), "given");
        assert_eq!(secret("a.b", &Secret::default(), &file).unwrap(), "from the file");
        assert!(secret("a.b", &Secret::new("given"), &file).unwrap_err().to_string().contains("a.b_file"));
        assert!(secret("a.b", &Secret::new(MASK), none).is_err());
        assert!(
            secret("a.b", &Secret::default(), &dir.path().join("none")).unwrap_err().to_string().contains("a.b_file")
        );
    }
}
