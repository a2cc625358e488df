//! An HTTP proxy in front of a real server that answers some requests itself, as an overloaded server would.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that the proxy received.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Headers: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as sent.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value by its name in lower case; empty if the request has no such header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// The answer of the proxy in place of the server's: status, further header lines (each with `\r\n`), body.
pub type Fault = (u16, &'static str, String);
/// Returns the answer to a request; none: the request is forwarded to the server.
pub type DecideFault = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// A running proxy. Its thread ends with the process.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    /// Starts a proxy that answers the first requests with these faults and forwards the others.
    pub fn with_faults(server: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut faults: VecDeque<Fault> = faults.into_iter().collect();
        Self::start(server, Box::new(move |_| faults.pop_front()))
    }

    /// Starts a proxy in front of the server at this URL.
    pub fn start(server: &str, mut decide: DecideFault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (server, notes) = (server.to_owned(), seen.clone());
        std::thread::spawn(move || {
            // Connections are served one after the other; each carries one request (`connection: close`).
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&stream) else { continue };
                notes.lock().unwrap().push(request.clone());
                let (status, headers, body) = decide(&request).unwrap_or_else(|| forward(&server, &request));
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        Self { address, seen }
    }

    /// The proxy's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let mut request = Request { path, headers, body: Vec::new() };
    let length: u64 = request.header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_end(&mut request.body).ok()?;
    Some(request)
}

fn forward(server: &str, request: &Request) -> Fault {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut forwarded = agent.post(format!("{server}{}", request.path));
    for (name, value) in request.headers.iter().filter(|(name, _)| !matches!(&**name, "host" | "content-length")) {
        forwarded = forwarded.header(name, value);
    }
    let mut answer = forwarded.send(&request.body[..]).unwrap();
    (answer.status().as_u16(), "", answer.body_mut().read_to_string().unwrap())
}
