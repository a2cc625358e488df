//! Outages: calls fail in time and say so, and work again when the server is back.

use std::thread;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::state::StateStore;
use assay_stores::scylladb::{Config, ScyllaDb, ScyllaState};

use crate::contract::payments;
use crate::keyspace::Keyspace;
use crate::proxy::{Proxy, Way};
use crate::state::save;

/// Everything that has to happen happens long before.
const DEADLINE: Duration = Duration::from_secs(60);

fn is_unavailable(state: &ScyllaState, address: &str) -> bool {
    match state.load(&payments(0), &["a"]) {
        Ok(_) => false,
        Err(StoreError::Unavailable { message, .. }) => message.contains(address),
        Err(error) => panic!("{error}"),
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "{what} after {DEADLINE:?}");
        thread::yield_now();
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn calls_fail_while_the_server_is_away_and_work_again_afterwards() {
    let keyspace = Keyspace::new();
    keyspace.open();
    let proxy = Proxy::to(&keyspace.config.nodes[0]);
    let address = proxy.address.to_string();
    let config =
        Config { nodes: vec![address.clone()], request_timeout: Duration::from_secs(2), ..keyspace.config.clone() };
    let state = ScyllaDb::open(&config).unwrap().state();
    save(&*state, (1, 1), &[("a", "before")]);
    for way in [Way::Stuck, Way::Cut] {
        proxy.set(way);
        let began = Instant::now();
        assert!(is_unavailable(&state, &address));
        // Twice the time of a request: the machine may be busy.
        assert!(began.elapsed() < config.request_timeout * 2, "it took {:?}", began.elapsed());
        proxy.set(Way::Open);
        until("the server is still not used", || !is_unavailable(&state, &address));
        let found = state.load(&payments(0), &["a"]).unwrap();
        assert_eq!(found, [Some(b"before".to_vec())]);
    }
    save(&*state, (2, 1), &[("a", "after")]);
    assert_eq!(keyspace.open().state().load(&payments(0), &["a"]).unwrap(), [Some(b"after".to_vec())]);
}
