//! The catalog of a simulation, and the changes that are made to it.

use serde_json::{Value, json};

use crate::memory::Random;
use crate::ports::catalog::{Change, Kind};

/// The stream that events are sent to.
pub(super) const SOURCE: &str = "payments";
/// The stream that is derived from it.
pub(super) const DERIVED: &str = "by_device";

fn change(kind: Kind, name: &str, body: Value) -> Change {
    Change::from_json(kind, name, body)
}

fn view(name: &str, stream: &str, by: &str, window: (&str, &str)) -> Change {
    let measures = json!({ "n": "count()", "sum": "sum(amount)", "top": "max(amount)" });
    let mut body = json!({ "view": name, "stream": stream, "by": [by], "measures": measures });
    if !window.0.is_empty() {
        body[window.0] = json!(window.1);
    }
    if window.0 == "every" {
        body["keep"] = json!("1h");
    }
    change(Kind::View, name, body)
}

fn rule(name: &str, stream: &str, score: &str) -> Change {
    change(Kind::Rule, name, rule_body(name, stream, score))
}

fn rule_body(name: &str, stream: &str, score: &str) -> Value {
    let tags = json!({ "high": "score > 20.0" });
    json!({ "rule": name, "stream": stream, "score": score, "tags": tags })
}

/// What the catalog holds before the first event.
pub(super) fn initial(partitions: u32) -> Vec<Change> {
    let field = |name: &str, kind: Value| json!({ "name": name, "type": kind });
    let fields = [
        field("card", json!("string")),
        field("device", json!("string")),
        field("amount", json!("double")),
        field("at", json!({ "type": "long", "logicalType": "timestamp-millis" })),
        field("id", json!("string")),
    ];
    let schema = json!({ "type": "record", "name": "payment", "fields": fields });
    let series = json!({ "tags": ["device"], "fields": ["amount"] });
    let source = json!({ "stream": SOURCE, "key": "card", "time": "at", "id": "id", "partitions": partitions,
        "lateness": "1m", "series": series, "schema": schema });
    let derived = json!({ "stream": DERIVED, "from": SOURCE, "key": "device", "partitions": partitions });
    let mut seen = rule_body("seen", SOURCE, "double(views.slots.n)");
    seen["graph"] = json!([{ "edge": "used", "from": "\"card:\" + card", "to": "\"device:\" + device" }]);
    vec![
        change(Kind::Stream, SOURCE, source),
        change(Kind::Stream, DERIVED, derived),
        view("spend", SOURCE, "card", ("over", "1h")),
        view("slots", SOURCE, "card", ("every", "10m")),
        view("devices", DERIVED, "device", ("", "")),
        rule("total", SOURCE, "views.spend.sum + double(views.spend.n)"),
        // Fails on an amount of 0.
        rule("ratio", SOURCE, "1.0 / amount"),
        change(Kind::Rule, "seen", seen),
        rule("count", DERIVED, "double(views.devices.n) + views.devices.sum"),
    ]
}

/// A rule that does not compile.
pub(super) fn invalid_rule() -> Change {
    rule("invalid", SOURCE, "no_such_field + 1.0")
}

/// A change that is made while events come, by its number.
pub(super) fn draw_change(random: &mut Random, number: usize) -> Vec<Change> {
    let factor = format!("{}.0", number + 2);
    match random.below(6) {
        0 => vec![rule("total", SOURCE, &format!("views.spend.sum * {factor}"))],
        1 => vec![view("spend", SOURCE, "card", ("over", if number.is_multiple_of(2) { "10m" } else { "2h" }))],
        2 => vec![rule("count", DERIVED, &format!("double(views.devices.n) * {factor}"))],
        3 => {
            let name = format!("extra_{number}");
            let added = view(&name, SOURCE, "card", ("", ""));
            vec![added, rule(&name, SOURCE, &format!("views.{name}.sum + {factor}"))]
        }
        4 => vec![
            rule("total", SOURCE, &format!("views.spend.top * {factor}")),
            rule("count", DERIVED, &format!("views.devices.top + {factor}")),
        ],
        _ => vec![rule("ratio", SOURCE, &format!("{factor} / amount"))],
    }
}
