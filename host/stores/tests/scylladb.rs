//! The adapters on ScyllaDB keep the contracts of their ports, and what only they promise. Needs a server that speaks
//! CQL, whose address is in `ASSAY_TEST_CASSANDRA`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[allow(dead_code, reason = "only state and archive are used here")]
mod contract;

use std::sync::atomic::{AtomicU32, Ordering};

use assay_core::names::Offset;
use assay_engine::ports::log::Log;
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_stores::embedded::{Config as EmbeddedConfig, Embedded};
use assay_stores::scylladb::{Config, ScyllaDb};
use contract::payments;
use scylla::client::session_builder::SessionBuilder;

/// A keyspace of a test's own; dropped with this.
struct Keyspace {
    config: Config,
}

impl Keyspace {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let node = std::env::var("ASSAY_TEST_CASSANDRA")
            .expect("ASSAY_TEST_CASSANDRA names no server: run cargo xtask test --servers");
        let keyspace = format!("assay_test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self { config: Config { nodes: vec![node], keyspace, replication_factor: 1, ..Config::default() } }
    }

    fn open(&self) -> ScyllaDb {
        ScyllaDb::open(&self.config).unwrap()
    }

    /// Executes statements; `{}` stands for the keyspace. Gives the number of rows of the last answer.
    fn execute(&self, statements: &[&str]) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = SessionBuilder::new().known_nodes(&self.config.nodes).build().await.unwrap();
            let mut rows = 0;
            for statement in statements {
                let answer = session.query_unpaged(statement.replace("{}", &self.config.keyspace), ()).await.unwrap();
                rows = answer.into_rows_result().map_or(0, |rows| rows.rows_num());
            }
            rows
        })
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        self.execute(&["DROP KEYSPACE IF EXISTS {}"]);
    }
}

/// Runs a check on an archive of its own, with a log beside it.
fn on_empty_archive(check: impl FnOnce(&ScyllaDb, &dyn Log)) {
    let keyspace = Keyspace::new();
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(dir.path(), &EmbeddedConfig::default()).unwrap();
    check(&keyspace.open(), &*log.ports().log);
}

macro_rules! needs_servers {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)+) => {
        $(
            $(#[$meta])*
            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $name() $body
        )+
    };
}

mod state {
    use super::contract::state;
    use super::*;

    fn save(state: &dyn StateStore, (events, catalog): (u64, u64), rows: &[(&str, &str)]) {
        let checkpoint = Checkpoint { events: Offset(events), verdicts: Offset(events), catalog };
        let rows =
            rows.iter().map(|(key, state)| StateRow { key: (*key).to_owned(), state: state.as_bytes().to_vec() });
        state.save(&payments(0), checkpoint, &rows.collect::<Vec<_>>()).unwrap();
    }

    fn loaded(state: &dyn StateStore, key: &str) -> String {
        String::from_utf8(state.load(&payments(0), &[key]).unwrap().remove(0).unwrap()).unwrap()
    }

    needs_servers! {
        fn nothing_is_there_at_first() {
            state::nothing_is_there_at_first(&*Keyspace::new().open().state());
        }

        fn states_kept() {
            let keyspace = Keyspace::new();
            state::states_written(&*keyspace.open().state());
            state::states_kept(&*keyspace.open().state());
        }

        fn an_older_owner_never_overwrites_a_newer_one() {
            let keyspace = Keyspace::new();
            let (newer, older) = (keyspace.open().state(), keyspace.open().state());
            save(&*newer, (200, 3), &[("a", "at 200"), ("b", "at 200")]);
            save(&*older, (150, 3), &[("a", "at 150"), ("c", "at 150")]);
            assert_eq!((loaded(&*newer, "a"), loaded(&*newer, "b")), ("at 200".to_owned(), "at 200".to_owned()));
            // What the newer owner has not touched is as old as it is: its row says so itself.
            assert_eq!(loaded(&*newer, "c"), "at 150");
            let expected = Checkpoint { events: Offset(200), verdicts: Offset(200), catalog: 3 };
            assert_eq!(newer.checkpoint(&payments(0)).unwrap(), Some(expected));
            save(&*newer, (201, 3), &[("a", "at 201")]);
            assert_eq!(loaded(&*older, "a"), "at 201");
        }

        fn of_equally_old_rows_those_of_the_newer_catalog_stay() {
            let keyspace = Keyspace::new();
            let state = keyspace.open().state();
            // The states themselves are in the order that would win if nothing but their bytes were compared.
            save(&*state, (0, 255), &[("a", "zz")]);
            save(&*state, (0, 256), &[("a", "aa")]);
            assert_eq!(loaded(&*state, "a"), "aa");
            assert_eq!(state.checkpoint(&payments(0)).unwrap().unwrap().catalog, 256);
            save(&*state, (0, 255), &[("a", "zz")]);
            assert_eq!(loaded(&*state, "a"), "aa");
            assert_eq!(state.checkpoint(&payments(0)).unwrap().unwrap().catalog, 256);
        }

        fn a_new_incarnation_begins_with_nothing() {
            let keyspace = Keyspace::new();
            save(&*keyspace.open().state(), (100, 1), &[("a", "first life")]);
            let second = ScyllaDb::open(&Config { incarnation: 1, ..keyspace.config.clone() }).unwrap().state();
            assert_eq!(second.checkpoint(&payments(0)).unwrap(), None);
            save(&*second, (1, 1), &[("a", "second life")]);
            assert_eq!(loaded(&*second, "a"), "second life");
            assert_eq!(loaded(&*keyspace.open().state(), "a"), "first life");
        }

        fn many_rows_are_saved_and_loaded() {
            let keyspace = Keyspace::new();
            let state = keyspace.open().state();
            let keys: Vec<String> = (0..3000).map(|i| format!("card-{i}")).collect();
            let rows: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
            save(&*state, (3000, 1), &rows);
            let asked: Vec<&str> = rows.iter().rev().map(|row| row.0).collect();
            let found = state.load(&payments(0), &asked).unwrap();
            assert!(asked.iter().zip(&found).all(|(key, state)| state.as_deref() == Some(key.as_bytes())));
        }
    }
}

mod archive {
    use super::contract::archive;
    use super::*;

    needs_servers! {
        fn histories_are_paged_newest_first() {
            on_empty_archive(|db, log| archive::histories_are_paged_newest_first(&*db.archive(), log));
        }

        fn events_are_found_by_id() {
            on_empty_archive(|db, log| archive::events_are_found_by_id(&*db.archive(), log));
        }

        fn repeated_writes_change_nothing() {
            on_empty_archive(|db, log| archive::repeated_writes_change_nothing(&*db.archive(), log));
        }

        fn outcomes_are_found() {
            on_empty_archive(|db, log| archive::outcomes_are_found(&*db.archive(), log));
        }

        fn readers_see_whole_histories() {
            on_empty_archive(|db, log| archive::readers_see_whole_histories(db.archive(), log));
        }

        fn events_kept() {
            let keyspace = Keyspace::new();
            let dir = tempfile::tempdir().unwrap();
            let log = Embedded::open(dir.path(), &EmbeddedConfig::default()).unwrap();
            archive::events_written(&*keyspace.open().archive(), &*log.ports().log);
            archive::events_kept(&*keyspace.open().archive(), &*log.ports().log);
        }
    }
}
