//! A plugin with state: per entity it counts rows and folds their values into a number. On rows whose value is
//! `config.value` it misbehaves as `config.mode` says.

wit_bindgen::generate!({ path: "../../../../../wit", world: "plugin" });

use std::cell::OnceCell;

use assay::plugin::columns::{Blobs, Column};
use assay::plugin::manifests::{Input, Kind};
use exports::assay::plugin::scoring::{Batch, Guest, Manifest, Verdicts};

#[derive(serde::Deserialize)]
struct Config {
    mode: String,
    #[serde(default)]
    value: i64,
}

thread_local!(static CONFIG: OnceCell<Config> = const { OnceCell::new() });

struct Folding;

impl Guest for Folding {
    fn describe() -> Manifest {
        Manifest {
            name: "folding".into(),
            version: "2.0.0".into(),
            doc: String::new(),
            inputs: vec![Input { name: "value".into(), kind: Kind::Int, required: true, doc: String::new() }],
            tags: Vec::new(),
            reasons: Vec::new(),
            edges: Vec::new(),
            attributes: Vec::new(),
            config_schema: r#"{"type":"object"}"#.into(),
            state_version: Some(2),
            annotations: Vec::new(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        CONFIG.with(|cell| cell.set(config)).map_err(|_| "configured twice".to_string())
    }

    fn score(batch: Batch) -> Result<Verdicts, String> {
        CONFIG.with(|config| score(config.get().ok_or("not configured")?, &batch))
    }

    fn migrate(from_version: u32, states: Blobs) -> Result<Blobs, String> {
        if from_version != 1 {
            return Err(format!("version {from_version} is unknown"));
        }
        // Version 1 had the sum alone.
        let sums = split(&states).into_iter().map(|state| read(state).0);
        Ok(join(sums.map(|sum| (sum, 0)), false))
    }
}

fn score(config: &Config, batch: &Batch) -> Result<Verdicts, String> {
    let Column::Ints(values) = &batch.columns[0] else { return Err("value is not an int".into()) };
    let mut states: Vec<(i64, i64)> = split(&batch.states).into_iter().map(read).collect();
    let mut grows = false;
    let mut scores = Vec::new();
    for (value, entity) in values.values.iter().zip(&batch.entities) {
        let state = &mut states[*entity as usize];
        // The result depends on the order of rows, so that a test finds rows in a wrong order.
        *state = (state.0.wrapping_mul(31).wrapping_add(*value), state.1 + 1);
        scores.push((state.0 % 1_000_003) as f64);
        if *value == config.value {
            match config.mode.as_str() {
                "trap" => panic!("as asked"),
                "loop" => endless(),
                "refuse" => return Err("refused".into()),
                "lose-a-state" => drop(states.pop()),
                "grow" => grows = true,
                _ => {}
            }
        }
    }
    let states = join(states.into_iter(), grows);
    Ok(Verdicts {
        scores,
        tags: Vec::new(),
        reasons: Vec::new(),
        edges: Vec::new(),
        attributes: Vec::new(),
        states,
    })
}

fn endless() -> ! {
    let mut x = 0_u64;
    loop {
        x = core::hint::black_box(x.wrapping_add(1));
    }
}

fn split(blobs: &Blobs) -> Vec<&[u8]> {
    let mut start = 0;
    let end_of = |end: &u32| {
        let range = start..*end as usize;
        start = *end as usize;
        &blobs.data[range]
    };
    blobs.ends.iter().map(end_of).collect()
}

fn read(state: &[u8]) -> (i64, i64) {
    let word = |i: usize| state.get(8 * i..8 * i + 8).map_or(0, |w| i64::from_le_bytes(w.try_into().unwrap()));
    (word(0), word(1))
}

fn join(states: impl Iterator<Item = (i64, i64)>, grows: bool) -> Blobs {
    let mut blobs = Blobs { ends: Vec::new(), data: Vec::new() };
    for (sum, count) in states {
        blobs.data.extend(sum.to_le_bytes());
        blobs.data.extend(count.to_le_bytes());
        if grows {
            blobs.data.resize(blobs.data.len() + 5_000, 0);
        }
        blobs.ends.push(blobs.data.len() as u32);
    }
    blobs
}

export!(Folding);
