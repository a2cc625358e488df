//! The SDK for plugins of Assay.
//!
//! A plugin is a function that scores one event:
//!
//! ```
//! use assay_sdk::{Input, Verdict, plugin};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// The config that a rule sets under `config:`. Its JSON Schema is generated from the type.
//! #[derive(Deserialize, JsonSchema)]
//! struct Config {
//!     /// Amounts from here on are high.
//!     high: f64,
//! }
//!
//! /// The inputs that a rule binds under `inputs:`.
//! #[derive(Input)]
//! struct Payment<'a> {
//!     /// The amount in euros.
//!     amount: f64,
//!     /// Where it was paid, if it is known.
//!     country: Option<&'a str>,
//! }
//!
//! /// Scores a payment by its amount.
//! #[plugin(tags = ["high-amount"], reasons = ["amount"])]
//! fn score(config: &Config, payment: Payment<'_>) -> Verdict {
//!     let ratio = payment.amount / config.high;
//!     Verdict::score(ratio.min(1.0)).tag_if(ratio >= 1.0, tags::HIGH_AMOUNT).reason(reasons::AMOUNT, ratio)
//! }
//!
//! // It is an ordinary function, and is tested like one.
//! let verdict = score(&Config { high: 100.0 }, Payment { amount: 250.0, country: None });
//! assert!(verdict.has_tag(tags::HIGH_AMOUNT));
//! ```
//!
//! A function with a parameter `state: &mut State` has a state per entity (a card, a user): any type with serde and
//! `Default`; [`state`] describes its encoding. Such a function is a fold: the same events in the same order give the
//! same state and the same verdicts. A plugin has no clock, no randomness and no IO: time is an input.
//!
//! [`testing::Host`] runs a plugin natively through the code that runs in Wasm, with config as JSON, events as columns
//! and encoded states.
//!
//! # What the macros expand to
//! A host sends a batch as columns, one per input, and gets columns back, so that a call into Wasm costs nanoseconds
//! per event. The macros generate only the code between the columns and the function. `#[derive(Input)]` above expands
//! to:
//!
//! ```
//! # use assay_sdk::{Field, Input, InputSpec, Kind, bindings::Column};
//! # struct Payment<'a> { amount: f64, country: Option<&'a str> }
//! impl Input for Payment<'static> {
//!     const INPUTS: &'static [InputSpec] = &[
//!         InputSpec { name: "amount", kind: Kind::Float, required: true, doc: "The amount in euros." },
//!         InputSpec { name: "country", kind: Kind::Text, required: false, doc: "Where it was paid, if it is known." },
//!     ];
//!     type Row<'a> = Payment<'a>;
//!     // Slices of the batch: `&'a [f64]`, and the texts with their presence bitmap.
//!     type Columns<'a> = (<f64 as Field<'a>>::Column, <Option<&'a str> as Field<'a>>::Column);
//!
//!     // Checks the columns, once per batch.
//!     fn open(columns: &[Column], rows: usize) -> Result<Self::Columns<'_>, String> {
//!         Ok((
//!             assay_sdk::open_field::<f64>(columns, 0, "amount", rows)?,
//!             assay_sdk::open_field::<Option<&str>>(columns, 1, "country", rows)?,
//!         ))
//!     }
//!
//!     fn read(columns: Self::Columns<'_>, row: usize) -> Payment<'_> {
//!         Payment { amount: Field::read(columns.0, row), country: Field::read(columns.1, row) }
//!     }
//! }
//! ```
//!
//! `#[plugin]` keeps the function unchanged and adds:
//!
//! ```
//! # use std::{cell::RefCell, thread::LocalKey};
//! # use assay_sdk::{About, Input, NoState, Scoring, Verdict};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
//! # #[derive(Input)] struct Payment<'a> { country: &'a str }
//! # fn score(config: &Config, payment: Payment<'_>) -> Verdict { Verdict::none() }
//! mod tags {
//!     use assay_sdk::Tag;
//!     pub const HIGH_AMOUNT: Tag = Tag::declared(&(0, "high-amount"));
//!     pub const ALL: [Tag; 1] = [HIGH_AMOUNT];
//! }
//! // ... `mod reasons` likewise
//!
//! struct Plugin;
//!
//! thread_local! {
//!     // An instance has one thread and is configured once.
//!     static CONFIG: RefCell<Option<Config>> = const { RefCell::new(None) };
//! }
//!
//! impl Scoring for Plugin {
//!     type Config = Config; // `NoConfig` for a function without one
//!     type State = NoState; // the type of `state: &mut State` without the reference
//!     type Input = Payment<'static>;
//!     const ABOUT: About = About {
//!         name: env!("CARGO_PKG_NAME"),
//!         version: env!("CARGO_PKG_VERSION"),
//!         doc: "Scores a payment by its amount.",
//!         tags: &["high-amount"],
//!         reasons: &["amount"],
//!         edges: &[],
//!         attributes: &[],
//!         state_version: None, // `Some(1)` with state, or what `state_version = ..` says
//!         annotations: &[("license", env!("CARGO_PKG_LICENSE")) /* homepage, repository */],
//!     };
//!
//!     fn score(config: &Config, state: &mut NoState, input: Payment<'_>) -> Result<Verdict, String> {
//!         assay_sdk::Outcome::verdict(score(config, input))
//!     }
//!
//!     fn migrate(from_version: u32, state: &[u8]) -> Result<NoState, String> {
//!         Err(format!("states of version {from_version} cannot be read: the plugin has no `migrate`"))
//!     }
//!
//!     fn slot() -> &'static LocalKey<RefCell<Option<Config>>> {
//!         &CONFIG
//!     }
//! }
//!
//! // The exports, made by wit-bindgen from `wit/plugin.wit`: `describe`, `configure`, `score` and `migrate`.
//! #[cfg(target_arch = "wasm32")]
//! assay_sdk::bindings::export_plugin!(Plugin with_types_in assay_sdk::bindings);
//! # fn main() {}
//! ```
//!
//! The loop over the rows is an ordinary function of this crate, generic over [`Scoring`]; the compiler inlines the
//! author's function into it. A score, tags and up to four reasons per event need no allocation.

mod answer;
mod batch;
#[doc(hidden)]
pub mod bindings;
mod column;
mod config;
mod field;
mod guest;
mod input;
mod names;
#[cfg(any(target_arch = "wasm32", test))]
mod panic_message;
mod reasons;
mod scoring;
pub mod state;
pub mod testing;
mod time;
mod verdict;

pub use assay_sdk_macros::{Input, plugin};
pub use bindings::Kind;
pub use config::NoConfig;
pub use field::{Field, Value};
pub use input::{Input, InputSpec, open_field};
pub use names::{Attribute, Edge, Reason, Tag};
pub use scoring::{About, Scoring};
pub use state::NoState;
pub use time::Timestamp;
pub use verdict::{Outcome, Verdict};
