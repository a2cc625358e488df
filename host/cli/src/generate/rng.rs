//! Random numbers that are the same on every machine: a generator with a published sequence, and distributions made of
//! integer arithmetic and `libm`, because std's `ln` and `cos` may differ in the last bit between platforms.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// A seeded generator of random numbers.
#[derive(Clone)]
pub(super) struct SeededRng(Xoshiro256PlusPlus);

impl SeededRng {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Evenly from [0, 1), in steps of 2^-53.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Evenly from 0 to `end`, `end` excluded; 0 for an `end` of 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The high word of the product (Lemire); its bias of end / 2^64 does not matter here.
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// Evenly from `from` to `to`, both included.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with mean 1: the gaps between independent arrivals.
    pub(super) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// Log-normal: `median * exp(sigma * z)` with a standard normal z (Box-Muller).
    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        let z = radius * libm::cos(core::f64::consts::TAU * self.unit());
        median * libm::exp(sigma * z)
    }
}

/// Mixes the bits of a number: the finishing step of SplitMix64, a bijection.
pub(super) fn mix_bits(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Draws an index by weight in constant time: Walker's alias method with Vose's set-up.
pub(super) struct Weighted {
    // Per index: the probability to keep it, and the alias otherwise.
    cells: Vec<(f64, u32)>,
}

impl Weighted {
    /// A table for these weights: at least one, none negative, their sum above zero.
    pub(super) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let scale = weights.len() as f64 / total;
        let mut cells: Vec<(f64, u32)> = weights.iter().zip(0..).map(|(weight, i)| (weight * scale, i)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..cells.len() as u32).partition(|&i| cells[i as usize].0 < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            cells[poor as usize].1 = rich;
            cells[rich as usize].0 -= 1.0 - cells[poor as usize].0;
            if cells[rich as usize].0 < 1.0 {
                small.extend(large.pop());
            }
        }
        Self { cells }
    }

    /// Draws an index with a probability proportional to its weight.
    pub(super) fn draw(&self, rng: &mut SeededRng) -> usize {
        let i = rng.below(self.cells.len() as u64) as usize;
        let (stay, alias) = self.cells[i];
        if rng.chance(stay) { i } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_is_fixed() {
        let mut rng = SeededRng::new(7);
        let draws: Vec<u64> = (0..4).map(|_| rng.below(1_000_000)).collect();
        assert_eq!(draws, [55_360, 172_115, 717_576, 427_209]);
    }

    #[test]
    fn indices_are_drawn_as_often_as_their_weights_say() {
        let weights = [5.0, 0.0, 1.0, 3.0, 1.0];
        let table = Weighted::new(&weights);
        let mut rng = SeededRng::new(1);
        let mut counts = [0.0; 5];
        for _ in 0..100_000 {
            counts[table.draw(&mut rng)] += 1.0 / 10_000.0;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!((count - weight).abs() < 0.1, "{counts:?}");
        }
    }

    #[test]
    fn a_log_normal_has_its_median() {
        let mut rng = SeededRng::new(2);
        let mut draws: Vec<f64> = (0..20_001).map(|_| rng.log_normal(30.0, 0.8)).collect();
        draws.sort_by(f64::total_cmp);
        assert!((draws[10_000] - 30.0).abs() < 1.0, "{}", draws[10_000]);
        assert!(draws[0] > 0.0);
    }
}
