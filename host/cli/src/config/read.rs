//! Reads the config from a file's text and the environment. Its errors name the place and the nearest known key.

use anyhow::{Result, anyhow};
use assay_core::plain_words::in_plain_words;
use toml::{Table, Value};

use super::Config;

/// Variables with this prefix and a section override keys: `ASSAY_ENGINE__WORKERS`.
const PREFIX: &str = "ASSAY_";
/// Keys of earlier versions, and their names now.
const RENAMED_KEYS: [(&str, &str); 1] = [("followers", "sinks")];
/// A known key is suggested in the place of an unknown one if their similarity (0 to 1) is higher.
const MIN_SIMILARITY: f64 = 0.7;

pub(super) fn read(text: &str, name: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Config> {
    // The file alone first: its errors then name their line, which is lost after the merge with the environment.
    toml::from_str::<Config>(text).map_err(|error| anyhow!("{name}: {}", error_text(&error)))?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| anyhow!("{name}: {}", error_text(&error)))?;
    for (variable, value) in environment {
        let Some((section, key)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Some(entry) = entry.as_table_mut() else { continue };
        // A key that takes text gets text, because a password may look like a number.
        entry.insert(key.clone(), Value::String(value.clone()));
        if table.clone().try_into::<Config>().is_ok() {
            continue;
        }
        if let Some(entry) = table.get_mut(&section).and_then(Value::as_table_mut) {
            entry.insert(key, parse_value(&value));
        }
        table
            .clone()
            .try_into::<Config>()
            .map_err(|error: toml::de::Error| anyhow!("variable {variable}: {}", error_text(&error)))?;
    }
    table.try_into::<Config>().map_err(|error: toml::de::Error| anyhow!("{name}: {}", error_text(&error)))
}

/// A variable's text as a TOML value: an integer, a boolean, a list in brackets, else text.
fn parse_value(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    if let Ok(value) = text.parse::<bool>() {
        return Value::Boolean(value);
    }
    // An address such as [::1]:7717 also begins with a bracket.
    parse_list(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn parse_list(text: &str) -> Option<Value> {
    let text = text.trim().strip_prefix('[')?;
    let table: Table = toml::from_str(&format!("list = [{text}")).ok()?;
    table.get("list").filter(|_| table.len() == 1).cloned()
}

/// The message of an error. After an unknown key it names the new name of the key, or the nearest known key.
fn error_text(error: &toml::de::Error) -> String {
    let message = in_plain_words(&error.to_string());
    let names: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let Some((unknown, known)) = names.split_first().filter(|_| error.message().starts_with("unknown field")) else {
        return message.trim_end().to_owned();
    };
    if let Some((_, new)) = RENAMED_KEYS.iter().find(|(old, new)| old == unknown && known.contains(new)) {
        return format!("{}\n'{unknown}' is called '{new}' now", message.trim_end());
    }
    let nearest = known.iter().max_by(|a, b| similarity(unknown, a).total_cmp(&similarity(unknown, b)));
    match nearest.filter(|nearest| similarity(unknown, nearest) > MIN_SIMILARITY) {
        Some(nearest) => format!("{}\ndid you mean '{nearest}'?", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

fn similarity(one: &str, other: &str) -> f64 {
    strsim::jaro_winkler(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config> {
        read(text, "assay.toml", environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn an_empty_config_is_the_default() {
        assert_eq!(with("", &[]).unwrap(), Config::default());
        let printed = Config::default().to_toml().unwrap();
        assert_eq!(with(&printed, &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = "[engine]\nworkers = 3\npartitions = 4\n";
        let environment = [("ASSAY_ENGINE__WORKERS", "5"), ("ASSAY_URL", "x"), ("ASSAY_LOG__LEVEL", "debug")];
        let config = with(text, &environment).unwrap();
        assert_eq!((config.engine.workers, config.engine.partitions, config.log.level.as_str()), (5, 4, "debug"));
    }

    #[test]
    fn a_variable_may_hold_a_list() {
        let variables = [("ASSAY_ENGINE__SINKS", "[\"outbox\", \"graph\"]"), ("ASSAY_SERVER__LISTEN", "[::1]:0")];
        let config = with("", &variables).unwrap();
        assert_eq!(config.engine.sinks, ["outbox", "graph"]);
        assert_eq!(config.server.listen, "[::1]:0");
        let error = with("", &[("ASSAY_ENGINE__SINKS", "outbox")]).unwrap_err().to_string();
        assert!(error.contains("ASSAY_ENGINE__SINKS") && error.contains("expected a list"), "{error}");
    }

    #[test]
    fn a_password_may_look_like_a_number() {
        let variables =
            [("ASSAY_SCYLLADB__PASSWORD", "0012"), ("ASSAY_DATA__DIR", "2026"), ("ASSAY_KAFKA__PUBLISH", "false")];
        let config = with("", &variables).unwrap();
        assert_eq!(config.scylladb.password.reveal(), "0012");
        assert_eq!(config.data.dir, std::path::Path::new("2026"));
        assert!(!config.kafka.publish);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place_and_a_suggestion() {
        let error = with("[engine]\nworkers = 3\npartition = 4\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("did you mean 'partitions'?"), "{error}");
        let error = with("", &[("ASSAY_SERVER__LISTN", "x")]).unwrap_err().to_string();
        assert!(error.contains("ASSAY_SERVER__LISTN") && error.contains("did you mean 'listen'?"), "{error}");
        let error = with("[engine]\ncheckpoint_every = \"soon\"\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("'soon' is not a duration"), "{error}");
    }

    #[test]
    fn a_key_of_an_earlier_version_is_an_error_that_names_the_new_one() {
        let in_file = with("[engine]\nfollowers = [\"graph\"]\n", &[]).unwrap_err().to_string();
        let in_variable = with("", &[("ASSAY_ENGINE__FOLLOWERS", "[\"graph\"]")]).unwrap_err().to_string();
        for error in [in_file, in_variable] {
            assert!(error.ends_with("'followers' is called 'sinks' now"), "{error}");
        }
    }

    #[test]
    fn errors_name_no_types_of_rust() {
        const FORBIDDEN: &[&str] = &[
            "struct",
            "enum ",
            "Option<",
            "elements",
            "eserialize",
            "serde",
            "invalid type",
            "invalid value",
            "u64",
            "i64",
            "u32",
            "i32",
            "usize",
            "sequence",
            "variant",
            "`",
        ];
        let defaults: Table = Config::default().to_toml().unwrap().parse().unwrap();
        let wrong = [
            "true",
            "-1",
            "1.5",
            "\"x\"",
            "\"\"",
            "[]",
            "[1]",
            "{ x = 1 }",
            "1979-05-27T07:32:00Z",
            "99999999999999999999",
            "oops",
        ];
        let mut refused = 0;
        for (section, keys) in &defaults {
            let keys = keys.as_table().unwrap().keys().map(|key| format!("[{section}]\n{key} = "));
            for begin in keys.chain([format!("{section} = "), format!("[{section}]\nzzz = ")]) {
                for value in wrong {
                    let Err(error) = with(&format!("{begin}{value}\n"), &[]) else { continue };
                    let message = error.to_string();
                    refused += 1;
                    for word in FORBIDDEN {
                        assert!(!message.contains(word), "'{word}' in {message}");
                    }
                }
            }
        }
        assert!(refused > 300, "{refused}");
    }
}
