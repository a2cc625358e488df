//! The endless stream of payments: the next card, merchant, amount and place, and the order of arrival. The config
//! determines all of it.

use anyhow::ensure;

use super::arrivals::Arrivals;
use super::cities::CITIES;
use super::fraud;
use super::model::{CATEGORIES, PaymentModel, billing_place, shop_place};
use super::payment::{Channel, Payment};
use super::rng::{SeededRng, mix_bits};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The probability of a payment in each local hour, relative to the busiest hour.
const HOURLY_ACTIVITY: [f64; 24] = [
    0.10, 0.06, 0.04, 0.03, 0.04, 0.08, 0.22, 0.45, 0.60, 0.62, 0.68, 0.82, //
    0.95, 0.85, 0.72, 0.72, 0.82, 0.98, 1.00, 0.92, 0.75, 0.55, 0.36, 0.20,
];

/// After one payment in 250 the owner leaves for another city.
const TRIP_PROBABILITY: f64 = 0.004;

/// The config of a run. Two runs of the same config are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaymentsConfig {
    /// The seed of the random numbers.
    pub seed: u64,
    /// The number of cards, 1 to 10,000,000.
    pub cards: u32,
    /// The time of the first payment: milliseconds since 1970-01-01T00:00:00Z.
    pub start_ms: i64,
    /// Payments per second of event time, 0.001 to 10,000,000. Sliding windows see cards as busy as this
    /// makes them: 100,000 cards at 5 per second pay four times a day each, as people do.
    pub rate_per_s: f64,
    /// The share of payments that are fraud, 0 to 0.5.
    pub fraud_share: f64,
    /// The largest delay of a payment's arrival, in milliseconds, at most an hour.
    pub disorder_ms: u32,
}

impl Default for PaymentsConfig {
    /// 100,000 cards from Monday, 5 January 2026, 08:00 UTC on, with one payment in 500 a fraud.
    fn default() -> Self {
        Self {
            seed: 1,
            cards: 100_000,
            start_ms: 1_767_600_000_000,
            rate_per_s: 5.0,
            fraud_share: 0.002,
            disorder_ms: 30_000,
        }
    }
}

impl PaymentsConfig {
    fn check(&self) -> anyhow::Result<()> {
        let Self { cards, start_ms, rate_per_s, fraud_share, disorder_ms, .. } = *self;
        ensure!((1..=10_000_000).contains(&cards), "the number of cards must be 1 to 10,000,000, not {cards}");
        // Up to the year 9999, so that no sum of times overflows.
        let years = 0..=253_402_300_799_000;
        ensure!(years.contains(&start_ms), "the start must be between the years 1970 and 9999, not {start_ms} ms");
        ensure!(
            (0.001..=10_000_000.0).contains(&rate_per_s),
            "the rate must be 0.001 to 10,000,000 payments per second, not {rate_per_s}"
        );
        ensure!((0.0..=0.5).contains(&fraud_share), "the share of fraud must be 0 to 0.5, not {fraud_share}");
        ensure!(disorder_ms <= 3_600_000, "the disorder must be at most an hour, not {disorder_ms} ms");
        Ok(())
    }

    /// A digest of the config, in 24 bits.
    fn digest(&self) -> u32 {
        let parts = [
            self.seed,
            u64::from(self.cards),
            self.start_ms as u64,
            self.rate_per_s.to_bits(),
            self.fraud_share.to_bits(),
            u64::from(self.disorder_ms),
        ];
        (parts.iter().fold(0, |digest, part| mix_bits(digest ^ part)) >> 40) as u32
    }
}

/// An endless iterator over payments in the order of their arrival.
pub struct Payments {
    config: PaymentsConfig,
    run: u32,
    rng: SeededRng,
    model: PaymentModel,
    cards: Vec<Card>,
    /// Microseconds after the start: the time of the newest payment that is not part of a campaign.
    now_us: i64,
    arrivals: Arrivals,
    emitted: u64,
    campaign_probability: f64,
}

/// The changing state of a card. Times are milliseconds as in events.
#[derive(Clone, Copy)]
struct Card {
    city: u8,
    /// The card does not pay before this time, because its owner travels or it is blocked.
    silent_until: i64,
    /// The time at which its owner returns from a trip.
    home_at: i64,
}

