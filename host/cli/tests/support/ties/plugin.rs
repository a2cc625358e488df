//! A plugin of the test of faults. What it says of a payment tells of every earlier payment of the card, in their order:
//! an event that was folded twice, or not at all, shows in all later scores.

use assay_sdk::{Input, Verdict, plugin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A prime: scores have as many values.
const VALUES: u64 = 1_000_003;
/// The next version says something else of the same state.
const FACTOR: u64 = if env!("CARGO_PKG_VERSION_MINOR").as_bytes()[0] == b'0' { 31 } else { 37 };

/// Which payments fail.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Those whose cents this number divides; 0: none.
    pub refuse: u64,
}

/// All payments of a card so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct State {
    payments: u64,
    chain: u64,
}

/// A payment.
#[derive(Clone, Copy, Debug, Input)]
pub struct Payment<'a> {
    /// Who pays.
    pub card: &'a str,
    /// Who is paid.
    pub merchant: &'a str,
    /// How.
    pub channel: &'a str,
    /// How much.
    pub amount: f64,
}

/// Chains payments of a card, and connects card, merchant and channel.
#[plugin(tags = ["odd"], edges = ["paid", "takes"], attributes = ["payments"])]
pub fn score(config: &Config, state: &mut State, payment: Payment<'_>) -> Result<Verdict, String> {
    let cents = (payment.amount * 100.0).round() as u64;
    if config.refuse > 0 && cents % config.refuse == 0 {
        return Err(format!("{cents} cents are refused"));
    }
    state.payments += 1;
    state.chain = (state.chain * FACTOR + cents) % VALUES;
    let verdict = Verdict::score(state.chain as f64 / VALUES as f64)
        .tag_if(state.chain % 2 == 1, tags::ODD)
        .attribute(attributes::PAYMENTS, state.payments);
    if cents % 3 > 0 {
        return Ok(verdict);
    }
    let [card, merchant, channel] =
        [("card", payment.card), ("merchant", payment.merchant), ("channel", payment.channel)]
            .map(|(kind, key)| format!("{kind}:{key}"));
    Ok(verdict.edge(edges::PAID, card, merchant.clone()).edge(edges::TAKES, merchant, channel))
}
