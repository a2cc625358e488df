//! The standing part of the payments' world: categories, merchants with their places, cards with home and habits.

use super::cities::{CITIES, City};
use super::dice::{Dice, Weighted, mixed};
use super::payment::Merchant;

/// What merchants of one kind sell.
pub(super) struct Category {
    pub(super) name: &'static str,
    /// Of its payments, before the card's own habits: in units of currency.
    pub(super) median: f64,
    /// The spread of the amounts' logarithm.
    pub(super) sigma: f64,
    /// How often it is paid, relatively.
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

/// Merchants of a category in each city, and of a category on the web: 60 * 10 * 8 + 4 * 50 = 5,000 in all.
const SHOPS: u64 = 8;
const SITES: u64 = 50;

/// How far a shop stands from its city's centre at most, in ten-thousandths of a degree (some 5 km).
const CITY_RADIUS: u64 = 450;

/// Farther than this is far: no car gets there within hours.
const FAR_KM: f64 = 2_000.0;

/// What does not change while payments flow.
pub(super) struct World {
    /// Per card: the index of its home city.
    pub(super) homes: Vec<u8>,
    /// Per card: by how much it spends more than the median card.
    pub(super) lavishness: Vec<f32>,
    activity: Weighted,
    categories: Weighted,
    sites: Weighted,
    cities: Weighted,
    far: Vec<Vec<u8>>,
}

impl World {
    pub(super) fn new(cards: u32, dice: &mut Dice) -> Self {
        let cities = Weighted::new(&CITIES.map(|city| city.population));
        let homes = (0..cards).map(|_| cities.draw(dice) as u8).collect();
        let lavishness = (0..cards).map(|_| dice.log_normal(1.0, 0.4) as f32).collect();
        let weights = |wanted: fn(&Category) -> bool| {
            Weighted::new(&CATEGORIES.map(|category| if wanted(&category) { category.weight } else { 0.0 }))
        };
        Self {
            homes,
            lavishness,
            activity: Weighted::new(&activity(cards, dice)),
            categories: weights(|_| true),
            sites: weights(|category| category.is_online),
            cities,
            far: CITIES.iter().map(far_from).collect(),
        }
    }

    /// The index of a card, busy ones more often.
    pub(super) fn card(&self, dice: &mut Dice) -> usize {
        self.activity.draw(dice)
    }

    /// What is paid for now.
    pub(super) fn category(&self, dice: &mut Dice) -> usize {
        self.categories.draw(dice)
    }

    /// A category that is paid online.
    pub(super) fn online_category(&self, dice: &mut Dice) -> usize {
        self.sites.draw(dice)
    }

    /// Where a trip goes.
    pub(super) fn destination(&self, dice: &mut Dice) -> u8 {
        self.cities.draw(dice) as u8
    }

    /// A city too far away to be reached within an hour or two.
    pub(super) fn far_city(&self, from: u8, dice: &mut Dice) -> u8 {
        let far = &self.far[usize::from(from)];
        // Every city has one: half of the Earth is farther than 10,000 km from it.
        far[dice.below(far.len() as u64) as usize]
    }

    /// A merchant of this category in this city; the first of each kind are the busiest.
    pub(super) fn merchant(&self, category: usize, city: u8, dice: &mut Dice) -> Merchant {
        let is_online = CATEGORIES[category].is_online;
        let skewed = dice.unit() * dice.unit();
        let count = if is_online { SITES } else { SHOPS };
        let number = (skewed * count as f64) as u8 + 1;
        Merchant { category: category as u8, city: (!is_online).then_some(city), number }
    }
}

/// How often each card pays, relatively: Zipf-Mandelbrot, so that a tenth of the cards makes about half of all
/// payments, while the busiest alone stays a person's card (some 70 payments a day where the mean is 4).
fn activity(cards: u32, dice: &mut Dice) -> Vec<f64> {
    let shift = f64::from(cards) / 100.0;
    let mut weights: Vec<f64> = (1..=cards).map(|rank| libm::pow(f64::from(rank) + shift, -0.9)).collect();
    // Busy cards must not be those with the lowest numbers: Fisher-Yates.
    for i in (1..weights.len()).rev() {
        weights.swap(i, dice.below(i as u64 + 1) as usize);
    }
    weights
}

fn far_from(city: &City) -> Vec<u8> {
    (0..).zip(&CITIES).filter(|(_, other)| city.km_to(other) > FAR_KM).map(|(i, _)| i).collect()
}

/// The index of the category of this name; of the first, for a name that is none.
pub(super) fn category_named(name: &str) -> usize {
    CATEGORIES.iter().position(|category| category.name == name).unwrap_or_default()
}

/// Where a merchant of a city stands, in ten-thousandths of a degree north and east.
pub(super) fn shop_place(merchant: Merchant, city: u8) -> (i32, i32) {
    place_in(city, u64::from(merchant.category) << 8 | u64::from(merchant.number))
}

/// A card's billing address, in ten-thousandths of a degree north and east.
pub(super) fn billing_place(card: u32, city: u8) -> (i32, i32) {
    place_in(city, 1 << 32 | u64::from(card))
}

/// A place within a city, always the same for a number.
fn place_in(city: u8, number: u64) -> (i32, i32) {
    let centre = &CITIES[usize::from(city)];
    let spread = mixed(u64::from(city) << 40 | number);
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
        let mut weights = activity(100_000, &mut Dice::new(1));
        weights.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = weights.iter().sum();
        let tenth: f64 = weights[..10_000].iter().sum();
        assert!((0.4..0.6).contains(&(tenth / total)), "{}", tenth / total);
        assert!(weights[0] * 100_000.0 / total < 20.0);
    }
}
