//! Definitions that are broken in every way, in JSON, in YAML and as a part of larger bodies: what is said of them.

use serde_json::{Map, Value, json};

use super::*;

/// What only a programmer of this program understands.
const FORBIDDEN: &[&str] = &[
    "RuleDef",
    "ViewDef",
    "StreamDef",
    "EdgeDef",
    "SeriesDef",
    "RuleLimits",
    "Limits",
    "OnError",
    "PluginRef",
    "Measures",
    "Option<",
    "expected struct",
    "struct ",
    "enum ",
    "elements",
    "eserialize",
    "serde",
    "invalid type",
    "invalid value",
    "invalid length",
    "u64",
    "i64",
    "u32",
    "i32",
    "usize",
    "f64",
    "variant",
    "sequence",
    "scalar",
    "unit value",
    "budget",
    "olicy",
    "from_str",
    "`",
    "\n",
];

fn definitions() -> [(Kind, Value); 4] {
    let rule = json!({
        "rule": "r", "doc": "d", "stream": "s", "when": "a > 1", "inputs": { "x": "a" }, "plugin": "p@1", "config": { "c": 1 },
        "tags": { "t": "a > 2" }, "graph": [{ "edge": "e", "from": "a", "to": "b", "when": "c", "facets": { "f": "a" } }],
        "on_error": "skip", "record": "tagged", "limits": { "time_per_event": "1ms", "memory": "8MiB", "state": "1KiB" },
        "mode": "active"
    });
    let scored = json!({ "rule": "r", "stream": "s", "score": "a / 2.0" });
    let view = json!({
        "view": "r", "doc": "d", "stream": "s", "by": ["a"], "measures": { "n": "count()", "m": "sum(a)" }, "when": "a > 1",
        "over": "1h", "tiles": 60, "every": "1h", "keep": "1d"
    });
    let stream = json!({
        "stream": "r", "doc": "d", "from": "s", "key": "k", "time": "t", "id": "i", "lateness": "1s", "partitions": 4,
        "topic": "x", "format": "avro", "series": { "tags": ["a"], "fields": ["b"] },
        "retention": { "events": { "age": "1d", "size": "1GiB" }, "verdicts": { "age": "1d" } },
        "schema": { "type": "record" }, "earlier": [{ "type": "record" }]
    });
    [(Kind::Rule, rule), (Kind::Rule, scored), (Kind::View, view), (Kind::Stream, stream)]
}

/// Paths of all values in a tree, those of config and schemas left out: these hold anything.
fn pointers(tree: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let children: Vec<(String, &Value)> = match tree {
        Value::Object(map) => map.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        if !matches!(name.as_str(), "config" | "schema" | "earlier") {
            pointers(child, &format!("{at}/{name}"), found);
        }
    }
}

/// Trees that are broken at one place, and texts in which a name is there twice.
fn broken(tree: &Value) -> (Vec<Value>, Vec<String>) {
    let wrong = [
        json!(null),
        json!(true),
        json!(5),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!("x"),
        json!(""),
        json!("1_000"),
        json!([]),
        json!(["x"]),
        json!([1, 2, 3]),
        json!({}),
        json!({ "x": 1 }),
        json!("a ? 1 : 0"),
    ];
    let (mut trees, mut texts) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    pointers(tree, "", &mut found);
    for pointer in found {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut copy = tree.clone();
            copy.pointer_mut(&pointer).map(change);
            copy
        };
        trees.extend(wrong.iter().map(|value| changed(&|place| *place = value.clone())));
        let Some(Value::Object(map)) = tree.pointer(&pointer) else { continue };
        trees.push(changed(&|place| place["zzz"] = json!(1)));
        // As long as the struct has fields: serde would take it for one.
        trees.push(changed(&|place| *place = Value::Array(vec![json!("x"); 14])));
        for name in map.keys() {
            trees.push(changed(&|place| drop(place.as_object_mut().and_then(|map| map.remove(name)))));
            let renamed = |map: &Map<String, Value>| {
                let mut map = map.clone();
                map.insert("TWICE".to_owned(), map[name].clone());
                map
            };
            let twice = changed(&|place| *place = Value::Object(place.as_object().map(renamed).unwrap_or_default()));
            texts.push(twice.to_string().replace("TWICE", name));
        }
    }
    (trees, texts)
}

