//! Rules, their revisions and their status as text.

use serde_json::Value;

use super::super::{field, items, table, time};

/// The plugin of a rule after a change, and a hint if the rule is paused.
pub(super) fn hint(rule: &Value) -> String {
    let (name, def) = (field(rule, "name"), &rule["definition"]);
    let scored_by = scored_by(def);
    let is = if rule["dry_run"] == true { "would be" } else { "is" };
    let paused = match def["mode"].as_str() {
        Some("paused") => format!("; it is paused: assay rule resume {name}"),
        _ => String::new(),
    };
    format!("{name} {is} scored by {scored_by}, revision {}{paused}\n", field(rule, "revision"))
}

/// The mode of a rule after a pause or its end.
pub(super) fn mode_text(rule: &Value) -> String {
    let (name, def, revision) = (field(rule, "name"), &rule["definition"], field(rule, "revision"));
    // False if the rule had this mode before.
    let already = if rule["changed"] == false { "already " } else { "" };
    match def["mode"].as_str() {
        Some("paused") => {
            format!("{name} is {already}paused, revision {revision}; it goes on with: assay rule resume {name}\n")
        }
        mode => {
            let mode = mode.unwrap_or("active");
            format!("{name} is {already}{mode}, scored by {}, revision {revision}\n", scored_by(def))
        }
    }
}

/// The plugin's version that scores a rule, or that an expression does.
pub(super) fn scored_by(def: &Value) -> String {
    match (&def["plugin"], &def["resolved_plugin"]) {
        (Value::Null, _) => "an expression".to_owned(),
        (_, Value::Null) => field(def, "plugin"),
        (reference, resolved) if reference == resolved => field(def, "plugin"),
        _ => format!("{} (as {})", field(def, "resolved_plugin"), field(def, "plugin")),
    }
}

/// All revisions of a rule.
pub(super) fn revisions_text(revisions: &Value) -> String {
    let mut rows = vec![["REVISION", "AT", "BY", "MODE", "SCORED BY"].map(str::to_owned).to_vec()];
    rows.extend(items(revisions).map(|one| {
        let (def, revision) = (&one["definition"], field(one, "revision"));
        let (mode, by) =
            if def.is_null() { ("deleted".to_owned(), "-".to_owned()) } else { (field(def, "mode"), scored_by(def)) };
        vec![revision, time(&one["at"]), field(one, "author"), mode, by]
    }));
    table(&rows)
}

/// The status of a rule as text.
pub(super) fn status_text(status: &Value) -> String {
    let (minute, start, breaker) = (&status["last_minute"], &status["since_start"], &status["breaker"]);
    let plugin = if status["plugin"].is_null() { "an expression".to_owned() } else { field(status, "plugin") };
    let per_event = minute["ns_per_event"].as_u64().map_or_else(|| "-".to_owned(), |ns| format!("{ns} ns per event"));
    let mut rows = vec![
        row(
            "rule",
            format!("{}, revision {}, {}", field(status, "rule"), field(status, "revision"), field(status, "mode")),
        ),
        row("scored by", plugin),
        row(
            "last minute",
            format!(
                "{} events, {:.1} per second, {} failed, {per_event}",
                field(minute, "judged"),
                minute["per_second"].as_f64().unwrap_or_default(),
                field(minute, "failed")
            ),
        ),
        row("since start", format!("{} events, {} failed", field(start, "judged"), field(start, "failed"))),
    ];
    if let Some(last) = status["last_verdict"].as_object() {
        let score = last["score"].as_f64().map_or_else(|| "no score".to_owned(), |score| format!("score {score}"));
        let place = &last["place"];
        let at = time(&last["at"]);
        rows.push(row("last verdict", format!("{score}, event {}-{}, {at}", place["partition"], place["offset"])));
    }
    if let Some(last) = status["last_failure"].as_object() {
        let said =
            format!("{}: {}", last["code"].as_str().unwrap_or_default(), last["message"].as_str().unwrap_or_default());
        rows.push(row("last failure", format!("{said}, {}", time(&last["at"]))));
    }
    for halt in status["halted"].as_array().into_iter().flatten() {
        let (place, code, message) = (&halt["place"], field(halt, "code"), field(halt, "message"));
        let before = format!("partition {} before event {}", place["partition"], place["offset"]);
        rows.push(row("halts", format!("{before}: {code}: {message}")));
    }
    let since = if breaker["since"].is_null() { String::new() } else { format!(" since {}", time(&breaker["since"])) };
    let advice = if breaker["state"] == "open" { "; fix its plugin, then: assay rule resume" } else { "" };
    let reason = breaker["reason"].as_str().map(|reason| format!(": it {reason}")).unwrap_or_default();
    rows.push(row("breaker", format!("{}{since}{reason}{advice}", field(breaker, "state"))));
    table(&rows)
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}
