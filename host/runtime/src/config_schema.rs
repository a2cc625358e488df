//! Bounds the cost of validating a config against a plugin's JSON Schema, before the schema is used.
//!
//! A schema may refer to its own parts, so a kilobyte can cause billions of checks. Therefore each part counts as often
//! as it is reached. A schema that contains itself has no finite count and is refused.

use std::collections::HashMap;

use serde_json::Value;

/// The most parts of a config schema, each counted as often as it is reached.
pub const MAX_SCHEMA_PARTS: u64 = 2000;
/// The most regular expressions in a config schema.
pub const MAX_PATTERNS: usize = 32;
/// The most bytes of a regular expression in a config schema.
pub const MAX_PATTERN_BYTES: usize = 256;

/// Checks that a schema is cheap to evaluate.
///
/// # Errors
/// The schema exceeds a bound; the error says which.
pub fn check_config_schema(schema: &Value) -> Result<(), String> {
    check_patterns(schema)?;
    let parts = count_parts(schema)?;
    if parts > MAX_SCHEMA_PARTS {
        return Err(format!(
            "it has {} parts, each use of a $ref counted, at most {MAX_SCHEMA_PARTS} are allowed",
            if parts == u64::MAX { "far too many".to_owned() } else { parts.to_string() }
        ));
    }
    Ok(())
}

/// A part of the schema on the stack of the traversal.
struct OpenPart<'a> {
    part: &'a Value,
    next: Vec<&'a Value>,
    parts: u64,
}

/// Counts the parts of a schema, each as often as it is reached. It is iterative, so that a deep schema cannot exhaust
/// the stack.
fn count_parts(root: &Value) -> Result<u64, String> {
    // Keyed by address, because the parts of one document do not move. None: the part is on the stack.
    let mut counted: HashMap<*const Value, Option<u64>> = HashMap::new();
    let mut steps = vec![open_part(root, root, &mut counted)?];
    let mut total = 0;
    while let Some(step) = steps.last_mut() {
        if let Some(next) = step.next.pop() {
            match counted.get(&std::ptr::from_ref(next)) {
                Some(Some(parts)) => step.parts = step.parts.saturating_add(*parts),
                Some(None) => return Err("a part of it contains itself by a $ref".to_owned()),
                None => steps.push(open_part(next, root, &mut counted)?),
            }
            continue;
        }
        let (part, parts) = (step.part, step.parts);
        counted.insert(std::ptr::from_ref(part), Some(parts));
        steps.pop();
        match steps.last_mut() {
            Some(above) => above.parts = above.parts.saturating_add(parts),
            None => total = parts,
        }
    }
    Ok(total)
}

fn open_part<'a>(
    part: &'a Value,
    root: &'a Value,
    counted: &mut HashMap<*const Value, Option<u64>>,
) -> Result<OpenPart<'a>, String> {
    counted.insert(std::ptr::from_ref(part), None);
    let mut next: Vec<&Value> = match part {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    };
    for keyword in ["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"] {
        if part.get(keyword).is_some_and(|value| value.is_string() || value.is_boolean()) {
            return Err(format!("{keyword} is not taken: refer to a part by its path, such as #/$defs/name"));
        }
    }
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let target = pointer.and_then(|pointer| root.pointer(pointer));
        next.push(target.ok_or_else(|| {
            format!("the $ref '{}' leads to no part of it: expected a path such as #/$defs/name", shorten(reference))
        })?);
    }
    if part.get("$id").is_some_and(Value::is_string) && !std::ptr::eq(part, root) {
        return Err("an $id below its root is not taken: its $refs would mean something else".to_owned());
    }
    Ok(OpenPart { part, next, parts: 1 })
}

fn check_patterns(root: &Value) -> Result<(), String> {
    let (mut stack, mut patterns) = (vec![root], 0_usize);
    while let Some(part) = stack.pop() {
        match part {
            Value::Array(items) => stack.extend(items),
            Value::Object(members) => {
                stack.extend(members.values());
                let pattern = members.get("pattern").and_then(Value::as_str);
                let keys = members.get("patternProperties").and_then(Value::as_object);
                for pattern in pattern.into_iter().chain(keys.iter().flat_map(|keys| keys.keys().map(String::as_str))) {
                    patterns += 1;
                    if pattern.len() > MAX_PATTERN_BYTES {
                        let length = pattern.len();
                        return Err(format!("a pattern of {length} bytes, at most {MAX_PATTERN_BYTES} are allowed"));
                    }
                }
            }
            _ => {}
        }
    }
    if patterns > MAX_PATTERNS {
        return Err(format!("it has {patterns} patterns, at most {MAX_PATTERNS} are allowed"));
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `levels` levels, each of which refers twice to the next.
    fn doubling(levels: usize) -> Value {
        let mut defs = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
            defs.insert(format!("l{level}"), json!({ "anyOf": [next, next] }));
        }
        defs.insert(format!("l{levels}"), json!({ "type": "string" }));
        json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/l0" } }, "$defs": defs })
    }

    #[test]
    fn a_part_counts_as_often_as_it_is_reached() {
        assert_eq!(count_parts(&json!({ "type": "object" })), Ok(2));
        let twice = json!({ "$defs": { "a": { "type": "string" } }, "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] });
        // The root, $defs, a, its type, anyOf; then per use the object, the text of $ref, a and its type.
        assert_eq!(count_parts(&twice), Ok(5 + 2 * 4));
        assert!(check_config_schema(&doubling(3)).is_ok());
        let error = check_config_schema(&doubling(60)).unwrap_err();
        assert!(error.contains("at most 2000 are allowed"), "{error}");
        let error = check_config_schema(&doubling(200)).unwrap_err();
        assert!(error.contains("far too many"), "{error}");
    }

    #[test]
    fn schemas_without_a_bound_are_refused_with_a_reason() {
        let itself = json!({ "properties": { "child": { "$ref": "#" } } });
        for (schema, word) in [
            (itself, "contains itself"),
            (json!({ "$ref": "https://example.com/s.json" }), "leads to no part"),
            (json!({ "$ref": "#/$defs/none" }), "leads to no part"),
            (json!({ "$dynamicRef": "#a" }), "$dynamicRef is not taken"),
            (json!({ "items": { "$id": "b" } }), "an $id below its root"),
            (json!({ "pattern": "a".repeat(257) }), "257 bytes"),
            (json!({ "patternProperties": { "a".repeat(300): {} } }), "300 bytes"),
            (json!({ "allOf": vec![json!({ "pattern": "a" }); 33] }), "33 patterns"),
        ] {
            let error = check_config_schema(&schema).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn schemas_of_generators_are_accepted() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/config",
            "title": "Config",
            "type": "object",
            "required": ["high"],
            "properties": {
                "high": { "type": "number", "minimum": 0, "maximum": 1 },
                "$ref": { "type": "string" },
                "mode": { "$ref": "#/$defs/Mode" },
                "name": { "type": "string", "pattern": "^[a-z]+$" }
            },
            "$defs": { "Mode": { "oneOf": [{ "const": "a" }, { "const": "b" }] } },
            "additionalProperties": false
        });
        assert_eq!(check_config_schema(&schema), Ok(()));
    }

    #[test]
    fn a_deep_schema_does_not_exhaust_the_stack() {
        let mut schema = json!({});
        for _ in 0..100_000 {
            schema = Value::Object([("not".to_owned(), schema)].into_iter().collect());
        }
        assert!(check_config_schema(&schema).is_err());
        // Dropping it would recurse.
        std::mem::forget(schema);
    }
}
