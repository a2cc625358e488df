//! Types that contain themselves: values, their depth, columns, and resolution.

use assay_core::schema::{DecodeProblem, Decoder, EventError, Resolver, Schema, to_json};
use serde_json::{Value, json};

use super::{avro, resolved, schema};

fn list(kind: &str, more: Value) -> Value {
    let mut fields = vec![json!({"name": "value", "type": kind}), json!({"name": "next", "type": ["null", "List"]})];
    fields.extend(more.as_array().cloned().unwrap_or_default());
    json!({"type": "record", "name": "List", "fields": fields})
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"value": 0, "next": null}), |inner, level| json!({"value": level, "next": inner}))
}

#[test]
fn a_list_has_up_to_64_levels() {
    let schema = schema(&list("int", json!([])));
    let bytes = avro(&schema, &nested(64)).unwrap();
    assert_eq!(to_json(&schema, &bytes).unwrap(), nested(64));
    let text = nested(64).to_string();
    let mut out = Vec::new();
    assay_core::schema::Encoder::new(&schema).encode(text.as_bytes(), &mut out).unwrap();
    assert_eq!(out, bytes);
    let error = avro(&schema, &nested(65)).unwrap_err();
    assert_eq!(error, EventError::TooDeep);
    assert_eq!(error.to_string(), "the event is nested deeper than 64 levels of objects and arrays");
    // One level more, as bytes; then as many levels as fit in the bytes of an event.
    let mut deeper = vec![0, 2];
    deeper.extend(&bytes);
    for record in [deeper, [0, 2].repeat(500_000)] {
        let decoded = Decoder::new(&schema, &["value"]).unwrap().decode([record.as_slice()]);
        assert_eq!(decoded.bad[0].1.problem, DecodeProblem::TooDeep);
        assert_eq!(to_json(&schema, &record).unwrap_err().problem, DecodeProblem::TooDeep);
    }
}

/// Each array counts as well.
#[test]
fn a_tree_has_up_to_64_levels() {
    let tree = json!({"type": "record", "name": "Root", "fields": [{"name": "tree", "type":
        {"type": "record", "name": "Tree", "fields": [{"name": "in", "type": {"type": "array", "items": "Tree"}}]}}]});
    let schema = schema(&tree);
    let nested = |levels: usize| (1..levels).fold(json!({"in": []}), |inner, _| json!({"in": [inner]}));
    assert!(avro(&schema, &json!({"tree": nested(32)})).is_ok());
    assert_eq!(avro(&schema, &json!({"tree": nested(33)})), Err(EventError::TooDeep));
}

/// Each of twelve types has a union of all. Spelt out there would be hundreds of millions.
#[test]
fn many_types_that_contain_each_other_are_accepted() {
    const TYPES: usize = 12;
    // A type is defined in the union of the one before it, and named everywhere else.
    let mut innermost = Value::Null;
    for number in (0..TYPES).rev() {
        let names = (0..TYPES).map(|other| match other == number + 1 {
            true => innermost.clone(),
            false => json!(format!("T{other}")),
        });
        let any: Vec<Value> = std::iter::once(json!("null")).chain(names.take(number + 2)).collect();
        let fields = json!([{"name": "x", "type": "int"}, {"name": "any", "type": any}]);
        innermost = json!({"type": "record", "name": format!("T{number}"), "fields": fields});
    }
    let types = json!({"type": "record", "name": "R", "fields": [{"name": "t", "type": innermost}]});
    let schema = schema(&types);
    let event = json!({"t": {"x": 1, "any": {"T1": {"x": 2, "any": {"T0": {"x": 3, "any": null}}}}}});
    let bytes = avro(&schema, &event).unwrap();
    assert_eq!(to_json(&schema, &bytes).unwrap(), event);
    let mut wider = types.clone();
    wider["fields"][0]["type"]["fields"][0]["type"] = json!("long");
    wider["fields"].as_array_mut().unwrap().push(json!({"name": "new", "type": "int", "default": 1}));
    let mut expected = event.clone();
    expected["new"] = json!(1);
    assert_eq!(resolved(&types, &wider, &event), Ok(expected));
}

