//! Functions of numbers and of geographic places.

use crate::expr::column::{Column, Native};
use crate::expr::loops::{map, map2};
use crate::expr::text_builder::TextBuilder;

/// The mean radius of the earth in kilometres (IUGG: (2a + b) / 3 of WGS 84).
const EARTH_RADIUS_KM: f64 = 6371.0088;

fn map_doubles(arguments: &[Column], rows: usize, f: impl Fn(f64) -> f64) -> Column {
    f64::into_column(map(f64::numbers(&arguments[0]), rows, f), None)
}

pub(in crate::expr) fn abs(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::abs)
}

pub(in crate::expr) fn floor(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::floor)
}

pub(in crate::expr) fn ceil(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::ceil)
}

/// Halves go away from zero.
pub(in crate::expr) fn round(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::round)
}

/// The natural logarithm.
pub(in crate::expr) fn log(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::ln)
}

pub(in crate::expr) fn exp(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::exp)
}

pub(in crate::expr) fn sqrt(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, f64::sqrt)
}

/// The lower edge of the cell of a grid: floor(x / step) * step.
pub(in crate::expr) fn grid(arguments: &[Column], rows: usize) -> Column {
    let cell = |x: f64, step: f64| (x / step).floor() * step;
    f64::into_column(map2(f64::numbers(&arguments[0]), f64::numbers(&arguments[1]), rows, cell), None)
}

/// The smaller; NaN if either is NaN.
pub(in crate::expr) fn min<T: Extreme>(arguments: &[Column], rows: usize) -> Column {
    T::into_column(map2(T::numbers(&arguments[0]), T::numbers(&arguments[1]), rows, T::smaller), None)
}

/// The larger; NaN if either is NaN.
pub(in crate::expr) fn max<T: Extreme>(arguments: &[Column], rows: usize) -> Column {
    T::into_column(map2(T::numbers(&arguments[0]), T::numbers(&arguments[1]), rows, T::larger), None)
}

/// Numbers with a minimum and a maximum that are the same on every machine: -0.0 is smaller than 0.0.
pub(in crate::expr) trait Extreme: Native + std::fmt::Debug {
    fn smaller(a: Self, b: Self) -> Self;
    fn larger(a: Self, b: Self) -> Self;
}

impl Extreme for i64 {
    fn smaller(a: Self, b: Self) -> Self {
        a.min(b)
    }

    fn larger(a: Self, b: Self) -> Self {
        a.max(b)
    }
}

impl Extreme for f64 {
    fn smaller(a: Self, b: Self) -> Self {
        if a.is_nan() || b.is_nan() {
            Self::NAN
        } else if a < b || (a == b && a.is_sign_negative()) {
            a
        } else {
            b
        }
    }

    fn larger(a: Self, b: Self) -> Self {
        if a.is_nan() || b.is_nan() {
            Self::NAN
        } else if a > b || (a == b && a.is_sign_positive()) {
            a
        } else {
            b
        }
    }
}

/// The great-circle distance in kilometres between two places in degrees.
pub(in crate::expr) fn haversine(arguments: &[Column], rows: usize) -> Column {
    let [lat1, lon1, lat2, lon2] = [0, 1, 2, 3].map(|i| f64::numbers(&arguments[i]));
    let distances = (0..rows).map(|row| distance_km(lat1.at(row), lon1.at(row), lat2.at(row), lon2.at(row)));
    f64::into_column(distances.collect(), None)
}

fn distance_km(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let cosines = lat1.to_radians().cos() * lat2.to_radians().cos();
    let h = half_sine(lat2 - lat1).powi(2) + cosines * half_sine(lon2 - lon1).powi(2);
    // Rounding may put antipodes slightly above 1, where the arc sine has no value. NaN stays NaN.
    2.0 * EARTH_RADIUS_KM * if h > 1.0 { 1.0 } else { h }.sqrt().asin()
}

/// The index of the H3 cell that contains a place in degrees, at a resolution of 0 to 15; missing for other places and
/// resolutions.
pub(in crate::expr) fn h3(arguments: &[Column], rows: usize) -> Column {
    let (lat, lon, resolution) =
        (f64::numbers(&arguments[0]), f64::numbers(&arguments[1]), i64::numbers(&arguments[2]));
    let mut cells = TextBuilder::new(rows);
    for row in 0..rows {
        match find_cell(lat.at(row), lon.at(row), resolution.at(row)) {
            Some(cell) => cells.push_display(cell),
            None => cells.push_missing(),
        }
    }
    Column::Texts(cells.finish())
}

fn find_cell(lat: f64, lon: f64, resolution: i64) -> Option<h3o::CellIndex> {
    let resolution = h3o::Resolution::try_from(u8::try_from(resolution).ok()?).ok()?;
    let is_place = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
    let place = h3o::LatLng::new(lat, lon).ok().filter(|_| is_place)?;
    Some(place.to_cell(resolution))
}
