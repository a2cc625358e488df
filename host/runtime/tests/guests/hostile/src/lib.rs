//! A plugin without state that scores the sum of two floats. On rows whose first float is `config.value` it misbehaves
//! as `config.mode` says.

wit_bindgen::generate!({ path: "../../../../../wit", world: "plugin" });

use std::cell::OnceCell;

use assay::plugin::columns::{Blobs, Column};
use assay::plugin::manifests::{Input, Kind};
use exports::assay::plugin::scoring::{Attribute, Batch, Edge, Guest, Manifest, Reason, Tag, Verdicts};

/// The SDK's module, shared by its source.
#[path = "../../../../../../plugin-sdk/src/panic_message.rs"]
mod panic_message;

#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
static assay_panic_message: panic_message::PanicMessage = panic_message::PanicMessage::new();

#[derive(serde::Deserialize)]
struct Config {
    mode: String,
    #[serde(default)]
    value: f64,
    /// The iterations of work per row.
    #[serde(default)]
    rounds: u64,
}

thread_local!(static CONFIG: OnceCell<Config> = const { OnceCell::new() });

struct Hostile;

impl Guest for Hostile {
    fn describe() -> Manifest {
        let input = |name: &str, kind, required| Input { name: name.into(), kind, required, doc: String::new() };
        Manifest {
            name: "hostile".into(),
            version: "1.2.3".into(),
            doc: "Misbehaves.".into(),
            inputs: vec![
                input("a", Kind::Float, true),
                input("b", Kind::Float, true),
                input("note", Kind::Text, false),
                input("flag", Kind::Boolean, false),
                input("count", Kind::Int, false),
                input("at", Kind::Timestamp, false),
            ],
            tags: vec!["high".into(), "flagged".into()],
            reasons: vec!["sum".into()],
            edges: vec!["met".into()],
            attributes: vec!["note".into()],
            config_schema: r#"{"type":"object"}"#.into(),
            state_version: None,
            annotations: vec![("home".into(), "nowhere".into())],
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        if config.mode != "trap-without-words" {
            assay_panic_message.install();
        }
        match config.mode.as_str() {
            "trap-in-configure" => panic!("as asked"),
            "loop-in-configure" => endless(),
            _ => {}
        }
        CONFIG.with(|cell| cell.set(config)).map_err(|_| "configured twice".to_string())
    }

    fn score(batch: Batch) -> Result<Verdicts, String> {
        CONFIG.with(|config| score(config.get().ok_or("not configured")?, &batch))
    }

    fn migrate(_: u32, _: Blobs) -> Result<Blobs, String> {
        Err("there is no state".into())
    }
}

fn score(config: &Config, batch: &Batch) -> Result<Verdicts, String> {
    let Column::Floats(a) = &batch.columns[0] else { return Err("a is not a float".into()) };
    let Column::Floats(b) = &batch.columns[1] else { return Err("b is not a float".into()) };
    let mut verdicts = Verdicts {
        scores: a.values.iter().zip(&b.values).map(|(a, b)| a + b).collect(),
        tags: Vec::new(),
        reasons: Vec::new(),
        edges: Vec::new(),
        attributes: Vec::new(),
        states: Blobs { ends: Vec::new(), data: Vec::new() },
    };
    for _ in 0..config.rounds * u64::from(batch.rows) {
        core::hint::black_box(0);
    }
    if config.mode == "sum-only" {
        return Ok(verdicts);
    }
    for row in 0..batch.rows {
        add_verdicts(batch, row, &mut verdicts);
    }
    for row in 0..batch.rows {
        if a.values[row as usize] == config.value {
            misbehave(&config.mode, row, &mut verdicts)?;
        }
    }
    Ok(verdicts)
}

/// Adds verdicts that contain all other columns of a row, so that a test finds a wrong slice of a batch.
fn add_verdicts(batch: &Batch, row: u32, verdicts: &mut Verdicts) {
    let i = row as usize;
    let has = |present: &[u8]| present.is_empty() || present[i / 8] >> (i % 8) & 1 == 1;
    if verdicts.scores[i] > 100.0 {
        verdicts.tags.push(Tag { row, name: 0 });
        verdicts.reasons.push(Reason { row, code: 0, weight: verdicts.scores[i] });
    }
    if let Some(Column::Texts(texts)) = batch.columns.get(2) {
        if has(&texts.present) {
            let start = if i == 0 { 0 } else { texts.ends[i - 1] as usize };
            let text = &texts.data[start..texts.ends[i] as usize];
            let value = String::from_utf8_lossy(text).into_owned();
            verdicts.attributes.push(Attribute { row, name: 0, value });
        }
    }
    if let Some(Column::Bools(flags)) = batch.columns.get(3) {
        if has(&flags.present) && flags.values[i / 8] >> (i % 8) & 1 == 1 {
            verdicts.tags.push(Tag { row, name: 1 });
        }
    }
    if let (Some(Column::Ints(counts)), Some(Column::Times(times))) = (batch.columns.get(4), batch.columns.get(5)) {
        if has(&counts.present) {
            let (source, target) = (counts.values[i].to_string(), times.values[i].to_string());
            verdicts.edges.push(Edge { row, name: 0, source, target });
        }
    }
}

fn misbehave(mode: &str, row: u32, verdicts: &mut Verdicts) -> Result<(), String> {
    match mode {
        "trap" | "trap-without-words" => panic!("as asked"),
        "trap-with-hostile-words" => panic!("\u{1b}[31m\u{202e}\n{}", "word ".repeat(100_000)),
        "loop" => endless(),
        "recurse" => verdicts.scores[row as usize] = recurse(f64::from(row)),
        "allocate" => verdicts.scores[row as usize] = allocate(),
        "refuse" => return Err(format!("refused row {row}")),
        "too-few-scores" => drop(verdicts.scores.pop()),
        "infinite" => verdicts.scores[row as usize] = f64::INFINITY,
        "tag-of-no-row" => verdicts.tags.push(Tag { row: 1_000_000, name: 0 }),
        "tag-without-name" => verdicts.tags.push(Tag { row, name: 77 }),
        "reasons-out-of-order" => {
            let reason = |row| Reason { row, code: 0, weight: 1.0 };
            verdicts.reasons = vec![reason(row + 1), reason(row)];
        }
        "nan-weight" => verdicts.reasons = vec![Reason { row, code: 0, weight: f64::NAN }],
        "many-tags" => verdicts.tags = vec![Tag { row, name: 0 }; 40],
        "long-text" => {
            verdicts.attributes = vec![Attribute { row, name: 0, value: "x".repeat(2_000) }];
        }
        "much-text" => {
            let value = "x".repeat(1_000_000);
            verdicts.attributes = (0..20).map(|_| Attribute { row, name: 0, value: value.clone() }).collect();
        }
        "not-utf8" => {
            // The host must not trust what a guest calls a string.
            let value = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) };
            verdicts.attributes = vec![Attribute { row, name: 0, value }];
        }
        "state" => verdicts.states = Blobs { ends: vec![1], data: vec![7] },
        _ => {}
    }
    Ok(())
}

fn endless() -> ! {
    let mut x = 0_u64;
    loop {
        x = core::hint::black_box(x.wrapping_add(1));
    }
}

#[allow(unconditional_recursion)]
fn recurse(x: f64) -> f64 {
    core::hint::black_box(recurse(core::hint::black_box(x) + 1.0) + x)
}

fn allocate() -> f64 {
    let mut all = Vec::new();
    loop {
        all.push(core::hint::black_box(vec![1_u8; 1 << 20]));
        if all.len() > 4_000 {
            return all.len() as f64;
        }
    }
}

export!(Hostile);
