//! The trait that `#[plugin]` implements: all that a manifest and the scoring of batches need.

use std::cell::RefCell;
use std::thread::LocalKey;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::{Input as ManifestInput, Manifest};
use crate::input::Input;
use crate::verdict::Verdict;

/// A plugin. `#[plugin]` implements it; the crate's page shows the expansion.
pub trait Scoring: Sized + 'static {
    /// The config that a rule sets; [`NoConfig`](crate::NoConfig) if the function takes none.
    type Config: DeserializeOwned + JsonSchema + 'static;
    /// The state per entity; [`NoState`](crate::NoState) if the function takes none.
    type State: Serialize + DeserializeOwned + Default;
    /// The inputs of the function.
    type Input: Input;

    /// Name, version, documentation and declared names.
    const ABOUT: About;

    /// Scores one event.
    ///
    /// # Errors
    /// The author's own error. The event fails with it.
    fn score(
        config: &Self::Config,
        state: &mut Self::State,
        input: <Self::Input as Input>::Row<'_>,
    ) -> Result<Verdict, String>;

    /// Decodes a state of an older version.
    ///
    /// # Errors
    /// The state cannot be migrated; the text says why.
    fn migrate(from_version: u32, state: &[u8]) -> Result<Self::State, String>;

    /// The storage of the instance's config. An instance has one thread and one config.
    fn slot() -> &'static LocalKey<RefCell<Option<Self::Config>>>;
}

/// The constant parts of a plugin's manifest, beside its inputs and its config.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// The function's doc comment.
    pub doc: &'static str,
    /// Declared tags.
    pub tags: &'static [&'static str],
    /// Declared reasons.
    pub reasons: &'static [&'static str],
    /// Declared edges.
    pub edges: &'static [&'static str],
    /// Declared attributes.
    pub attributes: &'static [&'static str],
    /// The version of the state's layout; none for a plugin without state.
    pub state_version: Option<u32>,
    /// More about the crate, as (key, value). Those without a value are left out.
    pub annotations: &'static [(&'static str, &'static str)],
}

/// The manifest of a plugin.
pub(crate) fn manifest<P: Scoring>() -> Manifest {
    let about = P::ABOUT;
    let inputs = P::Input::INPUTS.iter().map(|input| ManifestInput {
        name: input.name.to_owned(),
        kind: input.kind,
        required: input.required,
        doc: input.doc.to_owned(),
    });
    let annotations = about.annotations.iter().filter(|(_, value)| !value.is_empty());
    Manifest {
        name: about.name.to_owned(),
        version: about.version.to_owned(),
        doc: about.doc.to_owned(),
        inputs: inputs.collect(),
        tags: to_owned_names(about.tags),
        reasons: to_owned_names(about.reasons),
        edges: to_owned_names(about.edges),
        attributes: to_owned_names(about.attributes),
        config_schema: crate::config::schema::<P::Config>(),
        state_version: about.state_version,
        annotations: annotations.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn to_owned_names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
