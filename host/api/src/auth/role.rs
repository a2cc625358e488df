//! The roles of keys, as routes need them and as the document shows them.

use utoipa::ToSchema;

pub use assay_engine::definition::Role;

/// A role as the list of those of which one is needed.
pub(crate) fn alone(role: Role) -> &'static [Role] {
    match role {
        Role::Ingest => &[Role::Ingest],
        Role::Read => &[Role::Read],
        Role::Author => &[Role::Author],
        Role::Admin => &[Role::Admin],
    }
}

/// What the bearer of a key may do.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum RoleSchema {
    /// Send events.
    Ingest,
    /// Read everything but keys.
    Read,
    /// Change streams, views, rules and plugins; read too.
    Author,
    /// Everything, keys too.
    Admin,
}
