//! The names that an expression may use.

use std::collections::HashMap;

use super::suggest::nearest;
use crate::types::Type;

/// Resolves names to columns. `Sync`, because expressions are compiled in a thread of their own.
pub trait Scope: Sync {
    /// Resolves a dotted path such as `amount`, `device.os` or `views.card_spend.spent`. A chain of names is resolved
    /// once, as a whole.
    fn resolve(&self, path: &str) -> Resolution;
}

/// The meaning of a path in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A column: the place of its array in the columns given to `eval`, and its type.
    Column {
        /// The index into the columns.
        slot: usize,
        /// The type of its values.
        ty: Type,
    },
    /// No column has this path. The advice follows `unknown name '...'` in the message; it may be empty.
    Unknown {
        /// Advice to the author, such as `did you mean 'amount'?`.
        advice: String,
    },
}

/// A scope of a list of columns: slot 0 is the first.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    slots: HashMap<String, (usize, Type)>,
}

impl Columns {
    /// Each column's slot is its place in the list. If two columns have one path, the later one counts.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, Type)>) -> Self {
        let slots = columns.into_iter().enumerate().map(|(slot, (path, ty))| (path.into(), (slot, ty))).collect();
        Self { slots }
    }
}

impl Scope for Columns {
    fn resolve(&self, path: &str) -> Resolution {
        if let Some((slot, ty)) = self.slots.get(path) {
            return Resolution::Column { slot: *slot, ty: ty.clone() };
        }
        let inside = format!("{path}.");
        let mut fields: Vec<&str> = self.slots.keys().filter_map(|name| name.strip_prefix(&inside)).collect();
        if !fields.is_empty() {
            fields.sort_unstable();
            return Resolution::Unknown { advice: format!("it is a record with {}", fields.join(", ")) };
        }
        Resolution::Unknown { advice: advice(path, self.slots.keys().map(String::as_str)) }
    }
}

/// The advice for an unknown name: the nearest known name or, if none is near, a few known names.
pub fn advice<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    if let Some(nearest) = nearest(name, &known) {
        return format!("did you mean '{nearest}'?");
    }
    match known.len() {
        0 => String::new(),
        1..=8 => format!("known are {}", known.join(", ")),
        more => format!("known are {} and {} more", known[..8].join(", "), more - 8),
    }
}
