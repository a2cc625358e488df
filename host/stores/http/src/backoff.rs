//! Random delays between attempts.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A random delay up to `max`: full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
pub fn jitter(max: Duration) -> Duration {
    // The standard library seeds each hasher at random.
    let random = RandomState::new().hash_one(0_u8);
    max.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_random_and_bounded() {
        const MAX_DELAY: Duration = Duration::from_millis(100);
        let delays: std::collections::HashSet<Duration> = (0..100).map(|_| jitter(MAX_DELAY)).collect();
        assert!(delays.len() > 90);
        assert!(delays.iter().all(|delay| *delay <= MAX_DELAY));
    }
}
