//! The constant part of the model of payments: categories, merchants with their places, cards with home and habits.

use super::cities::{CITIES, City};
use super::payment::Merchant;
use super::rng::{SeededRng, Weighted, mix_bits};

/// A category of merchants.
pub(super) struct Category {
    pub(super) name: &'static str,
    /// The median amount of its payments in units of currency, without the card's habits.
    pub(super) median: f64,
    /// The spread of the amounts' logarithm.
    pub(super) sigma: f64,
    /// The relative frequency of its payments.
    weight: f64,
    pub(super) is_online: bool,
}

const fn shop(name: &'static str, median: f64, sigma: f64, weight: f64) -> Category {
    Category { name, median, sigma, weight, is_online: false }
}

const fn site(name: &'static str, median: f64, sigma: f64, weight: f64) -> Category {
    Category { name, median, sigma, weight, is_online: true }
}

pub(super) const CATEGORIES: [Category; 14] = [
    shop("grocery", 24.0, 0.7, 30.0),
    shop("restaurant", 22.0, 0.6, 18.0),
    shop("transport", 6.0, 0.6, 13.0),
    shop("fuel", 48.0, 0.35, 6.0),
    shop("pharmacy", 15.0, 0.7, 5.0),
    shop("fashion", 55.0, 0.7, 5.0),
    shop("entertainment", 26.0, 0.6, 5.0),
    shop("electronics", 110.0, 0.8, 1.6),
    shop("hotel", 150.0, 0.5, 1.6),
    shop("jewellery", 180.0, 0.8, 0.3),
    site("marketplace", 34.0, 0.8, 7.0),
    site("digital", 9.0, 0.6, 4.0),
    site("subscription", 12.0, 0.4, 2.5),
    site("tickets", 45.0, 0.6, 1.0),
];

/// Merchants of a category in each city: 60 * 10 * 8, and on the web: 4 * 50. Together 5,000.
const SHOPS_PER_CITY: u64 = 8;
const SITES_PER_CATEGORY: u64 = 50;

/// The largest distance of a shop from its city's centre, in ten-thousandths of a degree (some 5 km).
const CITY_RADIUS: u64 = 450;

/// The distance from which a city is far: no car gets there within hours.
const FAR_KM: f64 = 2_000.0;

/// The cards' homes and habits, and the distributions of merchants and cities.
pub(super) struct PaymentModel {
    /// Per card: the index of its home city.
    pub(super) homes: Vec<u8>,
    /// Per card: the factor of its amounts, relative to the median card.
    pub(super) spending_factors: Vec<f32>,
    activity: Weighted,
    categories: Weighted,
    sites: Weighted,
    cities: Weighted,
    far: Vec<Vec<u8>>,
}

impl PaymentModel {
    pub(super) fn new(cards: u32, rng: &mut SeededRng) -> Self {
        let cities = Weighted::new(&CITIES.map(|city| city.population));
        let homes = (0..cards).map(|_| cities.draw(rng) as u8).collect();
        let spending_factors = (0..cards).map(|_| rng.log_normal(1.0, 0.4) as f32).collect();
        let weights = |wanted: fn(&Category) -> bool| {
            Weighted::new(&CATEGORIES.map(|category| if wanted(&category) { category.weight } else { 0.0 }))
        };
        Self {
            homes,
            spending_factors,
            activity: Weighted::new(&activity(cards, rng)),
            categories: weights(|_| true),
            sites: weights(|category| category.is_online),
            cities,
            far: CITIES.iter().map(far_from).collect(),
        }
    }

    /// The index of a card, busy ones more often.
    pub(super) fn card(&self, rng: &mut SeededRng) -> usize {
        self.activity.draw(rng)
    }

    /// The category of a payment.
    pub(super) fn category(&self, rng: &mut SeededRng) -> usize {
        self.categories.draw(rng)
    }

    /// The category of an online payment.
    pub(super) fn online_category(&self, rng: &mut SeededRng) -> usize {
        self.sites.draw(rng)
    }

    /// The destination of a trip.
    pub(super) fn destination(&self, rng: &mut SeededRng) -> u8 {
        self.cities.draw(rng) as u8
    }

    /// A city too far away to be reached within an hour or two.
    pub(super) fn far_city(&self, from: u8, rng: &mut SeededRng) -> u8 {
        let far = &self.far[usize::from(from)];
        // Every city has one: half of the Earth is farther than 10,000 km from it.
        far[rng.below(far.len() as u64) as usize]
    }

    /// A merchant of this category in this city; the first ones are the busiest.
    pub(super) fn merchant(&self, category: usize, city: u8, rng: &mut SeededRng) -> Merchant {
        let is_online = CATEGORIES[category].is_online;
        let skewed = rng.unit() * rng.unit();
        let count = if is_online { SITES_PER_CATEGORY } else { SHOPS_PER_CITY };
        let number = (skewed * count as f64) as u8 + 1;
        Merchant { category: category as u8, city: (!is_online).then_some(city), number }
    }
}

/// The relative frequency of each card's payments: Zipf-Mandelbrot. A tenth of the cards makes about half of all
/// payments, and the busiest card makes some 70 payments a day, where the mean is 4.
fn activity(cards: u32, rng: &mut SeededRng) -> Vec<f64> {
    let shift = f64::from(cards) / 100.0;
    let mut weights: Vec<f64> = (1..=cards).map(|rank| libm::pow(f64::from(rank) + shift, -0.9)).collect();
    // Busy cards must not be those with the lowest numbers: Fisher-Yates.
    for i in (1..weights.len()).rev() {
        weights.swap(i, rng.below(i as u64 + 1) as usize);
    }
    weights
}

fn far_from(city: &City) -> Vec<u8> {
    (0..).zip(&CITIES).filter(|(_, other)| city.km_to(other) > FAR_KM).map(|(i, _)| i).collect()
}

/// The index of the category of this name; of the first one for an unknown name.
pub(super) fn category_named(name: &str) -> usize {
    CATEGORIES.iter().position(|category| category.name == name).unwrap_or_default()
}

/// The place of a merchant of a city, in ten-thousandths of a degree north and east.
pub(super) fn shop_place(merchant: Merchant, city: u8) -> (i32, i32) {
    place_in(city, u64::from(merchant.category) << 8 | u64::from(merchant.number))
}

/// A card's billing address, in ten-thousandths of a degree north and east.
pub(super) fn billing_place(card: u32, city: u8) -> (i32, i32) {
    place_in(city, 1 << 32 | u64::from(card))
}

/// A place within a city, which is constant for a number.
fn place_in(city: u8, number: u64) -> (i32, i32) {
    let centre = &CITIES[usize::from(city)];
    let spread = mix_bits(u64::from(city) << 40 | number);
    let aside = |bits: u64| (bits % (2 * CITY_RADIUS + 1)) as i32 - CITY_RADIUS as i32;
    let degrees = |degrees: f64| libm::round(degrees * 10_000.0) as i32;
    (degrees(centre.lat) + aside(spread & 0xffff_ffff), degrees(centre.lon) + aside(spread >> 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_city_has_far_ones() {
        assert!(CITIES.iter().all(|city| far_from(city).len() > 20));
    }

    #[test]
    fn a_tenth_of_the_cards_makes_about_half_of_the_payments() {
        let mut weights = activity(100_000, &mut SeededRng::new(1));
        weights.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = weights.iter().sum();
        let tenth: f64 = weights[..10_000].iter().sum();
        assert!((0.4..0.6).contains(&(tenth / total)), "{}", tenth / total);
        assert!(weights[0] * 100_000.0 / total < 20.0);
    }
}
