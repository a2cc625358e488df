//! Fraud: bursts of payments with a stolen card or number. A campaign plans a burst at once.

use super::model::{PaymentModel, billing_place, category_named, shop_place};
use super::payment::{Channel, Merchant, Payment};
use super::rng::SeededRng;

/// A kind of fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraud {
    /// A stolen number is tested online: a dozen or more small payments within minutes, from a device that tests many
    /// cards, sometimes with a large payment at the end.
    CardTesting,
    /// A stolen card is emptied: large payments in shops far from the last place, soon after it.
    StolenCard,
}

const TEST_PAYMENTS: (u64, u64) = (12, 30);
const STOLEN_CARD_PAYMENTS: (u64, u64) = (4, 9);
const CASH_OUT_PROBABILITY: f64 = 0.5;
const MINUTE_MS: u64 = 60_000;

/// The number of thieves' devices, whose numbers come after those of the owners' devices.
const THIEF_DEVICES: u64 = 40;

/// The probability that a campaign after a payment in a shop tests the card's number; the others empty the card. After
/// an online payment all campaigns test the number.
const TESTING_PROBABILITY: f64 = 0.35;

/// The mean number of payments of a campaign, if 15 % of the payments before campaigns are online.
pub(super) const MEAN_PAYMENTS: f64 = {
    let testing = 0.15 + 0.85 * TESTING_PROBABILITY;
    let tests = (TEST_PAYMENTS.0 + TEST_PAYMENTS.1) as f64 / 2.0 + CASH_OUT_PROBABILITY;
    let purchases = (STOLEN_CARD_PAYMENTS.0 + STOLEN_CARD_PAYMENTS.1) as f64 / 2.0;
    testing * tests + (1.0 - testing) * purchases
};

/// The payments of a campaign in order of time, planned when its card makes the payment `last`.
pub(super) fn plan_campaign(last: &Payment, cards: u32, model: &PaymentModel, rng: &mut SeededRng) -> Vec<Payment> {
    if last.channel == Channel::Online || rng.chance(TESTING_PROBABILITY) {
        plan_card_testing(last, cards, model, rng)
    } else {
        plan_stolen_card(last, model, rng)
    }
}

fn plan_card_testing(last: &Payment, cards: u32, model: &PaymentModel, rng: &mut SeededRng) -> Vec<Payment> {
    let home = model.homes[last.card as usize - 1];
    let device = 2 * cards + 1 + rng.below(THIEF_DEVICES) as u32;
    let category = model.online_category(rng);
    let merchant = model.merchant(category, home, rng);
    let mut time = last.time + rng.between(10_000, 5 * MINUTE_MS) as i64;
    let mut payment = |merchant: Merchant, cents: u64, pause: u64| {
        time += pause as i64;
        Payment {
            merchant,
            cents: cents as u32,
            time,
            city: home,
            place: billing_place(last.card, home),
            channel: Channel::Online,
            device: Some(device),
            fraud: Some(Fraud::CardTesting),
            ..*last
        }
    };
    let count = rng.between(TEST_PAYMENTS.0, TEST_PAYMENTS.1);
    let mut payments: Vec<Payment> =
        (0..count).map(|_| payment(merchant, rng.between(50, 499), rng.between(3_000, 25_000))).collect();
    if rng.chance(CASH_OUT_PROBABILITY) {
        let shop = model.merchant(category, home, rng);
        payments.push(payment(shop, rng.between(30_000, 150_000), rng.between(MINUTE_MS, 6 * MINUTE_MS)));
    }
    payments
}

fn plan_stolen_card(last: &Payment, model: &PaymentModel, rng: &mut SeededRng) -> Vec<Payment> {
    let loot = ["electronics", "jewellery", "fashion"].map(category_named);
    let city = model.far_city(last.city, rng);
    let mut time = last.time + rng.between(5 * MINUTE_MS, 40 * MINUTE_MS) as i64;
    let count = rng.between(STOLEN_CARD_PAYMENTS.0, STOLEN_CARD_PAYMENTS.1);
    let purchases = (0..count).map(|_| {
        time += rng.between(MINUTE_MS, 7 * MINUTE_MS) as i64;
        let category = loot[rng.below(loot.len() as u64) as usize];
        let merchant = model.merchant(category, city, rng);
        let amount = rng.log_normal(420.0, 0.6).clamp(60.0, 6_000.0);
        Payment {
            merchant,
            cents: (amount * 100.0) as u32,
            time,
            city,
            place: shop_place(merchant, city),
            channel: Channel::Chip,
            device: None,
            fraud: Some(Fraud::StolenCard),
            ..*last
        }
    });
    purchases.collect()
}
