//! Secrets of the config: given by a key, a variable or a file, and never printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The printed form of a secret.
pub(super) const MASK: &str = "***";
/// Words in the names of Kafka's properties whose values are secrets.
const SECRET_WORDS: [&str; 8] =
    ["password", "secret", "token", "key", "oauthbearer", "jaas", "assertion", "credential"];
/// Ends of the names of properties that are locations, not secrets.
const LOCATION_SUFFIXES: [&str; 3] = [".location", ".file", ".url"];

/// A password, a token, or a connection string that holds one.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// True if no secret was given.
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

/// The secret of a key, or the content of its `key_file` without the line break at the end. Empty if neither was given.
pub(crate) fn read_secret(key: &str, given: &Secret, file: &Path) -> Result<String> {
    ensure!(
        given.reveal() != MASK,
        "{key}: '{MASK}' is what is printed in the place of a secret; give the secret itself"
    );
    if file.as_os_str().is_empty() {
        return Ok(given.reveal().to_owned());
    }
    // Names of variables are in capitals.
    let key_file = if key.contains('.') { format!("{key}_file") } else { format!("{key}_FILE") };
    ensure!(given.is_empty(), "{key} and {key_file}: give one of them");
    let text = std::fs::read_to_string(file).with_context(|| format!("{key_file}: cannot read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// True if a property of Kafka's library is a secret, by its name.
fn is_secret_property(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !LOCATION_SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Masks the secrets among properties of Kafka's library.
pub(super) fn mask_properties(properties: &mut BTreeMap<String, String>) {
    for (_, value) in properties.iter_mut().filter(|(name, _)| is_secret_property(name)) {
        MASK.clone_into(value);
    }
}

/// Masks passwords in the URLs of a line.
pub(super) fn mask_urls(line: &str) -> String {
    let masked = line.split('"').map(|part| mask_password(part).map_or(Cow::Borrowed(part), Cow::Owned));
    masked.collect::<Vec<_>>().join("\"")
}

/// A URL with a masked password; none if it has no password.
fn mask_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    // The authority of the URL ends at the first '/'. If the '@' comes later, the password has an unescaped '/'.
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
            assert_eq!(mask_password(given).as_deref(), printed, "{given}");
        }
    }

    #[test]
    fn a_secret_comes_from_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "from the file\r\n").unwrap();
        let none = Path::new("");
        assert_eq!(read_secret("a.b", &Secret::default(), none).unwrap(), "");
        assert_eq!(read_secret("a.b", &Secret::new("given"), none).unwrap(), "given");
        assert_eq!(read_secret("a.b", &Secret::default(), &file).unwrap(), "from the file");
        assert!(read_secret("a.b", &Secret::new("given"), &file).unwrap_err().to_string().contains("a.b_file"));
        assert!(read_secret("a.b", &Secret::new(MASK), none).is_err());
        assert!(
            read_secret("a.b", &Secret::default(), &dir.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("a.b_file")
        );
    }
}
