//! A TCP proxy in front of a server that can stall or close connections, as a network can.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// The state of the network between client and server.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NetworkState {
    /// The proxy forwards all bytes.
    Open,
    /// The proxy holds all bytes back; connections stay open.
    Stalled,
    /// The proxy closes all connections, and new ones at once.
    Closed,
}

struct ProxyState {
    network: Mutex<NetworkState>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

/// Forwards connections to a server.
pub(crate) struct Proxy {
    /// The address of the proxy.
    pub(crate) address: SocketAddr,
    shared: Arc<ProxyState>,
}

impl Proxy {
    /// Listens on a free port. The threads of the proxy end with the process.
    pub(crate) fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(ProxyState {
            network: Mutex::new(NetworkState::Open),
            changed: Condvar::new(),
            connections: Mutex::default(),
        });
        let (server, listener_shared) = (server.to_owned(), shared.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // In the state `Closed` the connection is closed by dropping it.
                if *listener_shared.network.lock().unwrap() != NetworkState::Closed {
                    let server = TcpStream::connect(&server).unwrap();
                    listener_shared.forward(&client, &server);
                    listener_shared.forward(&server, &client);
                }
            }
        });
        Self { address, shared }
    }

    /// Changes the state of the network.
    pub(crate) fn set(&self, network: NetworkState) {
        *self.shared.network.lock().unwrap() = network;
        self.shared.changed.notify_all();
        if network == NetworkState::Closed {
            for connection in self.shared.connections.lock().unwrap().drain(..) {
                // An error means that the other end has closed the connection already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

impl ProxyState {
    /// Starts a thread that forwards the bytes of one direction.
    fn forward(self: &Arc<Self>, from: &TcpStream, to: &TcpStream) {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        self.connections.lock().unwrap().push(from.try_clone().unwrap());
        let shared = self.clone();
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let network = shared.network.lock().unwrap();
                drop(shared.changed.wait_while(network, |network| *network == NetworkState::Stalled).unwrap());
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
