//! Runs a plugin natively through the code that scores batches in Wasm, with columns, configs and states.
//!
//! It tests what the function alone cannot show: that configs parse, that states can be encoded and decoded, and that a
//! batch gives the same as its rows one by one. The function itself is an ordinary one, which tests can call.

mod rows;
mod scored;

use std::collections::BTreeMap;

pub use scored::Scored;
pub use serde_json::{Value, json};

use crate::batch;
use crate::bindings::{Batch, Blobs, Guest, Manifest};
use crate::config;
use crate::scoring::{Scoring, manifest};
use crate::state;

/// A small host for one plugin with one config. It keeps the states of entities between batches.
///
/// ```
/// use assay_sdk::testing::{Host, json};
/// use assay_sdk::{Input, Verdict, plugin};
///
/// #[derive(Input)]
/// struct Payment {
///     amount: f64,
/// }
///
/// /// Scores an amount by the sum of all amounts so far.
/// #[plugin]
/// fn score(sum: &mut f64, payment: Payment) -> Verdict {
///     *sum += payment.amount;
///     Verdict::score(*sum)
/// }
///
/// # fn main() -> Result<(), String> {
/// let mut host = Host::<Plugin>::new(json!({}))?;
/// let verdicts = host.score_batch(&[("anna", json!({"amount": 1.0})), ("anna", json!({"amount": 2.0}))])?;
/// assert_eq!(verdicts[1].score, Some(3.0));
/// assert_eq!(host.score("bert", json!({"amount": 5.0}))?.score, Some(5.0));
/// # Ok(())
/// # }
/// ```
pub struct Host<P: Scoring> {
    config: P::Config,
    manifest: Manifest,
    states: BTreeMap<String, Vec<u8>>,
}

impl<P: Scoring> Host<P> {
    /// A host whose rule has this config.
    ///
    /// # Errors
    /// The config does not parse.
    pub fn new(config: Value) -> Result<Self, String> {
        Ok(Self { config: config::parse(&config.to_string())?, manifest: manifest::<P>(), states: BTreeMap::new() })
    }

    /// The plugin's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The encoded state of an entity; none if it has not been seen.
    pub fn state(&self, entity: &str) -> Option<&[u8]> {
        self.states.get(entity).map(Vec::as_slice)
    }

    /// Scores one event of an entity; `row` is an object with a member per input, timestamps in milliseconds.
    ///
    /// # Errors
    /// The row does not fit the inputs, or the plugin refuses it.
    pub fn score(&mut self, entity: &str, row: Value) -> Result<Scored, String> {
        let mut scored = self.score_batch(&[(entity, row)])?;
        scored.pop().ok_or_else(|| "the plugin gave no verdict".to_owned())
    }

    /// Scores events, given as (entity, row), in one batch. An error changes no state.
    ///
    /// # Errors
    /// A row does not fit the inputs, or the plugin refuses one.
    pub fn score_batch(&mut self, rows: &[(&str, Value)]) -> Result<Vec<Scored>, String> {
        let mut entities: Vec<&str> = Vec::new();
        let mut entity_of_row = Vec::with_capacity(rows.len());
        for (entity, _) in rows {
            let known = entities.iter().position(|known| known == entity);
            entity_of_row.push(known.unwrap_or(entities.len()) as u32);
            if known.is_none() {
                entities.push(entity);
            }
        }
        let keeps_state = self.manifest.state_version.is_some();
        let batch = Batch {
            rows: rows.len() as u32,
            columns: rows::columns(&self.manifest.inputs, rows)?,
            entities: if keeps_state { entity_of_row } else { Vec::new() },
            states: if keeps_state { self.encoded_states(&entities) } else { no_states() },
        };
        let verdicts = batch::score::<P>(&self.config, &batch)?;
        for (entity, bytes) in entities.iter().zip(state::iter(&verdicts.states)) {
            self.states.insert((*entity).to_owned(), bytes?.to_vec());
        }
        Ok(scored::by_row(&self.manifest, rows.len(), &verdicts))
    }

    /// Migrates all states from an older version, as a host does after an upgrade.
    ///
    /// # Errors
    /// The plugin refuses a state.
    pub fn migrate(&mut self, from_version: u32) -> Result<(), String> {
        let entities: Vec<String> = self.states.keys().cloned().collect();
        let names: Vec<&str> = entities.iter().map(String::as_str).collect();
        let migrated = <P as Guest>::migrate(from_version, self.encoded_states(&names))?;
        for (entity, bytes) in names.iter().zip(state::iter(&migrated)) {
            self.states.insert((*entity).to_owned(), bytes?.to_vec());
        }
        Ok(())
    }

    /// Sets an entity's encoded state, such as one that an older version wrote.
    pub fn set_state(&mut self, entity: &str, state: Vec<u8>) {
        self.states.insert(entity.to_owned(), state);
    }

    fn encoded_states(&self, entities: &[&str]) -> Blobs {
        let mut blobs = no_states();
        for entity in entities {
            blobs.data.extend_from_slice(self.state(entity).unwrap_or_default());
            blobs.ends.push(blobs.data.len() as u32);
        }
        blobs
    }
}

fn no_states() -> Blobs {
    Blobs { ends: Vec::new(), data: Vec::new() }
}
