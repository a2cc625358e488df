//! API keys and their roles. Every route needs a key, except those that the router lists as open.

mod basic;
mod keyring;
mod layer;
mod role;
pub(crate) mod secret;
mod setup;

pub(crate) use keyring::{Caller, KeyRing};
pub(crate) use layer::require;
pub use role::Role;
pub(crate) use role::{RoleSchema, alone};
pub(crate) use secret::Secret;
pub use setup::{KeyError, MIN_SECRET_CHARS, ensure_admin_key, first_key};
