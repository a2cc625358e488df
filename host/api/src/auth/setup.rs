//! The first admin key: generated, or given by the environment of the server.

use assay_engine::definition::ApiKey;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{ChangeError, Engine};

use super::Role;
use super::secret::{Secret, hex};
use assay_engine::now_ms;

/// The name of the first key.
const ADMIN_KEY_NAME: &str = "admin";
/// The author of the server's own changes.
const SERVER_AUTHOR: &str = "server";
/// The minimum length of a given admin secret.
pub const MIN_SECRET_CHARS: usize = 20;

/// Why the first key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The given secret is too easy to guess.
    #[error(
        "the admin key must have at least {MIN_SECRET_CHARS} characters without spaces, it has {0}; 'openssl rand -hex 32' makes a good one"
    )]
    TooShort(usize),
    /// The operating system gives no randomness.
    #[error("no randomness for a new key: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The catalog refused it.
    #[error("the admin key cannot be kept: {0}")]
    Change(#[from] ChangeError),
}

/// Makes the key `admin` if there is no key at all, and returns its secret, which cannot be read again. Blocking.
///
/// # Errors
/// No randomness, or the catalog fails.
pub fn first_key(engine: &Engine) -> Result<Option<String>, KeyError> {
    if engine.plan().snapshot.of(Kind::Key).next().is_some() {
        return Ok(None);
    }
    let secret = Secret::generate()?;
    match save_admin_key(engine, &secret, Some(0)) {
        Ok(()) => Ok(Some(secret.reveal())),
        // Another process of the same Assay, started at the same moment, has made it.
        Err(KeyError::Change(ChangeError::Conflict(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the key `admin` this secret. Blocking. Changes nothing if the key has it already.
///
/// # Errors
/// The secret is too short, or the catalog fails.
pub fn ensure_admin_key(engine: &Engine, secret: &str) -> Result<(), KeyError> {
    let length = secret.chars().filter(|c| !c.is_whitespace()).count();
    if length < MIN_SECRET_CHARS || length != secret.chars().count() {
        return Err(KeyError::TooShort(length));
    }
    let secret = Secret::from_text(secret);
    let hash = hex(&secret.hash());
    let plan = engine.plan();
    let have = plan.snapshot.find::<ApiKey>(ADMIN_KEY_NAME);
    if have.is_some_and(|have| have.hash == hash && have.allows(Role::Admin)) {
        return Ok(());
    }
    match save_admin_key(engine, &secret, None) {
        // Another process does the same at the same moment, with the same secret.
        Err(KeyError::Change(ChangeError::Conflict(_))) => Ok(()),
        kept => kept,
    }
}

fn save_admin_key(engine: &Engine, secret: &Secret, expected_revision: Option<u32>) -> Result<(), KeyError> {
    let key = ApiKey { hash: hex(&secret.hash()), roles: vec![Role::Admin], created: now_ms() };
    engine.catalog().change(vec![Change::set(ADMIN_KEY_NAME, key)], SERVER_AUTHOR, expected_revision, false)?;
    Ok(())
}
