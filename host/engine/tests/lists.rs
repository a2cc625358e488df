//! Rules and views over the lists and maps of events.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use assay_core::value::Value;
use assay_engine::ports::catalog::Kind;
use serde_json::json;

use support::{change, offline, problems, rule};

fn stream(series: serde_json::Value) -> assay_engine::ports::catalog::Change {
    let item = json!({ "type": "record", "name": "Item", "fields": [
        { "name": "price", "type": "double" }, { "name": "category", "type": "string" }] });
    let schema = json!({ "type": "record", "name": "Order", "fields": [
        { "name": "id", "type": "string" },
        { "name": "user", "type": "string" },
        { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "items", "type": { "type": "array", "items": item } },
        { "name": "labels", "type": { "type": "map", "values": "string" }, "default": {} }] });
    let mut body = json!({ "stream": "payments", "key": "user", "time": "time", "id": "id", "partitions": 1,
                           "schema": schema });
    if !series.is_null() {
        body["series"] = series;
    }
    change(Kind::Stream, "payments", body)
}

#[test]
fn a_rule_judges_some_orders_by_their_items() {
    let spent = json!({ "view": "spent", "stream": "payments", "by": ["user"], "over": "1h",
                        "when": "size(items) > 0", "measures": { "sum": "sum(sum(items.map(i, i.price)))" } });
    let dear = json!({ "score": "sum(items.filter(i, i.price > 10.0).map(i, i.price))",
                       "when": "size(items) > 0",
                       "tags": { "toys": "items.exists(i, i.category == 'toys') && labels.tier == 'gold'" } });
    let mut offline = offline(vec![
        stream(json!(null)),
        change(Kind::View, "spent", spent),
        rule("dear", dear),
        rule("all", json!({ "score": "views.spent.sum + double(size(items))" })),
    ]);
    let orders = [
        json!({ "id": "o1", "user": "u", "time": 1000, "labels": { "tier": "gold" },
                "items": [{ "price": 20.0, "category": "toys" }, { "price": 5.0, "category": "food" }] }),
        json!({ "id": "o2", "user": "u", "time": 2000, "items": [] }),
        json!({ "id": "o3", "user": "u", "time": 3000, "items": [{ "price": 30.0, "category": "toys" }] }),
    ];
    let mut encoder = assay_core::schema::Encoder::new(&offline.plan().streams["payments"].schema);
    let records: Vec<Vec<u8>> = orders
        .iter()
        .map(|order| {
            let mut out = Vec::new();
            encoder.encode_value(order, &mut out).unwrap();
            out
        })
        .collect();
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let mut block = Vec::new();
    offline.score_avro("payments", &records, &mut block).unwrap();
    let outcomes = assay_core::verdict::read_block(&block).unwrap().outcomes;
    let of = |rule: &str| -> Vec<Option<(Option<f64>, Vec<String>)>> {
        let verdicts = outcomes.iter().map(|outcome| outcome.verdicts.iter().find(|verdict| verdict.by.rule == rule));
        verdicts.map(|verdict| verdict.map(|verdict| (verdict.score, verdict.tags.clone()))).collect()
    };
    let toys = vec!["toys".to_owned()];
    assert_eq!(of("dear"), [Some((Some(20.0), toys)), None, Some((Some(30.0), vec![]))]);
    assert_eq!(of("all"), [Some((Some(27.0), vec![])), Some((Some(25.0), vec![])), Some((Some(56.0), vec![]))]);
    let inputs = &outcomes[0].verdicts.iter().find(|verdict| verdict.by.rule == "all").unwrap().inputs;
    assert_eq!(inputs[1], ("items".to_owned(), Value::Null), "verdicts keep no lists");
}

#[test]
fn a_point_of_a_series_has_no_lists() {
    let series = json!({ "tags": [], "fields": ["items"] });
    let messages: Vec<String> = problems(vec![stream(series)]).into_iter().map(|problem| problem.message).collect();
    assert_eq!(messages, ["'items' is of type list(record), expected a single value"]);
}
