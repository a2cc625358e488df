//! An API key: the hash of its secret, and its roles. The secret is kept nowhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// SHA-256 of the secret, as 64 hex digits.
    pub hash: String,
    /// The roles of its bearer.
    pub roles: Vec<Role>,
    /// Its creation, ms since 1970.
    pub created: i64,
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Send events.
    Ingest,
    /// Read everything but keys.
    Read,
    /// Change streams, views, rules and plugins; read too.
    Author,
    /// Everything, keys too.
    Admin,
}

impl ApiKey {
    /// Returns whether its roles include the permissions of `needed`.
    pub fn allows(&self, needed: Role) -> bool {
        self.roles.iter().any(|have| have.implies(needed))
    }
}

impl Role {
    /// Returns whether this role includes the permissions of `needed`.
    pub fn implies(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Author => matches!(needed, Self::Author | Self::Read),
            Self::Read | Self::Ingest => self == needed,
        }
    }

    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Author => "author",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Role::{self, Admin, Author, Ingest, Read};

    #[test]
    fn a_role_implies_no_more_than_it_says() {
        let allowed = |role: Role| [Ingest, Read, Author, Admin].map(|needed| role.implies(needed));
        assert_eq!(allowed(Ingest), [true, false, false, false]);
        assert_eq!(allowed(Read), [false, true, false, false]);
        assert_eq!(allowed(Author), [false, true, true, false]);
        assert_eq!(allowed(Admin), [true; 4]);
    }
}
