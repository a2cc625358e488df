//! Distances on the Earth as a sphere. The error is below 0.6 %, which is precise enough for speeds.

use serde::{Deserialize, Serialize};

/// Mean radius of the Earth in kilometres (IUGG).
const RADIUS_KM: f64 = 6_371.008_8;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// North is positive.
    pub lat: f64,
    /// East is positive.
    pub lon: f64,
}

impl Place {
    /// A place on Earth; none if the numbers are out of range.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        let is_on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        is_on_earth.then_some(Self { lat, lon })
    }

    /// Kilometres between two places: the haversine formula, exact to rounding for near places.
    pub fn km_to(self, other: Self) -> f64 {
        let half_sine = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
        let lat = half_sine(self.lat, other.lat).powi(2);
        let lon = half_sine(self.lon, other.lon).powi(2);
        let haversine = lat + self.lat.to_radians().cos() * other.lat.to_radians().cos() * lon;
        2.0 * RADIUS_KM * haversine.sqrt().min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn distances_agree_with_known_ones() {
        let place = |lat, lon| Place::new(lat, lon).unwrap();
        let (berlin, sydney) = (place(52.52, 13.405), place(-33.8688, 151.2093));
        assert!((berlin.km_to(sydney) - 16_090.0).abs() < 20.0, "{}", berlin.km_to(sydney));
        assert_eq!(berlin.km_to(berlin), 0.0);
        let half_way_round = place(0.0, 0.0).km_to(place(0.0, 180.0));
        assert!((half_way_round - 20_015.1).abs() < 0.1, "{half_way_round}");
        let over_the_date_line = place(0.0, 179.5).km_to(place(0.0, -179.5));
        assert!((over_the_date_line - 111.195).abs() < 0.01, "{over_the_date_line}");
    }

    #[test]
    fn numbers_that_are_no_place_are_refused() {
        for (lat, lon) in [(91.0, 0.0), (0.0, 180.1), (f64::NAN, 0.0)] {
            assert_eq!(Place::new(lat, lon), None);
        }
    }
}
