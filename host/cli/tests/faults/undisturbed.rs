//! The undisturbed server: embedded, alone, given the same events in the order of the log, and the same changes where
//! each partition took them up.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::changes::{Change, Pack};
use crate::load::PARTITIONS;
use crate::support::Server;
use crate::truth::{Place, Truth};

/// Events that are sent at once.
const BATCH: usize = 500;

/// Runs it through all events and changes; returns it when all its stores have what was said.
pub(crate) fn run(folder: &Path, pack: &Pack, changes: &[Change], truth: &Truth) -> Arc<Server> {
    let settings = [("ASSAY_PLUGINS__TIME_PER_EVENT", "1s")];
    let server = Arc::new(Server::start(&folder.join("undisturbed"), None, &settings));
    pack.apply(&server);
    let mut from = [0; PARTITIONS as usize];
    for change in changes {
        let to: Vec<u64> = (0..PARTITIONS).map(|partition| truth.goes_over(partition, change)).collect();
        send(&server, truth, |(partition, offset)| {
            (from[partition as usize]..to[partition as usize]).contains(&offset)
        });
        change.make(pack, || Some(server.clone()));
        assert!(from.iter().zip(&to).all(|(from, to)| from <= to), "changes were taken up in another order");
        from.copy_from_slice(&to);
    }
    send(&server, truth, |(partition, offset)| offset >= from[partition as usize]);
    server.until("/readyz", |status, answer| {
        let parts = answer["parts"].as_array().unwrap();
        status == 200 && parts.iter().all(|part| part["ok"] == true && part["lag"] == 0)
    });
    server
}

/// Sends events in the order of the log, and waits until they are judged.
fn send(server: &Server, truth: &Truth, wanted: impl Fn(Place) -> bool) {
    let events: Vec<&Value> =
        truth.events.iter().filter(|(place, _)| wanted(**place)).map(|(_, event)| event).collect();
    for batch in events.chunks(BATCH) {
        let body: Vec<u8> = batch.iter().flat_map(|event| format!("{event}\n").into_bytes()).collect();
        let body = Some(("application/x-ndjson", body.as_slice()));
        let (status, text) =
            server.send("POST", "/v1/streams/payments/events?wait=verdicts&timeout=60s", body).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &answer["accepted"]), (200, &batch.len().into()), "{text}");
    }
}
