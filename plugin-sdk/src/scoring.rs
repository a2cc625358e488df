//! What `#[plugin]` implements: everything of a plugin that its manifest and its batches need.

use std::cell::RefCell;
use std::thread::LocalKey;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::{Input as ManifestInput, Manifest};
use crate::input::Input;
use crate::verdict::Verdict;

/// A plugin. Made by `#[plugin]`; see the crate's page for what it expands to.
pub trait Scoring: Sized + 'static {
    /// What a rule sets: [`NoConfig`](crate::NoConfig) if the function takes none.
    type Config: DeserializeOwned + JsonSchema + 'static;
    /// What is kept per entity: [`NoState`](crate::NoState) if the function takes none.
    type State: Serialize + DeserializeOwned + Default;
    /// The values of an event that are scored.
    type Input: Input;

    /// Name, version, documentation and declared names.
    const ABOUT: About;

    /// Scores one event.
    ///
    /// # Errors
    /// The author's own: the event is set aside with it.
    fn score(
        config: &Self::Config,
        state: &mut Self::State,
        input: <Self::Input as Input>::Row<'_>,
    ) -> Result<Verdict, String>;

    /// Carries a state of an older version over.
    ///
    /// # Errors
    /// Says why it cannot be.
    fn migrate(from_version: u32, state: &[u8]) -> Result<Self::State, String>;

    /// Where the instance keeps its config. An instance has one thread and one config.
    fn slot() -> &'static LocalKey<RefCell<Option<Self::Config>>>;
}

/// What a plugin says of itself beside its inputs and its config.
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
    /// The version of the state's layout; none: no state is kept.
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
        tags: owned(about.tags),
        reasons: owned(about.reasons),
        edges: owned(about.edges),
        attributes: owned(about.attributes),
        config_schema: crate::config::schema::<P::Config>(),
        state_version: about.state_version,
        annotations: annotations.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
