//! Checks the config of a rule: by the plugin's JSON Schema, then by the plugin itself.

use assay_runtime::{Limits, Manifest, Plugin, check_config_schema};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Bytes of a rule's config, as JSON.
const MAX_CONFIG_BYTES: usize = 64 << 10;
/// Misfits of a config that are told.
const MAX_MISFITS: usize = 10;
/// Bytes of a misfit that are told: it repeats what the config has.
const MAX_MISFIT_BYTES: usize = 500;
/// Bytes that a compiled pattern may take.
const MAX_COMPILED_PATTERN_BYTES: usize = 256 << 10;

/// The config as JSON, if the plugin's schema and the plugin itself take it.
pub(super) fn check_config(
    config: &Value,
    manifest: &Manifest,
    plugin: &Plugin,
    limits: &Limits,
) -> Result<String, String> {
    let text = config.to_string();
    if text.len() > MAX_CONFIG_BYTES {
        return Err(format!("it has {} bytes as JSON, at most {MAX_CONFIG_BYTES} are taken", text.len()));
    }
    match compile_schema(&manifest.config_schema) {
        Ok(schema) => check_misfits(config, &manifest.name, &schema)?,
        // It was uploaded before its schema was bounded. A server must still start with it, and the plugin checks its
        // config itself.
        Err(why) => {
            let plugin = format!("{}@{}", manifest.name, manifest.version);
            tracing::error!(plugin, why, "the config schema is not evaluated; push a version with another schema");
        }
    }
    plugin.instance(&text, limits.clone()).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Compiles a schema whose evaluation is bounded.
///
/// # Errors
/// The reason why it is refused.
pub(crate) fn compile_schema(schema: &Value) -> Result<Validator, String> {
    check_config_schema(schema)?;
    // This engine takes time linear in the text; the default one can take exponential time.
    let patterns =
        PatternOptions::regex().size_limit(MAX_COMPILED_PATTERN_BYTES).dfa_size_limit(MAX_COMPILED_PATTERN_BYTES);
    let options = jsonschema::options().with_pattern_options(patterns);
    options.build(schema).map_err(|error| shorten_message(&error.to_string()))
}

fn check_misfits(config: &Value, plugin: &str, schema: &Validator) -> Result<(), String> {
    let misfits = schema.iter_errors(config).take(MAX_MISFITS).map(|error| {
        let path = error.instance_path().to_string();
        shorten_message(&if path.is_empty() { error.to_string() } else { format!("{path}: {error}") })
    });
    let misfits: Vec<String> = misfits.collect();
    if misfits.is_empty() {
        return Ok(());
    }
    Err(format!("it does not fit the schema of plugin '{plugin}': {}", misfits.join("; ")))
}

fn shorten_message(message: &str) -> String {
    assay_core::shorten::shorten(message, MAX_MISFIT_BYTES).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_are_linear_and_bounded() {
        let schema = compile_schema(&json!({ "type": "string", "pattern": "^(a+)+$" })).unwrap();
        assert!(!schema.is_valid(&json!(format!("{}!", "a".repeat(10_000)))));
        assert!(compile_schema(&json!({ "pattern": "(?=a)b" })).is_err(), "it looks around");
        assert!(compile_schema(&json!({ "pattern": "((a{1000}){1000}){1000}" })).is_err(), "it is too large");
    }

    #[test]
    fn misfits_are_few_and_short() {
        let schema = compile_schema(&json!({ "items": { "type": "integer" } })).unwrap();
        let config = json!(vec!["x".repeat(2000); 20]);
        let message = check_misfits(&config, "p", &schema).unwrap_err();
        assert!(message.starts_with("it does not fit the schema of plugin 'p': /0: "), "{message}");
        assert!(message.len() < MAX_MISFITS * (MAX_MISFIT_BYTES + 10) + 100, "{}", message.len());
    }
}
