//! Shows the highest scores, one card's profile and one payment's explanation, and checks that they agree.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::server::Server;

/// The rules of the pack.
const RULES: [&str; 4] = ["card_geo", "card_thresholds", "card_velocity", "payment_risk"];

pub(super) fn show_highest_scores(server: &Server) -> Result<()> {
    println!("\n4. The cards with the highest risk: GET /v1/scores?rule=payment_risk&limit=5");
    let scores = server.get("/v1/scores?rule=payment_risk&limit=5")?;
    let items = scores["items"].as_array().context("no items")?;
    ensure!(items.len() == 5, "expected 5 cards, got {}", items.len());
    for item in items {
        println!(
            "   {:<14} {:.4}  {:<24} by {}",
            text(&item["key"]),
            number(&item["score"])?,
            list(&item["tags"]),
            text(&item["event"])
        );
    }
    let falls = items.windows(2).all(|pair| pair[0]["score"].as_f64() >= pair[1]["score"].as_f64());
    ensure!(falls, "the scores do not fall");
    ensure!(number(&items[0]["score"])? > 0.9, "the highest score is not above 0.9");
    let (card, event) = (text(&items[0]["key"]), text(&items[0]["event"]));
    show_profile(server, &card, number(&items[0]["score"])?)?;
    show_explanation(server, &card, &event, number(&items[0]["score"])?)
}

fn show_profile(server: &Server, card: &str, score: f64) -> Result<()> {
    println!("\n5. The first card's profile: GET /v1/entities/payments/{card}");
    let profile = server.get(&format!("/v1/entities/payments/{card}"))?;
    println!("   tags: {}", list(&profile["tags"]));
    for rule in RULES {
        let latest = &profile["rules"][rule];
        println!("   {rule:<16} {:<8} {}", shown(&latest["score"]), list(&latest["tags"]));
    }
    for (view, values) in profile["views"].as_object().context("no views")? {
        println!("   view {view:<14} {}", values["measures"]);
    }
    ensure!(number(&profile["rules"]["payment_risk"]["score"])? == score, "profile and listing differ");
    ensure!(number(&profile["views"]["card_history"]["measures"]["payments"])? >= 1.0, "the views saw no payment");
    Ok(())
}

fn show_explanation(server: &Server, card: &str, event: &str, score: f64) -> Result<()> {
    println!("\n6. Why? GET /v1/events/payments/{event}");
    let explained = server.get(&format!("/v1/events/payments/{event}"))?;
    let explained = explained["events"].as_array().and_then(|events| events.first()).context("no such event")?.clone();
    println!("   event: {}", explained["event"]);
    ensure!(explained["event"]["card"] == card, "the event is another card's");
    let verdicts = explained["verdicts"].as_array().context("no verdicts")?;
    for verdict in verdicts {
        let plugin = &verdict["plugin"];
        let by = if plugin.is_null() {
            "expression".to_owned()
        } else {
            format!("{}@{}", text(&plugin["name"]), text(&plugin["version"]))
        };
        println!(
            "   {:<16} {:<8} {:<22} saw {}",
            text(&verdict["rule"]),
            shown(&verdict["score"]),
            by,
            verdict["inputs"]
        );
        for reason in verdict["reasons"].as_array().into_iter().flatten() {
            println!("   {:<16} because of {} ({:.2})", "", text(&reason["code"]), number(&reason["weight"])?);
        }
    }
    let risk =
        verdicts.iter().find(|verdict| verdict["rule"] == "payment_risk").context("no verdict of payment_risk")?;
    ensure!(number(&risk["score"])? == score, "explanation and listing differ");
    Ok(())
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("expected a number, got {value}"))
}

fn shown(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"))
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}
