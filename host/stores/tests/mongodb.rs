//! The MongoDB adapters keep the contracts of their ports, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "mongodb/clients.rs"]
mod clients;
#[allow(dead_code, reason = "the contracts of ports that MongoDB does not have")]
mod contract;
#[path = "mongodb/outages.rs"]
mod outages;
#[path = "mongodb/stored.rs"]
mod stored;
#[path = "mongodb/submissions.rs"]
mod submissions;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use ::mongodb::bson::{Document, doc};
use assay_stores::mongodb::{Config, MongoDb};

/// A database of its own on the server that the tests are given, dropped at the end.
struct Fresh {
    config: Config,
}

impl Fresh {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let database = format!("assay_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { config: Config { uri: server(), database, ..Config::default() } }
    }

    /// Another client of it.
    fn open(&self) -> MongoDb {
        MongoDb::open(&self.config).unwrap()
    }

    /// The database as those see it who come with a client of their own.
    fn raw(&self) -> ::mongodb::sync::Database {
        ::mongodb::sync::Client::with_uri_str(&self.config.uri).unwrap().database(&self.config.database)
    }

    /// What those hold who write the same documents at the same time. FerretDB, unlike MongoDB, changes a document in
    /// two steps, so there they have to take turns.
    fn turns(&self) -> Turns {
        let told = self.raw().run_command(doc! { "buildInfo": 1 }).run().unwrap();
        Turns(told.contains_key("ferretdbVersion").then(Mutex::default))
    }

    /// A collection, as those see it.
    fn collection(&self, name: &str) -> ::mongodb::sync::Collection<Document> {
        self.raw().collection(name)
    }
}

/// See [`Fresh::turns`].
struct Turns(Option<Mutex<()>>);

impl Turns {
    fn take(&self) -> Option<MutexGuard<'_, ()>> {
        self.0.as_ref().map(|turns| turns.lock().unwrap())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Err(error) = self.raw().drop().run() {
            eprintln!("the database {} stays: {error}", self.config.database);
        }
    }
}

fn server() -> String {
    std::env::var("ASSAY_TEST_MONGODB").expect(
        "these tests need a MongoDB server: `cargo xtask test --servers` has one, or name one in ASSAY_TEST_MONGODB",
    )
}

macro_rules! contract {
    ($port:ident: $($check:ident),+; $written:ident then $kept:ident) => {
        mod $port {
            $(
                #[test]
                #[ignore = "needs servers: cargo xtask test --servers"]
                fn $check() {
                    let fresh = super::Fresh::new();
                    super::contract::$port::$check(&*fresh.open().$port());
                }
            )+

            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $kept() {
                let fresh = super::Fresh::new();
                super::contract::$port::$written(&*fresh.open().$port());
                super::contract::$port::$kept(&*fresh.open().$port());
            }
        }
    };
}

contract!(catalog:
    versions_stay_readable, conflicts_are_refused, nothing_changed_is_no_version, one_commit_wins_each_version,
    every_kind_is_kept_apart, changes_ring;
    definitions_written then definitions_kept);
contract!(profiles: newer_verdicts_win, what_an_older_revision_says_comes_too_late, repeated_writes_change_nothing,
    the_highest_scores_are_listed;
    profiles_written then profiles_kept);
contract!(dead_letters: letters_are_listed, repeated_writes_change_nothing; letters_written then letters_kept);
