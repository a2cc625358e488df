//! The roles of keys, and the roles that each implies.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bearer of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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

impl Role {
    /// Whether this role includes the permissions of `needed`.
    pub fn implies(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Author => matches!(needed, Self::Author | Self::Read),
            Self::Read | Self::Ingest => self == needed,
        }
    }

    /// The role as a list of one.
    pub(crate) fn as_slice(self) -> &'static [Self] {
        match self {
            Self::Ingest => &[Self::Ingest],
            Self::Read => &[Self::Read],
            Self::Author => &[Self::Author],
            Self::Admin => &[Self::Admin],
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
