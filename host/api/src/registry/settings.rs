//! What other registries let their users set, and is fixed here.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome, Refused};
use super::request::Params;
use crate::http::{Path, Query};

const LEVEL: &str = "BACKWARD";
const MODE: &str = "READWRITE";

/// `GET /`: clients ask whether somebody is there.
pub(super) async fn root() -> Answer<Map<String, Value>> {
    Answer(Map::new())
}

/// `GET /config`
pub(super) async fn config() -> Answer<Value> {
    Answer(json!({ "compatibilityLevel": LEVEL }))
}

/// `GET /mode`
pub(super) async fn mode() -> Answer<Value> {
    Answer(json!({ "mode": MODE }))
}

/// `GET /config/{subject}`
pub(super) async fn config_of(Path(subject): Path<String>, Query(params): Query<Params>) -> Outcome<Value> {
    if params.default_to_global() { Ok(config().await) } else { Err(Refused::NoOwnLevel(subject).into()) }
}

/// `GET /mode/{subject}`
pub(super) async fn mode_of(Path(subject): Path<String>, Query(params): Query<Params>) -> Outcome<Value> {
    if params.default_to_global() { Ok(mode().await) } else { Err(Refused::NoOwnMode(subject).into()) }
}
