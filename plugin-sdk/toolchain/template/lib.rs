//! {{name}}: a plugin for Assay. Replace this scorer by your own.

use assay_sdk::{Input, Verdict, plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// The config that a rule sets under `config:`. It is checked against a JSON Schema that is generated from this type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// An ordinary amount. One of this size scores 0.5.
    #[schemars(range(min = 0.01))]
    pub usual: f64,
    /// Scores from here on are tagged `large`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub large: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { usual: 100.0, large: 0.9 }
    }
}

/// The inputs that a rule binds under `inputs:`, one field per input.
#[derive(Debug, Input)]
pub struct Event<'a> {
    /// The amount to score.
    pub amount: f64,
    /// The country it is paid from, if it is known. An `Option` need not be bound.
    pub country: Option<&'a str>,
}

/// Scores how large an amount is: 0 for nothing, 0.5 for a usual one, near 1 for a very large one.
#[plugin(tags = ["large"], reasons = ["amount"], attributes = ["country"])]
pub fn score(config: &Config, event: Event<'_>) -> Verdict {
    let amount = event.amount.max(0.0);
    let score = amount / (amount + config.usual);
    let verdict = Verdict::score(score);
    if score < config.large {
        return verdict;
    }
    verdict
        .tag(tags::LARGE)
        .reason(reasons::AMOUNT, amount / config.usual)
        .attribute(attributes::COUNTRY, event.country.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use assay_sdk::testing::{Host, json};

    use super::*;

    #[test]
    fn a_usual_amount_scores_one_half() {
        let event = Event { amount: 100.0, country: None };
        assert_eq!(score(&Config::default(), event).value(), Some(0.5));
    }

    /// The same way as on a server: config as JSON, events as columns.
    #[test]
    fn a_large_amount_is_tagged() {
        let mut host = Host::<Plugin>::new(json!({"usual": 10})).unwrap();
        let scored = host.score("anna", json!({"amount": 990, "country": "DE"})).unwrap();
        assert_eq!(scored.score, Some(0.99));
        assert_eq!(scored.tags, ["large"]);
        assert_eq!(scored.attributes, [("country".to_owned(), "DE".to_owned())]);
    }
}