/// The tree in YAML's block style.
fn block(tree: &Value, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match tree {
        Value::Object(map) if !map.is_empty() => {
            for (name, child) in map {
                out.push_str(&format!("\n{margin}{name}:"));
                block(child, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for child in items {
                out.push_str(&format!("\n{margin}-"));
                block(child, indent + 2, out);
            }
        }
        scalar => out.push_str(&format!(" {scalar}")),
    }
}

#[track_caller]
fn check(read: Result<Definition, Problem>, sent: &str) -> bool {
    let Err(problem) = read else { return false };
    let message = problem.message;
    assert!(!message.is_empty() && message.len() < 600, "{sent}: {message}");
    for word in FORBIDDEN {
        assert!(!message.contains(word), "'{word}' for {sent}: {message}");
    }
    true
}

#[test]
fn what_is_broken_is_told_in_plain_words() {
    let mut refused = 0;
    for (kind, definition) in definitions() {
        let (trees, texts) = broken(&definition);
        for tree in trees {
            let (text, mut lines) = (tree.to_string(), String::new());
            block(&tree, 0, &mut lines);
            refused += usize::from(check(read_text(kind, "r", BodyFormat::Json, text.as_bytes()), &text));
            refused += usize::from(check(read_text(kind, "r", BodyFormat::Yaml, text.as_bytes()), &text));
            refused += usize::from(check(read_text(kind, "r", BodyFormat::Yaml, lines.as_bytes()), &lines));
            refused += usize::from(check(read_value(kind, "r", &tree), &text));
        }
        for text in texts {
            assert!(check(read_text(kind, "r", BodyFormat::Json, text.as_bytes()), &text), "taken: {text}");
            assert!(check(read_text(kind, "r", BodyFormat::Yaml, text.as_bytes()), &text), "taken: {text}");
        }
        // The beginnings of a text, which break off anywhere.
        let text = definition.to_string();
        for end in 0..text.len() {
            assert!(check(read_text(kind, "r", BodyFormat::Json, &text.as_bytes()[..end]), &text[..end]));
            check(read_text(kind, "r", BodyFormat::Yaml, &text.as_bytes()[..end]), &text[..end]);
        }
        for garbage in [
            "]",
            "{]",
            "{\"a\" 1}",
            "{a: 1}",
            "\u{0}",
            "tru",
            "[1,]",
            "{\"a\":1} x",
            "\t- x\n",
            "a: b: c",
            "? x",
            "%",
            "@",
            "*a",
        ] {
            check(read_text(kind, "r", BodyFormat::Json, garbage.as_bytes()), garbage);
            check(read_text(kind, "r", BodyFormat::Yaml, garbage.as_bytes()), garbage);
        }
        check(read_text(kind, "r", BodyFormat::Yaml, b"rule: \xff"), "no UTF-8");
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn what_is_a_list_instead_of_a_map_is_refused() {
    for text in
        [r#"["r", "", "s"]"#, r#"{"rule": "r", "stream": "s", "score": "1.0", "limits": ["1ms", "8MiB", "1KiB"]}"#]
    {
        for format in [BodyFormat::Json, BodyFormat::Yaml] {
            let message = read_text(Kind::Rule, "r", format, text.as_bytes()).unwrap_err().message;
            assert!(message.contains("expected a map"), "{message}");
        }
    }
}

#[test]
fn a_number_or_boolean_is_its_own_expression_in_all_formats() {
    let text = r#"{"rule": "r", "stream": "s", "score": 0.5, "when": true, "tags": {"t": false}}"#;
    let body = json!({ "rule": "r", "stream": "s", "score": "0.5", "when": "true", "tags": { "t": "false" } });
    let expected = read_value(Kind::Rule, "r", &body).unwrap();
    for format in [BodyFormat::Json, BodyFormat::Yaml] {
        assert_eq!(read_text(Kind::Rule, "r", format, text.as_bytes()).unwrap(), expected);
    }
    assert_eq!(read_value(Kind::Rule, "r", &serde_json::from_str(text).unwrap()).unwrap(), expected);
    let yaml = "rule: r\nstream: s\nscore: 1\nwhen: NO == country\n";
    assert_eq!(read_text(Kind::Rule, "r", BodyFormat::Yaml, yaml.as_bytes()).unwrap().to_json()["score"], "1");
}

#[test]
fn what_yaml_reads_otherwise_gets_a_hint() {
    for (line, hint) in [
        ("score: a ? 1 : 0", "'a ? 1 : 0'"),
        ("when: !flag", "in quotes"),
        ("when: \"a\" == b", "in quotes"),
        ("tags: { x: a ? true : false }", "in quotes"),
        ("when: [1, 2]", "in quotes"),
        ("when: { a: 1 }", "in quotes"),
    ] {
        let text = format!("rule: r\nstream: s\n{line}\n");
        let message = read_text(Kind::Rule, "r", BodyFormat::Yaml, text.as_bytes()).unwrap_err().message;
        assert!(message.contains(hint), "{line}: {message}");
    }
    let text = b"view: r\nstream: s\nby: [a]\nmeasures: { n: count() }\nover: 1h\ntiles: 1_0\n";
    let message = read_text(Kind::View, "r", BodyFormat::Yaml, text).unwrap_err().message;
    assert!(message.contains("1_0"), "{message}");
}

#[test]
fn a_mistake_in_a_larger_body_has_its_path() {
    let rule = json!({ "rule": "r", "stream": "s", "score": "1.0", "limits": { "memory": 5 } });
    let message = read_value(Kind::Rule, "r", &rule).unwrap_err().message;
    assert!(message.starts_with("limits.memory: expected a text, found the number 5"), "{message}");
}

const RULE: &str = "rule: high\nstream: payments\nscore: amount / 10.0\ntags: { big: score >= 0.9 }\n";

#[test]
fn yaml_and_json_become_the_same_definition() {
    let yaml = read_text(Kind::Rule, "high", BodyFormat::Yaml, RULE.as_bytes()).unwrap();
    let json = serde_json::to_vec(&yaml).unwrap();
    assert_eq!(read_text(Kind::Rule, "high", BodyFormat::Json, &json).unwrap(), yaml);
    assert_eq!(read_value(Kind::Rule, "high", &yaml.to_json()).unwrap(), yaml);
    assert_eq!(yaml.to_json()["mode"], "active");
}

#[test]
fn a_schema_in_yaml_keeps_its_types() {
    let text = "stream: s\nkey: k\ntime: t\nschema:\n  type: record\n  name: S\n  fields:\n    - { name: k, type: string, default: '1' }\n    - { name: n, type: ['null', int], default: null }\n    - { name: d, type: double, default: 1.5 }\n";
    let definition = read_text(Kind::Stream, "s", BodyFormat::Yaml, text.as_bytes()).unwrap();
    let fields = definition.to_json()["schema"]["fields"].clone();
    let expected = serde_json::json!([
        {"name": "k", "type": "string", "default": "1"},
        {"name": "n", "type": ["null", "int"], "default": null},
        {"name": "d", "type": "double", "default": 1.5},
    ]);
    assert_eq!(fields, expected);
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_known() {
    for format in [BodyFormat::Yaml, BodyFormat::Json] {
        let text = match format {
            BodyFormat::Yaml => RULE.replace("score:", "scoer:"),
            _ => r#"{"rule": "high", "stream": "payments", "scoer": "1.0"}"#.to_owned(),
        };
        let problem = read_text(Kind::Rule, "high", format, text.as_bytes()).unwrap_err();
        assert!(problem.message.contains("did you mean 'score'?"), "{}", problem.message);
        assert!(problem.message.contains("line"), "{}", problem.message);
    }
    let text = r#"{"rule": "high", "stream": "payments", "colour": "red"}"#;
    let problem = read_text(Kind::Rule, "high", BodyFormat::Json, text.as_bytes()).unwrap_err();
    assert!(!problem.message.contains("did you mean"), "{}", problem.message);
}

#[test]
fn a_definition_sent_to_another_name_is_refused() {
    let problem = read_text(Kind::Rule, "low", BodyFormat::Yaml, RULE.as_bytes()).unwrap_err();
    assert_eq!(problem.at, "rule");
    assert_eq!(problem.message, "the definition calls itself 'high', but it was sent as 'low'");
}

#[test]
fn a_broken_text_says_where() {
    let problem = read_text(Kind::Rule, "high", BodyFormat::Json, b"{\n  \"rule\": }").unwrap_err();
    assert!(problem.message.contains("line 2 column"), "{}", problem.message);
    let problem = read_text(Kind::Rule, "high", BodyFormat::Yaml, b"rule: high\nstream: [").unwrap_err();
    assert!(problem.message.contains("line"), "{}", problem.message);
}
