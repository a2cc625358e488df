//! A way to a server that can be cut and mended, as a network can.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What becomes of bytes on their way.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// They arrive.
    Open,
    /// They are held up, without a word.
    Stuck,
    /// Connections are closed, and new ones too.
    Cut,
}

struct Shared {
    way: Mutex<Way>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

/// Passes connections on to a server.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port. Its threads end with the test's process.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { way: Mutex::new(Way::Open), changed: Condvar::new(), connections: Mutex::default() });
        let (server, sharing) = (server.to_owned(), shared.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // A cut way closes the connection by dropping it.
                if *sharing.way.lock().unwrap() != Way::Cut {
                    let server = TcpStream::connect(&server).unwrap();
                    sharing.carry(&client, &server);
                    sharing.carry(&server, &client);
                }
            }
        });
        Self { address, shared }
    }

    /// Changes what becomes of bytes.
    pub(crate) fn set(&self, way: Way) {
        *self.shared.way.lock().unwrap() = way;
        self.shared.changed.notify_all();
        if way == Way::Cut {
            for connection in self.shared.connections.lock().unwrap().drain(..) {
                // It may have been closed by its other end.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, from: &TcpStream, to: &TcpStream) {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        self.connections.lock().unwrap().push(from.try_clone().unwrap());
        let shared = self.clone();
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let way = shared.way.lock().unwrap();
                drop(shared.changed.wait_while(way, |way| *way == Way::Stuck).unwrap());
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