impl Payments {
    /// # Errors
    /// A part of the config is out of range. The message names it.
    pub fn new(config: &PaymentsConfig) -> anyhow::Result<Self> {
        config.check()?;
        let mut rng = SeededRng::new(config.seed);
        let model = PaymentModel::new(config.cards, &mut rng);
        let card = |&city| Card { city, silent_until: i64::MIN, home_at: i64::MAX };
        let cards = model.homes.iter().map(card).collect();
        let share = config.fraud_share;
        Ok(Self {
            run: config.digest(),
            rng,
            model,
            cards,
            now_us: 0,
            arrivals: Arrivals::new(config.disorder_ms),
            emitted: 0,
            campaign_probability: share / (1.0 - share) / fraud::MEAN_PAYMENTS,
            config: *config,
        })
    }

    /// Makes the next payment of an owner, and sometimes plans a campaign of fraud after it.
    fn plan(&mut self) {
        let rate = self.config.rate_per_s * (1.0 - self.config.fraud_share);
        self.now_us += (self.rng.exponential() * 1e6 / rate) as i64;
        let time = self.config.start_ms + self.now_us / 1000;
        let index = self.awake_card(time);
        let payment = self.payment_of(index, time);
        self.arrivals.push(payment, &mut self.rng);
        if self.rng.chance(self.campaign_probability) {
            let payments = fraud::plan_campaign(&payment, self.config.cards, &self.model, &mut self.rng);
            for payment in payments {
                self.cards[index].silent_until = payment.time + 2 * DAY;
                self.arrivals.push(payment, &mut self.rng);
            }
        } else {
            self.travel(index, time);
        }
    }

    /// A card whose owner is awake at this time; if all owners of a small model sleep, any card.
    fn awake_card(&mut self, time: i64) -> usize {
        let mut index = 0;
        for _ in 0..40 {
            index = self.model.card(&mut self.rng);
            let card = &self.cards[index];
            let hour = CITIES[usize::from(card.city)].hour(time);
            if card.silent_until <= time && self.rng.chance(HOURLY_ACTIVITY[hour]) {
                break;
            }
        }
        index
    }

    fn payment_of(&mut self, index: usize, time: i64) -> Payment {
        let (card, home) = (index as u32 + 1, self.model.homes[index]);
        let kind = self.model.category(&mut self.rng);
        let category = &CATEGORIES[kind];
        let city = if category.is_online { home } else { self.cards[index].city };
        let merchant = self.model.merchant(kind, city, &mut self.rng);
        let amount = category.median * f64::from(self.model.spending_factors[index]);
        let cents = (self.rng.log_normal(amount, category.sigma) * 100.0).clamp(50.0, 1_500_000.0) as u32;
        let (channel, place, device) = if category.is_online {
            // The second device is the phone.
            let device = if self.rng.chance(0.6) { card } else { self.config.cards + card };
            (Channel::Online, billing_place(card, home), Some(device))
        } else {
            let is_contactless = self.rng.chance(if cents < 5_000 { 0.8 } else { 0.1 });
            let channel = if is_contactless { Channel::Contactless } else { Channel::Chip };
            (channel, shop_place(merchant, city), None)
        };
        Payment { run: self.run, number: 0, card, merchant, cents, time, place, channel, device, city, fraud: None }
    }

    /// After a payment the owner may leave for another city, or for home: not faster than an airliner.
    fn travel(&mut self, index: usize, time: i64) {
        let card = &mut self.cards[index];
        let to = if time >= card.home_at {
            card.home_at = i64::MAX;
            self.model.homes[index]
        } else if card.home_at == i64::MAX && self.rng.chance(TRIP_PROBABILITY) {
            card.home_at = time + self.rng.between(1, 6) as i64 * DAY;
            self.model.destination(&mut self.rng)
        } else {
            return;
        };
        let km = CITIES[usize::from(card.city)].km_to(&CITIES[usize::from(to)]);
        card.city = to;
        card.silent_until = time + 2 * HOUR + (km / 700.0 * HOUR as f64) as i64;
    }
}

impl Iterator for Payments {
    type Item = Payment;

    fn next(&mut self) -> Option<Payment> {
        loop {
            let now = self.config.start_ms + self.now_us / 1000;
            if let Some(payment) = self.arrivals.pop_before(now) {
                self.emitted += 1;
                return Some(Payment { number: self.emitted, ..payment });
            }
            self.plan();
        }
    }
}

#[cfg(test)]
mod tests;
