//! Unreachable and silent servers, and databases of another format.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::mongodb::bson::doc;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Catalog;
use assay_mongodb::{Config, MongoDb};

use super::TestDatabase;

/// Opens a database that is unavailable. Returns the text of the error.
fn open_unavailable(config: &Config) -> String {
    let begun = Instant::now();
    match MongoDb::open(config).map(drop) {
        Err(error @ StoreError::Unavailable { .. }) => {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn config(uri: String) -> Config {
    let selection_timeout = Duration::from_millis(500);
    Config { uri, database: "nothing".to_owned(), selection_timeout, ..Config::default() }
}

#[test]
fn an_unreachable_server_is_an_error_with_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = open_unavailable(&config(format!("mongodb://ann:secret@{free}/")));
    assert!(error.contains(&free.to_string()) && !error.contains("secret"), "{error}");
}

#[test]
fn a_silent_server_is_an_error_with_its_address() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let error = open_unavailable(&config(format!("mongodb://{address}/")));
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn a_wrong_connection_string_is_an_error_without_the_password() {
    for uri in ["", "postgres://ann:secret@host/", "mongodb://ann:secret@host:port/", "mongodb://ann:sec/ret@host/"] {
        let error = MongoDb::open(&config(uri.to_owned())).map(drop).unwrap_err().to_string();
        assert!(
            error.contains("connection string") && !error.contains("secret") && !error.contains("sec/ret"),
            "{uri}: {error}"
        );
    }
}

/// A TCP proxy between a client and the server that can drop the bytes of both.
struct Proxy {
    address: String,
    is_mute: Arc<AtomicBool>,
}

impl Proxy {
    fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_mute = Arc::new(AtomicBool::new(false));
        let (server, mute) = (server.to_owned(), is_mute.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let server = TcpStream::connect(&server).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to, mute) = (from.try_clone().unwrap(), to.try_clone().unwrap(), mute.clone());
                    std::thread::spawn(move || forward(from, to, &mute));
                }
            }
        });
        Self { address, is_mute }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_mute: &AtomicBool) {
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !is_mute.load(Ordering::Acquire) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn calls_to_a_silent_server_end_at_the_timeout() {
    let database = TestDatabase::new();
    let server = database.config.uri.trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
    let proxy = Proxy::new(&server);
    let config = Config {
        uri: format!("mongodb://{}/", proxy.address),
        selection_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        ..database.config.clone()
    };
    let catalog = MongoDb::open(&config).unwrap().catalog();
    assert_eq!(catalog.version().unwrap(), 0);
    proxy.is_mute.store(true, Ordering::Release);
    let begun = Instant::now();
    let error = catalog.version().unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { message, .. } if message.contains(&proxy.address)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The server answers again, and so do the calls.
    proxy.is_mute.store(false, Ordering::Release);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = catalog.version() {
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn data_of_another_format_is_refused() {
    let database = TestDatabase::new();
    drop(database.open());
    let newer = doc! { "$set": { "version": 2 } };
    database.collection("meta").update_one(doc! { "_id": "format" }, newer).run().unwrap();
    let error = MongoDb::open(&database.config).map(drop).unwrap_err().to_string();
    assert!(error.contains("has the data format 2") && error.contains(&database.config.database), "{error}");
}
