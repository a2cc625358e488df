//! The cities of cards and merchants: sixty cities with rounded coordinates and populations.

/// A city.
pub(super) struct City {
    /// The name, as in merchants' names.
    pub(super) name: &'static str,
    /// ISO 3166-1, two letters.
    pub(super) country: &'static str,
    /// Degrees north.
    pub(super) lat: f64,
    /// Degrees east.
    pub(super) lon: f64,
    /// Of the urban area, in units of 100,000: how many cards live here, relatively.
    pub(super) population: f64,
}

impl City {
    const fn new(name: &'static str, country: &'static str, lat: f64, lon: f64, population: f64) -> Self {
        Self { name, country, lat, lon, population }
    }

    /// The local hour of the day, 0 to 23, by the sun, without time zones.
    pub(super) fn hour(&self, time_ms: i64) -> usize {
        let local = time_ms + (self.lon * 240_000.0) as i64;
        local.rem_euclid(86_400_000) as usize / 3_600_000
    }

    /// Kilometres to another city, along the great circle (haversine, mean radius 6371.0088 km).
    pub(super) fn km_to(&self, other: &Self) -> f64 {
        let half_chord = |from: f64, to: f64| {
            let sine = libm::sin((to - from).to_radians() / 2.0);
            sine * sine
        };
        let shrink = libm::cos(self.lat.to_radians()) * libm::cos(other.lat.to_radians());
        let h = half_chord(self.lat, other.lat) + shrink * half_chord(self.lon, other.lon);
        2.0 * 6371.0088 * libm::asin(libm::sqrt(h.min(1.0)))
    }
}

pub(super) const CITIES: [City; 60] = [
    City::new("amsterdam", "NL", 52.37, 4.90, 11.0),
    City::new("athens", "GR", 37.98, 23.73, 31.0),
    City::new("auckland", "NZ", -36.85, 174.76, 16.0),
    City::new("bangkok", "TH", 13.76, 100.50, 107.0),
    City::new("barcelona", "ES", 41.39, 2.17, 47.0),
    City::new("beijing", "CN", 39.90, 116.41, 200.0),
    City::new("berlin", "DE", 52.52, 13.41, 36.0),
    City::new("bogota", "CO", 4.71, -74.07, 110.0),
    City::new("boston", "US", 42.36, -71.06, 43.0),
    City::new("brussels", "BE", 50.85, 4.35, 21.0),
    City::new("bucharest", "RO", 44.43, 26.10, 18.0),
    City::new("budapest", "HU", 47.50, 19.04, 17.0),
    City::new("buenos-aires", "AR", -34.60, -58.38, 150.0),
    City::new("cairo", "EG", 30.04, 31.24, 210.0),
    City::new("cape-town", "ZA", -33.92, 18.42, 47.0),
    City::new("casablanca", "MA", 33.57, -7.59, 38.0),
    City::new("chicago", "US", 41.88, -87.63, 87.0),
    City::new("copenhagen", "DK", 55.68, 12.57, 14.0),
    City::new("dallas", "US", 32.78, -96.80, 64.0),
    City::new("delhi", "IN", 28.61, 77.21, 310.0),
    City::new("dubai", "AE", 25.20, 55.27, 35.0),
    City::new("dublin", "IE", 53.35, -6.26, 13.0),
    City::new("hamburg", "DE", 53.55, 9.99, 18.0),
    City::new("helsinki", "FI", 60.17, 24.94, 13.0),
    City::new("hong-kong", "HK", 22.32, 114.17, 75.0),
    City::new("istanbul", "TR", 41.01, 28.98, 155.0),
    City::new("jakarta", "ID", -6.21, 106.85, 110.0),
    City::new("johannesburg", "ZA", -26.20, 28.05, 60.0),
    City::new("lagos", "NG", 6.52, 3.38, 150.0),
    City::new("lima", "PE", -12.05, -77.04, 107.0),
    City::new("lisbon", "PT", 38.72, -9.14, 29.0),
    City::new("london", "GB", 51.51, -0.13, 96.0),
    City::new("los-angeles", "US", 34.05, -118.24, 122.0),
    City::new("lyon", "FR", 45.76, 4.84, 17.0),
    City::new("madrid", "ES", 40.42, -3.70, 62.0),
    City::new("manila", "PH", 14.60, 120.98, 140.0),
    City::new("melbourne", "AU", -37.81, 144.96, 49.0),
    City::new("mexico-city", "MX", 19.43, -99.13, 215.0),
    City::new("milan", "IT", 45.46, 9.19, 31.0),
    City::new("montreal", "CA", 45.50, -73.57, 37.0),
    City::new("mumbai", "IN", 19.08, 72.88, 205.0),
    City::new("munich", "DE", 48.14, 11.58, 15.0),
    City::new("nairobi", "KE", -1.29, 36.82, 47.0),
    City::new("new-york", "US", 40.71, -74.01, 188.0),
    City::new("osaka", "JP", 34.69, 135.50, 150.0),
    City::new("oslo", "NO", 59.91, 10.75, 10.0),
    City::new("paris", "FR", 48.86, 2.35, 109.0),
    City::new("prague", "CZ", 50.08, 14.44, 13.0),
    City::new("rio-de-janeiro", "BR", -22.91, -43.17, 120.0),
    City::new("rome", "IT", 41.90, 12.50, 42.0),
    City::new("san-francisco", "US", 37.77, -122.42, 46.0),
    City::new("sao-paulo", "BR", -23.55, -46.63, 220.0),
    City::new("seoul", "KR", 37.57, 126.98, 96.0),
    City::new("singapore", "SG", 1.35, 103.82, 57.0),
    City::new("stockholm", "SE", 59.33, 18.07, 16.0),
    City::new("sydney", "AU", -33.87, 151.21, 50.0),
    City::new("tokyo", "JP", 35.68, 139.69, 370.0),
    City::new("toronto", "CA", 43.65, -79.38, 62.0),
    City::new("vienna", "AT", 48.21, 16.37, 19.0),
    City::new("warsaw", "PL", 52.23, 21.01, 18.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn city(name: &str) -> &'static City {
        CITIES.iter().find(|city| city.name == name).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_atlas() {
        let km = city("london").km_to(city("new-york"));
        assert!((km - 5570.0).abs() < 15.0, "{km}");
        let km = city("sydney").km_to(city("tokyo"));
        assert!((km - 7820.0).abs() < 30.0, "{km}");
        assert_eq!(city("rome").km_to(city("rome")), 0.0);
    }

    #[test]
    fn hours_follow_the_sun() {
        let noon = 1_767_614_400_000; // 2026-01-05T12:00:00Z
        assert_eq!(city("lisbon").hour(noon), 11);
        assert_eq!(city("tokyo").hour(noon), 21);
        assert_eq!(city("new-york").hour(noon), 7);
        assert_eq!(city("new-york").hour(-1), 19);
    }
}
