//! Outages of the server: calls fail within their timeout, and succeed again after the outage.

use std::thread;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::state::StateStore;
use assay_scylladb::{Config, ScyllaDb, ScyllaState};

use crate::contract::payments;
use crate::keyspace::TestKeyspace;
use crate::proxy::{NetworkState, Proxy};
use crate::state::save;

/// The longest wait for a condition. Every condition is met much earlier unless the test fails.
const TIMEOUT: Duration = Duration::from_secs(60);

fn is_unavailable(state: &ScyllaState, address: &str) -> bool {
    match state.load(&payments(0), &["a"]) {
        Ok(_) => false,
        Err(StoreError::Unavailable { message, .. }) => message.contains(address),
        Err(error) => panic!("{error}"),
    }
}

/// Waits until a condition is met. `problem` describes the state until then.
fn wait_until(problem: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < TIMEOUT, "{problem} after {TIMEOUT:?}");
        thread::yield_now();
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn calls_fail_during_an_outage_and_recover() {
    let keyspace = TestKeyspace::new();
    keyspace.open();
    let proxy = Proxy::start(&keyspace.config.nodes[0]);
    let address = proxy.address.to_string();
    let config =
        Config { nodes: vec![address.clone()], request_timeout: Duration::from_secs(2), ..keyspace.config.clone() };
    let state = ScyllaDb::open(&config).unwrap().state();
    save(&*state, (1, 1), &[("a", "before")]);
    for network in [NetworkState::Stalled, NetworkState::Closed] {
        proxy.set(network);
        let started = Instant::now();
        assert!(is_unavailable(&state, &address));
        // Twice the request timeout, because the machine may be busy.
        assert!(started.elapsed() < config.request_timeout * 2, "it took {:?}", started.elapsed());
        proxy.set(NetworkState::Open);
        wait_until("the server is still not used", || !is_unavailable(&state, &address));
        let found = state.load(&payments(0), &["a"]).unwrap();
        assert_eq!(found, [Some(b"before".to_vec())]);
    }
    save(&*state, (2, 1), &[("a", "after")]);
    assert_eq!(keyspace.open().state().load(&payments(0), &["a"]).unwrap(), [Some(b"after".to_vec())]);
}
