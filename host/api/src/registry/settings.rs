//! The settings of a registry, which are fixed here.

use serde_json::{Map, Value, json};

use super::answer::{RegistryAnswer, RegistryRefusal, RegistryResult};
use super::request::Params;
use crate::http::{Path, Query};

const LEVEL: &str = "BACKWARD";
const MODE: &str = "READWRITE";

/// `GET /`: clients use it as a probe.
pub(super) async fn root() -> RegistryAnswer<Map<String, Value>> {
    RegistryAnswer(Map::new())
}

/// `GET /config`
pub(super) async fn config() -> RegistryAnswer<Value> {
    RegistryAnswer(json!({ "compatibilityLevel": LEVEL }))
}

/// `GET /mode`
pub(super) async fn mode() -> RegistryAnswer<Value> {
    RegistryAnswer(json!({ "mode": MODE }))
}

/// `GET /config/{subject}`
pub(super) async fn config_of(Path(subject): Path<String>, Query(params): Query<Params>) -> RegistryResult<Value> {
    if params.default_to_global() { Ok(config().await) } else { Err(RegistryRefusal::NoOwnLevel(subject).into()) }
}

/// `GET /mode/{subject}`
pub(super) async fn mode_of(Path(subject): Path<String>, Query(params): Query<Params>) -> RegistryResult<Value> {
    if params.default_to_global() { Ok(mode().await) } else { Err(RegistryRefusal::NoOwnMode(subject).into()) }
}
