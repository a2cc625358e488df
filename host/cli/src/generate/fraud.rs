//! Fraud: what thieves do with a card, as bursts of payments that a campaign plans at once.

use super::dice::Dice;
use super::payment::{Channel, Merchant, Payment};
use super::world::{World, billing_place, category_named, shop_place};

/// A kind of fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraud {
    /// A stolen number is tried online: a dozen or more small payments within minutes, from a device that tries
    /// many cards, sometimes with a large one at the end.
    CardTesting,
    /// A stolen card is emptied: large payments in shops far from the last place, soon after it.
    StolenCard,
}

const TESTS: (u64, u64) = (12, 30);
const PURCHASES: (u64, u64) = (4, 9);
const CASH_OUT_PROBABILITY: f64 = 0.5;
const MINUTE: u64 = 60_000;

/// Devices of thieves, numbered behind those of the cards' owners.
const DEVICES: u64 = 40;

/// How likely a campaign that begins behind a payment in a shop is to test the card's number; the others empty it.
/// Behind a payment online, all do the former.
const TESTING_PROBABILITY: f64 = 0.35;

/// How many payments a campaign has on average, with 15 % of the payments before them made online.
pub(super) const MEAN_PAYMENTS: f64 = {
    let testing = 0.15 + 0.85 * TESTING_PROBABILITY;
    let tests = (TESTS.0 + TESTS.1) as f64 / 2.0 + CASH_OUT_PROBABILITY;
    let purchases = (PURCHASES.0 + PURCHASES.1) as f64 / 2.0;
    testing * tests + (1.0 - testing) * purchases
};

/// The payments of a campaign in order of time, planned when its card makes the payment `last`.
pub(super) fn campaign(last: &Payment, cards: u32, world: &World, dice: &mut Dice) -> Vec<Payment> {
    if last.channel == Channel::Online || dice.chance(TESTING_PROBABILITY) {
        card_testing(last, cards, world, dice)
    } else {
        stolen_card(last, world, dice)
    }
}

fn card_testing(last: &Payment, cards: u32, world: &World, dice: &mut Dice) -> Vec<Payment> {
    let home = world.homes[last.card as usize - 1];
    let device = 2 * cards + 1 + dice.below(DEVICES) as u32;
    let category = world.online_category(dice);
    let merchant = world.merchant(category, home, dice);
    let mut time = last.time + dice.between(10_000, 5 * MINUTE) as i64;
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
    let count = dice.between(TESTS.0, TESTS.1);
    let mut payments: Vec<Payment> =
        (0..count).map(|_| payment(merchant, dice.between(50, 499), dice.between(3_000, 25_000))).collect();
    if dice.chance(CASH_OUT_PROBABILITY) {
        let shop = world.merchant(category, home, dice);
        payments.push(payment(shop, dice.between(30_000, 150_000), dice.between(MINUTE, 6 * MINUTE)));
    }
    payments
}

fn stolen_card(last: &Payment, world: &World, dice: &mut Dice) -> Vec<Payment> {
    let loot = ["electronics", "jewellery", "fashion"].map(category_named);
    let city = world.far_city(last.city, dice);
    let mut time = last.time + dice.between(5 * MINUTE, 40 * MINUTE) as i64;
    let count = dice.between(PURCHASES.0, PURCHASES.1);
    let purchases = (0..count).map(|_| {
        time += dice.between(MINUTE, 7 * MINUTE) as i64;
        let category = loot[dice.below(loot.len() as u64) as usize];
        let merchant = world.merchant(category, city, dice);
        let amount = dice.log_normal(420.0, 0.6).clamp(60.0, 6_000.0);
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
