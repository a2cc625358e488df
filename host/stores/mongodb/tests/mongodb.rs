//! Tests of the MongoDB adapters on a real server: the contracts of their ports, and the modules below.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "mongodb/clients.rs"]
mod clients;
use assay_contract as contract;
#[path = "mongodb/outages.rs"]
mod outages;
#[path = "mongodb/stored.rs"]
mod stored;
#[path = "mongodb/submissions.rs"]
mod submissions;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use ::mongodb::bson::{Document, doc};
use assay_mongodb::{Config, MongoDb};

/// A new database on the test server, dropped at the end.
struct TestDatabase {
    config: Config,
}

impl TestDatabase {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let database = format!("assay_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { config: Config { uri: server(), database, ..Config::default() } }
    }

    /// Opens another client of the database.
    fn open(&self) -> MongoDb {
        MongoDb::open(&self.config).unwrap()
    }

    /// The database through the plain driver, as other programs see it.
    fn raw(&self) -> ::mongodb::sync::Database {
        ::mongodb::sync::Client::with_uri_str(&self.config.uri).unwrap().database(&self.config.database)
    }

    /// The lock of concurrent writers of the same documents. FerretDB, unlike MongoDB, does not update a document
    /// atomically, so its writers are serialized.
    fn writer_lock(&self) -> WriterLock {
        let build_info = self.raw().run_command(doc! { "buildInfo": 1 }).run().unwrap();
        WriterLock(build_info.contains_key("ferretdbVersion").then(Mutex::default))
    }

    /// A collection through the plain driver.
    fn collection(&self, name: &str) -> ::mongodb::sync::Collection<Document> {
        self.raw().collection(name)
    }
}

/// See [`TestDatabase::writer_lock`].
struct WriterLock(Option<Mutex<()>>);

impl WriterLock {
    fn lock(&self) -> Option<MutexGuard<'_, ()>> {
        self.0.as_ref().map(|lock| lock.lock().unwrap())
    }
}

impl Drop for TestDatabase {
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
                    let database = super::TestDatabase::new();
                    super::contract::$port::$check(&*database.open().$port());
                }
            )+

            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $kept() {
                let database = super::TestDatabase::new();
                super::contract::$port::$written(&*database.open().$port());
                super::contract::$port::$kept(&*database.open().$port());
            }
        }
    };
}

contract!(catalog:
    versions_stay_readable, conflicts_are_refused, empty_commits_make_no_version, one_commit_wins_each_version,
    every_kind_is_kept_apart, damaged_definitions_are_kept, subscribers_are_notified_of_changes;
    write_definitions_before_reopen then definitions_survive_reopen);
contract!(profiles: newer_verdicts_win, verdicts_of_older_revisions_are_ignored, repeated_writes_change_nothing,
    the_highest_scores_are_listed;
    write_profiles_before_reopen then profiles_survive_reopen);
contract!(dead_letters:
    letters_are_listed, repeated_writes_change_nothing, each_sink_has_its_own_letter;
    write_letters_before_reopen then letters_survive_reopen);
