//! The names in the expressions of a stream, and the slots of their columns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_core::expr::{Resolution, Scope, advice};
use assay_core::schema::{FieldError, Schema};
use assay_core::types::Type;

/// The slots of a stream while its plan is made: the computed ones are known first, event fields come as they are used.
/// Each expression is compiled in a thread of its own, one after the other.
pub(super) struct Slots<'a> {
    schema: &'a Schema,
    /// Path and type of each computed column: `views.V.M`, then `scores.R`.
    computed: Mutex<Vec<(String, Type)>>,
    /// The number of computed columns, `score` included.
    computed_len: usize,
    /// Event fields in use.
    fields: Mutex<Vec<String>>,
}

/// The names that an expression may use beside the event's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameVisibility {
    /// Only fields.
    Event,
    /// Also `views.` and `scores.`.
    Rule,
    /// Also `score`.
    Tag,
}

impl<'a> Slots<'a> {
    /// `fields` are in use from the beginning; `computed_len` columns will be declared, or one less: `score` is not.
    pub(super) fn new(schema: &'a Schema, fields: Vec<String>, computed_len: usize) -> Self {
        Self { schema, computed: Mutex::default(), computed_len, fields: Mutex::new(fields) }
    }

    /// Declares the next computed column. Returns its slot.
    pub(super) fn declare(&self, path: String, ty: Type) -> usize {
        let mut computed = lock(&self.computed);
        computed.push((path, ty));
        computed.len() - 1
    }

    pub(super) fn scope(&'a self, visibility: NameVisibility) -> NameScope<'a> {
        NameScope { slots: self, visibility }
    }

    /// The number of slots before the event fields; the last of them is `score`.
    pub(super) fn computed_len(&self) -> usize {
        self.computed_len
    }

    fn score_slot(&self) -> usize {
        self.computed_len - 1
    }

    pub(super) fn slot_of(&self, path: &str) -> Option<usize> {
        lock(&self.computed).iter().position(|(have, _)| have == path)
    }

    /// The path of a slot, as authors write it.
    pub(super) fn path_of(&self, slot: usize) -> String {
        match lock(&self.computed).get(slot) {
            Some((path, _)) => path.clone(),
            None if slot == self.score_slot() => "score".to_owned(),
            None => lock(&self.fields)[slot - self.computed_len].clone(),
        }
    }

    pub(super) fn into_fields(self) -> Vec<String> {
        self.fields.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn field(&self, path: &str) -> Option<Resolution> {
        let field = self.schema.field(path).ok()?;
        let mut fields = lock(&self.fields);
        let index = fields.iter().position(|have| have == path).unwrap_or_else(|| {
            fields.push(path.to_owned());
            fields.len() - 1
        });
        Some(Resolution::Column { slot: self.computed_len + index, ty: field.kind.clone() })
    }
}

/// A list that a compilation which panicked has left is whole: names are added one by one.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names that one expression may use.
pub(super) struct NameScope<'a> {
    slots: &'a Slots<'a>,
    visibility: NameVisibility,
}

impl Scope for NameScope<'_> {
    fn resolve(&self, path: &str) -> Resolution {
        if self.visibility == NameVisibility::Tag && path == "score" {
            return Resolution::Column { slot: self.slots.score_slot(), ty: Type::Double };
        }
        if let Some(slot) = self.slots.slot_of(path).filter(|_| self.visibility >= NameVisibility::Rule) {
            return Resolution::Column { slot, ty: lock(&self.slots.computed)[slot].1.clone() };
        }
        // `event.` reaches a field whose name is hidden by one of ours, such as a field `score` in a tag.
        let field = path.strip_prefix("event.").unwrap_or(path);
        self.slots.field(path).or_else(|| self.slots.field(field)).unwrap_or_else(|| self.unknown(path))
    }
}

impl NameScope<'_> {
    fn unknown(&self, path: &str) -> Resolution {
        if self.visibility == NameVisibility::Event && (path.starts_with("views.") || path.starts_with("scores.")) {
            return Resolution::Unknown { advice: "only rules see views and scores".to_owned() };
        }
        if let Err(error @ FieldError::NotColumn { .. }) = self.slots.schema.field(path) {
            return Resolution::Unknown { advice: error.to_string() };
        }
        let computed = lock(&self.slots.computed);
        let computed =
            computed.iter().map(|(path, _)| path.as_str()).filter(|_| self.visibility >= NameVisibility::Rule);
        let known = self.slots.schema.fields().iter().map(|field| field.path.as_str()).chain(computed);
        Resolution::Unknown { advice: advice(path, known) }
    }
}
