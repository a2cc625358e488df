//! A rule's config: serde parses it from the rule's JSON, and a JSON Schema describes its type.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The config of a plugin that has none: an empty object.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The JSON Schema (draft 2020-12) of a config.
pub(crate) fn schema<C: JsonSchema>() -> String {
    schemars::SchemaGenerator::default().into_root_schema_for::<C>().to_value().to_string()
}

/// Parses a config.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    serde_json::from_str(json).map_err(|error| format!("config: {error}"))
}