#[test]
fn errors_say_why_inner_fields_are_no_columns() {
    let order = json!({"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"},
        {"name": "part", "type": ["null", "Order"]},
        {"name": "tree", "type": {"type": "record", "name": "Tree", "fields": [
            {"name": "label", "type": "string"}, {"name": "left", "type": ["null", "Tree"]}]}}]});
    let schema = schema(&order);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.path.as_str()).collect();
    assert_eq!(columns, ["id", "tree.label"]);
    let why = |path: &str| schema.field(path).unwrap_err().to_string();
    assert_eq!(why("part"), "field `part` is a record that contains itself, which cannot be used as a column (yet)");
    assert_eq!(
        why("tree.left.label"),
        "field `tree.left` is a record that contains itself, which cannot be used as a column (yet)"
    );
}

#[test]
fn lists_are_resolved_at_every_level() {
    let old = list("int", json!([{"name": "gone", "type": "string"}]));
    let new = list("double", json!([{"name": "new", "type": "int", "default": 7}]));
    let event = json!({"value": 1, "gone": "a", "next": {"value": 2, "gone": "b", "next": null}});
    let expected = json!({"value": 1.0, "new": 7, "next": {"value": 2.0, "new": 7, "next": null}});
    assert_eq!(resolved(&old, &new, &event), Ok(expected));
    let same = [&old, &old].map(|json| Schema::parse(&format!(" {json}")).unwrap());
    assert!(Resolver::new(&schema(&old), &same[0]).unwrap().is_none(), "the same bytes");
    // A depth that the writer's schema allows and the reader's too.
    let (writer, reader) = (schema(&list("int", json!([]))), schema(&new));
    let resolver = Resolver::new(&writer, &reader).unwrap().unwrap();
    let mut bytes = avro(&writer, &nested(64)).unwrap();
    resolver.resolve(&bytes, &mut Vec::new()).unwrap();
    bytes.splice(0..0, [0, 2]);
    assert_eq!(resolver.resolve(&bytes, &mut Vec::new()).unwrap_err().problem, DecodeProblem::TooDeep);
}

/// A type that fits one branch of the writer and not another, and that is reached through both.
#[test]
fn types_that_contain_each_other_are_resolved() {
    let pair = |kind: &str| {
        json!({"type": "record", "name": "A", "fields": [
            {"name": "b", "type": ["null", {"type": "record", "name": "B", "fields": [
                {"name": "a", "type": {"type": "array", "items": "A"}}, {"name": "n", "type": kind}]}]},
            {"name": "again", "type": ["null", "B"]}]})
    };
    let event = json!({"b": {"a": [{"b": null, "again": {"a": [], "n": 1}}], "n": 2}, "again": {"a": [], "n": 3}});
    let mut expected = event.clone();
    expected["b"]["a"][0]["again"]["n"] = json!(1.0);
    expected["b"]["n"] = json!(2.0);
    expected["again"]["n"] = json!(3.0);
    assert_eq!(resolved(&pair("int"), &pair("double"), &event), Ok(expected));
    let (writer, reader) = (schema(&pair("double")), schema(&pair("int")));
    let resolver = Resolver::new(&writer, &reader).unwrap().unwrap();
    let null = avro(&writer, &json!({"b": null, "again": null})).unwrap();
    resolver.resolve(&null, &mut Vec::new()).unwrap();
    let some = avro(&writer, &event).unwrap();
    assert_eq!(resolver.resolve(&some, &mut Vec::new()).unwrap_err().problem, DecodeProblem::NoBranch(1));
}

#[test]
fn defaults_within_recursive_types_are_checked() {
    let tree = |default: Value| {
        json!({"type": "record", "name": "R", "fields": [{"name": "tree", "default": default, "type":
            {"type": "record", "name": "Tree", "fields": [
                {"name": "n", "type": "int"}, {"name": "in", "type": {"type": "array", "items": "Tree"}}]}}]})
    };
    let schema = schema(&tree(json!({"n": 1, "in": []})));
    let bytes = avro(&schema, &json!({})).unwrap();
    assert_eq!(to_json(&schema, &bytes).unwrap(), json!({"tree": {"n": 1, "in": []}}));
    let error = Schema::parse_value(&tree(json!({"n": 1, "in": [{"n": 2, "in": []}]}))).unwrap_err().to_string();
    assert!(error.contains("a default cannot have a type in it that contains itself"), "{error}");
}
