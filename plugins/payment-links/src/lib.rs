//! Adds payments to the graph as edges: a card `paid` a merchant, a card `used` a device. So cards of a fraud ring are
//! connected by devices or merchants.
//!
//! The score is the payment's share of an amount that counts as large. The edges have it, too.

use assay_sdk::{Input, Verdict, plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// The amounts by which payments are selected and scored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Payments below this amount are not drawn.
    pub from: f64,
    /// Payments of this amount and above score 1.
    pub large: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { from: 0.0, large: 1_000.0 }
    }
}

/// A payment with its card, merchant and device.
#[derive(Clone, Copy, Debug, Input)]
pub struct Payment<'a> {
    /// The card that pays.
    pub card: &'a str,
    /// The merchant that is paid.
    pub merchant: &'a str,
    /// The amount of the payment.
    pub amount: f64,
    /// The buyer's device.
    pub device: Option<&'a str>,
}

/// Scores a payment by its amount, from 0 to 1, and draws it.
#[plugin(edges = ["paid", "used"])]
pub fn score(config: &Config, payment: Payment<'_>) -> Verdict {
    let verdict = Verdict::score((payment.amount / config.large).clamp(0.0, 1.0));
    if payment.amount < config.from {
        return verdict;
    }
    let card = format!("card:{}", payment.card);
    let verdict = verdict.edge(edges::PAID, card.as_str(), format!("merchant:{}", payment.merchant));
    match payment.device {
        Some(device) => verdict.edge(edges::USED, card, format!("device:{device}")),
        None => verdict,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use assay_sdk::testing::{Host, json};

    use super::*;

    fn edge(name: &str, target: &str) -> (String, String, String) {
        (name.to_owned(), "card:anna".to_owned(), target.to_owned())
    }

    #[test]
    fn a_payment_adds_edges_to_its_merchant_and_device() {
        let mut host = Host::<Plugin>::new(json!({})).unwrap();
        let payment = json!({"card": "anna", "merchant": "shop", "amount": 250.0, "device": "phone"});
        let scored = host.score("anna", payment).unwrap();
        assert_eq!(scored.score, Some(0.25));
        assert_eq!(scored.edges, [edge("paid", "merchant:shop"), edge("used", "device:phone")]);
    }

    #[test]
    fn a_payment_without_a_device_adds_one_edge() {
        let mut host = Host::<Plugin>::new(json!({})).unwrap();
        let scored = host.score("anna", json!({"card": "anna", "merchant": "shop", "amount": 5000.0})).unwrap();
        assert_eq!((scored.score, scored.edges), (Some(1.0), vec![edge("paid", "merchant:shop")]));
    }

    #[test]
    fn payments_below_from_add_no_edges() {
        let mut host = Host::<Plugin>::new(json!({"from": 10.0})).unwrap();
        let scored = host.score("anna", json!({"card": "anna", "merchant": "shop", "amount": 9.99})).unwrap();
        assert_eq!(scored.edges, []);
        assert!(scored.score.unwrap() > 0.0);
    }
}
