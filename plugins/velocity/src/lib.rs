//! Scores a payment by its amount and by its card's spending in the last hour: a logistic regression without state.
//!
//! The windowed inputs are optional, so that rules without views can use it, too. A missing input adds nothing.

use assay_sdk::{Input, Verdict, plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// The weights of the regression and the threshold of the tag. The defaults are for amounts in euros.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The constant term of the sum. The lower it is, the rarer are high scores.
    pub bias: f64,
    /// The weight per unit of the amount.
    pub amount: f64,
    /// The weight per unit spent in the last hour.
    pub spent_1h: f64,
    /// The weight per payment in the last hour.
    pub count_1h: f64,
    /// Scores from here on are tagged `high-velocity`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { bias: -6.0, amount: 0.002, spent_1h: 0.001, count_1h: 0.35, high: 0.9 }
    }
}

/// A payment and the window that it falls in.
#[derive(Clone, Copy, Debug, Input)]
pub struct Payment {
    /// The amount of the payment.
    pub amount: f64,
    /// The sum of the card's payments in the last hour, this one included.
    pub spent_1h: Option<f64>,
    /// The number of the card's payments in the last hour, this one included.
    pub count_1h: Option<i64>,
}

/// Scores how much a payment looks like a card being emptied: from 0 (ordinary) to 1.
///
/// The score is `1 / (1 + exp(-sum))` of a weighted sum; each reason's weight is its part of that sum.
#[plugin(tags = ["high-velocity"], reasons = ["amount", "spent-1h", "count-1h"])]
pub fn score(config: &Config, payment: Payment) -> Verdict {
    let amount = config.amount * payment.amount;
    let spent = config.spent_1h * payment.spent_1h.unwrap_or(0.0);
    let count = config.count_1h * payment.count_1h.unwrap_or(0) as f64;
    let score = 1.0 / (1.0 + (-(config.bias + amount + spent + count)).exp());
    let verdict = Verdict::score(score);
    if score < config.high {
        return verdict;
    }
    // Only high scores have reasons: reasons on every row would be most of an answer's bytes.
    verdict
        .tag(tags::HIGH_VELOCITY)
        .reason(reasons::AMOUNT, amount)
        .reason(reasons::SPENT_1H, spent)
        .reason(reasons::COUNT_1H, count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use assay_sdk::testing::{Host, json};

    use super::*;

    #[test]
    fn an_ordinary_payment_scores_low_without_tags_and_reasons() {
        let verdict = score(&Config::default(), Payment { amount: 20.0, spent_1h: Some(20.0), count_1h: Some(1) });
        assert!(verdict.value().unwrap() < 0.01, "{verdict:?}");
        assert!(!verdict.has_tag(tags::HIGH_VELOCITY));
        assert_eq!(verdict.weight(reasons::AMOUNT), None);
    }

    #[test]
    fn a_burst_is_tagged_and_its_reasons_add_up_to_the_score() {
        let config = Config::default();
        let verdict = score(&config, Payment { amount: 400.0, spent_1h: Some(4_000.0), count_1h: Some(15) });
        assert!(verdict.has_tag(tags::HIGH_VELOCITY), "{verdict:?}");
        let sum: f64 = reasons::ALL.iter().filter_map(|reason| verdict.weight(*reason)).sum();
        let expected = 1.0 / (1.0 + (-(config.bias + sum)).exp());
        assert!((verdict.value().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn a_rule_without_views_scores_by_the_amount_alone() {
        let mut host = Host::<Plugin>::new(json!({"bias": 0.0, "amount": 1.0})).unwrap();
        let scored = host.score("card", json!({"amount": 0.0})).unwrap();
        assert_eq!(scored.score, Some(0.5));
    }

    #[test]
    fn a_config_with_a_wrong_name_is_refused_by_that_name() {
        let error = Host::<Plugin>::new(json!({"hihg": 0.5})).err().unwrap();
        assert!(error.contains("`hihg`"), "{error}");
    }
}
