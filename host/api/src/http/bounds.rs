//! Limits on the size of errors, because an error may quote data of the client as large as a body.

use serde_json::{Map, Value};

/// Bytes of a problem's detail, as JSON.
pub(crate) const MAX_DETAIL_BYTES: usize = 8 << 10;
/// Bytes of a message in a list of messages, as JSON.
const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Bytes of a list of messages, as JSON.
const MAX_LIST_BYTES: usize = 32 << 10;

/// Shortens a text in the middle, in place.
pub(crate) fn shorten(text: &mut String, max_bytes: usize) {
    if let std::borrow::Cow::Owned(short) = assay_core::shorten::shorten(text, max_bytes) {
        *text = short;
    }
}

/// Shortens the texts and lists of a problem's extension members. `NAME_left_out` counts the removed items of a list.
pub(super) fn bound_extensions(extensions: &mut Map<String, Value>) {
    let mut left_out = Vec::new();
    for (name, value) in extensions.iter_mut() {
        shorten_texts(value);
        let Value::Array(items) = value else { continue };
        let mut bytes = 0;
        let fitting = items.iter().take_while(|item| {
            bytes += item.to_string().len() + 1;
            bytes <= MAX_LIST_BYTES
        });
        let fitting = fitting.count();
        if fitting < items.len() {
            left_out.push((format!("{name}_left_out"), Value::from(items.len() - fitting)));
            items.truncate(fitting);
        }
    }
    extensions.extend(left_out);
}

/// Shortens all texts of a value. The API's own values are shallow, so the recursion is too.
fn shorten_texts(value: &mut Value) {
    match value {
        Value::String(text) => shorten(text, MAX_MESSAGE_BYTES),
        Value::Array(items) => items.iter_mut().for_each(shorten_texts),
        Value::Object(members) => members.values_mut().for_each(shorten_texts),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_list_is_cut_and_its_missing_items_are_counted() {
        let problem = json!({ "name": "n".repeat(100_000), "message": "\n".repeat(100_000) });
        let mut extensions = Map::new();
        extensions.insert("problems".to_owned(), json!(vec![problem; 1000]));
        extensions.insert("accepted".to_owned(), json!(3));
        bound_extensions(&mut extensions);
        let shown = extensions["problems"].as_array().unwrap().len();
        assert!(shown > 0);
        assert_eq!(extensions["problems_left_out"], 1000 - shown);
        assert_eq!(extensions["accepted"], 3);
        assert!(Value::Object(extensions).to_string().len() < 40 << 10);
    }
}
