//! Choosing ports: free ones of 127.0.0.1, which a server then keeps for all its restarts.

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result};

/// Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152): a port of those
/// could be taken while its server is down, even by the client that tries to reach it.
const FIRST: u16 = 20_000;
const FIRSTS: u16 = 8_000;

/// Free ports at these distances from the first one, other than those that are taken. Each checkout begins its search
/// at another one, since a server that is down holds no port.
pub(super) fn choose(distances: &[u16], taken: &[u16], checkout: &Path) -> Result<Vec<u16>> {
    let bytes = checkout.as_os_str().as_encoded_bytes();
    let begin = bytes.iter().fold(0_u32, |sum, byte| (sum * 31 + u32::from(*byte)) % u32::from(FIRSTS)) as u16;
    (0..FIRSTS)
        .map(|at| FIRST + (begin + at) % FIRSTS)
        .map(|first| distances.iter().map(|distance| first + distance).collect::<Vec<u16>>())
        .find(|ports| ports.iter().all(|port| !taken.contains(port) && is_free(*port)))
        .context("no free ports on 127.0.0.1 from 20000 to 32000")
}

/// Whether nobody listens there.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_are_free_and_of_no_other_server() {
        let checkout = Path::new("/some/checkout");
        let first = choose(&[0, 1], &[], checkout).unwrap();
        assert!(first.iter().all(|port| is_free(*port)));
        let held = TcpListener::bind(("127.0.0.1", first[1])).unwrap();
        let second = choose(&[0, 1], &[], checkout).unwrap();
        assert!(!second.contains(&held.local_addr().unwrap().port()));
        let third = choose(&[0, 1000], &second, checkout).unwrap();
        assert!(third.iter().all(|port| !second.contains(port)), "{third:?} {second:?}");
        assert_eq!(third[1], third[0] + 1000);
    }
}
