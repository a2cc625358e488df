//! Binds the addresses of the server.

use std::io::ErrorKind;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

/// Binds an address. `setting` names where it is set.
///
/// # Errors
/// It is no address, this machine does not have it, or somebody else listens there. The message has the remedy.
pub(crate) async fn bind_address(address: &str, setting: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| anyhow!("cannot listen on '{address}' ({setting}): {error}; {}", advice(error.kind())))
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => "is another server there? 127.0.0.1:0 takes any free port",
        ErrorKind::AddrNotAvailable => "expected an address of this machine: 127.0.0.1, or 0.0.0.0 for all that it has",
        ErrorKind::PermissionDenied => "choose a port from 1024 on, or allow the process to use lower ones",
        _ => "expected HOST:PORT, such as 127.0.0.1:7717",
    }
}
