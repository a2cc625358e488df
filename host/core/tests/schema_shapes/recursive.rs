//! Records that contain themselves.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use super::{Dice, Shape};

/// How a record contains itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Through a union with null.
    List,
    /// Through an array, and through a map.
    Tree,
    /// Through another record that contains it in a union and in an array.
    Mutual,
}

impl Way {
    /// The fields of the record of this name, with one of type `value`.
    pub(super) fn fields(self, value: Json, name: &str) -> Vec<Json> {
        let mut fields = vec![json!({"name": "value", "type": value})];
        fields.extend(match self {
            Self::List => vec![json!({"name": "next", "type": ["null", name]})],
            Self::Tree => vec![
                json!({"name": "items", "type": {"type": "array", "items": name}}),
                json!({"name": "named", "type": {"type": "map", "values": name}}),
            ],
            Self::Mutual => vec![json!({"name": "other", "type": [
                {"type": "record", "name": format!("{name}Other"), "fields": [
                    {"name": "back", "type": ["null", name]},
                    {"name": "all", "type": {"type": "array", "items": name}},
                ]},
                "null",
            ]})],
        });
        fields
    }

    /// A random value with at most `depth` levels.
    pub(super) fn value(self, value: &Shape, dice: &mut Dice, depth: usize) -> Avro {
        let own = value.value(dice);
        let inner = |dice: &mut Dice| self.value(value, dice, depth - 1);
        let mut fields = vec![("value".to_owned(), own)];
        let goes_on = depth > 0 && dice.below(3) > 0;
        let count = if goes_on { dice.below(3) } else { 0 };
        match self {
            Self::List if goes_on => fields.push(("next".to_owned(), Avro::Union(1, Box::new(inner(dice))))),
            Self::List => fields.push(("next".to_owned(), Avro::Union(0, Box::new(Avro::Null)))),
            Self::Tree => {
                let items = (0..count).map(|_| inner(dice)).collect();
                fields.push(("items".to_owned(), Avro::Array(items)));
                let named = (0..usize::from(goes_on)).map(|_| (dice.text(), inner(dice))).collect();
                fields.push(("named".to_owned(), Avro::Map(named)));
            }
            Self::Mutual if goes_on => {
                let back = Avro::Union(0, Box::new(Avro::Null));
                let all = Avro::Array((0..count).map(|_| inner(dice)).collect());
                let other = Avro::Record(vec![("back".to_owned(), back), ("all".to_owned(), all)]);
                fields.push(("other".to_owned(), Avro::Union(0, Box::new(other))));
            }
            Self::Mutual => fields.push(("other".to_owned(), Avro::Union(1, Box::new(Avro::Null)))),
        }
        Avro::Record(fields)
    }
}
