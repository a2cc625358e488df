//! Finds cards that are used in two places too far apart for the time between: impossible travel.
//!
//! The state is each card's last place and time. Other entities that are seen at places work as well.

mod sphere;

use assay_sdk::{Input, Timestamp, Verdict, plugin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use sphere::Place;

/// The limits of speed and distance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kilometres per hour that nobody travels at; the score is 0.5 here. An airliner flies at about 900.
    #[schemars(range(min = 1.0))]
    pub max_kmh: f64,
    /// Places nearer than this many kilometres are one place: they come from masts and postcodes and are not exact.
    #[schemars(range(min = 0.0))]
    pub min_km: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_kmh: 1_000.0, min_km: 50.0 }
    }
}

/// The last place and time of an entity; none before its first event with a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    last: Option<(Place, Timestamp)>,
}

/// An event at a place.
#[derive(Clone, Copy, Debug, Input)]
pub struct Sighting {
    /// Latitude in degrees, north positive. Events without a place are passed over.
    pub lat: Option<f64>,
    /// Longitude in degrees, east positive.
    pub lon: Option<f64>,
    /// When it happened.
    pub time: Timestamp,
}

/// Scores the speed at which an entity must have travelled from where it was last: 0 (not at all) to 1.
///
/// The score is `v² / (v² + max²)` of the speed v: 0.5 at the limit, 0.9 at three times the limit. The first event of
/// an entity, and events without a place, have no score. A late event is compared like any other, but does not become
/// the last place.
#[plugin(
    tags = ["impossible-travel"],
    reasons = ["speed", "distance-km"],
    attributes = ["speed-kmh"],
)]
pub fn score(config: &Config, state: &mut State, sighting: Sighting) -> Verdict {
    let place = sighting.lat.zip(sighting.lon).and_then(|(lat, lon)| Place::new(lat, lon));
    let Some(place) = place else {
        return Verdict::none();
    };
    let Some((last_place, last_time)) = state.last else {
        state.last = Some((place, sighting.time));
        return Verdict::none();
    };
    if sighting.time >= last_time {
        state.last = Some((place, sighting.time));
    }
    let distance = last_place.km_to(place);
    if distance < config.min_km {
        return Verdict::score(0.0);
    }
    // Clocks are not more precise than a second, and two events at one time must not divide by zero.
    let seconds = sighting.time.seconds_since(last_time).abs().max(1.0);
    let speed = distance * 3_600.0 / seconds;
    let ratio = (speed / config.max_kmh).powi(2);
    let verdict = Verdict::score(ratio / (1.0 + ratio));
    if speed <= config.max_kmh {
        return verdict;
    }
    verdict
        .tag(tags::IMPOSSIBLE_TRAVEL)
        .reason(reasons::SPEED, speed / config.max_kmh)
        .reason(reasons::DISTANCE_KM, distance)
        .attribute(attributes::SPEED_KMH, speed.round())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use assay_sdk::testing::{Host, json};

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(lat: f64, lon: f64, hour: i64) -> Sighting {
        Sighting { lat: Some(lat), lon: Some(lon), time: Timestamp::from_millis(hour * HOUR) }
    }

    #[test]
    fn berlin_to_sydney_in_an_hour_is_impossible_and_in_a_day_is_not() {
        let config = Config::default();
        let mut state = State::default();
        assert_eq!(score(&config, &mut state, at(52.52, 13.405, 0)).value(), None);
        let in_an_hour = score(&config, &mut state, at(-33.87, 151.21, 1));
        assert!(in_an_hour.has_tag(tags::IMPOSSIBLE_TRAVEL), "{in_an_hour:?}");
        assert!(in_an_hour.value().unwrap() > 0.99);
        let speed: f64 = in_an_hour.attribute_value(attributes::SPEED_KMH).unwrap().parse().unwrap();
        assert!((speed - 16_090.0).abs() < 20.0);
        let a_day_later = score(&config, &mut state, at(52.52, 13.405, 25));
        assert!(!a_day_later.has_tag(tags::IMPOSSIBLE_TRAVEL), "{a_day_later:?}");
        assert!(a_day_later.value().unwrap() < 0.5);
    }

    #[test]
    fn places_nearer_than_min_km_score_zero() {
        let mut state = State::default();
        score(&Config::default(), &mut state, at(52.52, 13.405, 0));
        assert_eq!(score(&Config::default(), &mut state, at(52.40, 13.06, 0)).value(), Some(0.0));
    }

    #[test]
    fn a_late_event_is_scored_but_does_not_change_the_last_place() {
        let mut state = State::default();
        score(&Config::default(), &mut state, at(52.52, 13.405, 10));
        let before = state;
        let late = score(&Config::default(), &mut state, at(-33.87, 151.21, 9));
        assert!(late.has_tag(tags::IMPOSSIBLE_TRAVEL));
        assert_eq!(state, before);
    }

    #[test]
    fn an_event_without_a_place_changes_nothing() {
        let mut state = State::default();
        score(&Config::default(), &mut state, at(52.52, 13.405, 0));
        let before = state;
        let nowhere = Sighting { lat: None, lon: Some(1.0), time: Timestamp::from_millis(HOUR) };
        assert_eq!(score(&Config::default(), &mut state, nowhere).value(), None);
        assert_eq!(state, before);
    }

    #[test]
    fn each_card_has_its_own_state_which_lasts_between_batches() {
        let mut host = Host::<Plugin>::new(json!({"max_kmh": 500.0})).unwrap();
        let event = |lat, lon, hour| json!({"lat": lat, "lon": lon, "time": hour * HOUR});
        let first = host.score_batch(&[("anna", event(52.5, 13.4, 0)), ("bert", event(-33.9, 151.2, 0))]).unwrap();
        assert_eq!((first[0].score, first[1].score), (None, None));
        let second = host.score("anna", event(48.1, 11.6, 1)).unwrap();
        // 506 km from Berlin to Munich, and not 16,000 from Sydney.
        assert_eq!(second.attributes, [("speed-kmh".to_owned(), "506".to_owned())]);
    }
}
