//! Readiness checks of servers over HTTP.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into()
}

pub(super) fn get_json(url: &str) -> Result<Value> {
    let mut response = agent().get(url).call().with_context(|| format!("GET {url}"))?;
    response.body_mut().read_json().with_context(|| format!("GET {url}"))
}

pub(super) fn post_json(url: &str, body: &Value) -> Result<Value> {
    let mut response = agent().post(url).send_json(body).with_context(|| format!("POST {url}"))?;
    response.body_mut().read_json().with_context(|| format!("POST {url}"))
}
