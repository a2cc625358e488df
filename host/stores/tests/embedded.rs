//! The embedded adapters keep the contracts of their ports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

use assay_engine::ports::Ports;
use assay_stores::embedded::{Config, Embedded};

/// Runs a check on a store of its own.
fn on_empty_store(check: impl FnOnce(&Ports)) {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    check(&store.ports());
    store.shutdown().unwrap();
}

/// Runs one function, closes the store, opens it again, and runs the other.
fn across_restart(before: impl FnOnce(&Ports), after: impl FnOnce(&Ports)) {
    let dir = tempfile::tempdir().unwrap();
    before(&Embedded::open(dir.path(), &Config::default()).unwrap().ports());
    after(&Embedded::open(dir.path(), &Config::default()).unwrap().ports());
}

macro_rules! contract {
    ($port:ident: $($check:ident),+; $written:ident then $kept:ident) => {
        mod $port {
            $(
                #[test]
                fn $check() {
                    super::on_empty_store(|ports| super::contract::$port::$check(&*ports.$port));
                }
            )+

            #[test]
            fn $kept() {
                super::across_restart(
                    |ports| super::contract::$port::$written(&*ports.$port),
                    |ports| super::contract::$port::$kept(&*ports.$port),
                );
            }
        }
    };
}

contract!(log:
    streams_are_made_once, offsets_are_given_in_order, reads_begin_exactly_where_asked, reads_respect_limits,
    malformed_records_are_refused, bells_ring_when_there_is_something_to_read, what_was_appended_is_kept,
    appends_from_many_threads_keep_their_order, events_keep_their_schemas, the_oldest_blocks_are_deleted;
    appends_written then appends_kept);
contract!(catalog:
    versions_stay_readable, conflicts_are_refused, nothing_changed_is_no_version, one_commit_wins_each_version,
    every_kind_is_kept_apart, changes_ring;
    definitions_written then definitions_kept);
contract!(state: nothing_is_there_at_first, older_checkpoints_change_nothing; states_written then states_kept);
contract!(profiles: newer_verdicts_win, what_an_older_revision_says_comes_too_late, repeated_writes_change_nothing,
    the_highest_scores_are_listed;
    profiles_written then profiles_kept);
contract!(graph:
    edges_are_found_from_both_ends, the_latest_edge_stays, the_order_of_equally_late_edges_does_not_matter;
    edges_written then edges_kept);
contract!(dead_letters: letters_are_listed, repeated_writes_change_nothing; letters_written then letters_kept);

#[test]
fn deleted_blocks_stay_deleted() {
    across_restart(
        |ports| contract::log::blocks_deleted(&*ports.log),
        |ports| contract::log::deleted_blocks_stay_deleted(&*ports.log),
    );
}

mod archive {
    use super::contract::archive;
    use super::{across_restart, on_empty_store};

    #[test]
    fn histories_are_paged_newest_first() {
        on_empty_store(|ports| archive::histories_are_paged_newest_first(&*ports.archive, &*ports.log));
    }

    #[test]
    fn events_are_found_by_id() {
        on_empty_store(|ports| archive::events_are_found_by_id(&*ports.archive, &*ports.log));
    }

    #[test]
    fn repeated_writes_change_nothing() {
        on_empty_store(|ports| archive::repeated_writes_change_nothing(&*ports.archive, &*ports.log));
    }

    #[test]
    fn outcomes_are_found() {
        on_empty_store(|ports| archive::outcomes_are_found(&*ports.archive, &*ports.log));
    }

    #[test]
    fn what_the_log_deletes_is_not_found() {
        on_empty_store(|ports| archive::what_the_log_deletes_is_not_found(&*ports.archive, &*ports.log));
    }

    #[test]
    fn readers_see_whole_histories() {
        on_empty_store(|ports| archive::readers_see_whole_histories(ports.archive.clone(), &*ports.log));
    }

    #[test]
    fn events_kept() {
        across_restart(
            |ports| archive::events_written(&*ports.archive, &*ports.log),
            |ports| archive::events_kept(&*ports.archive, &*ports.log),
        );
    }
}
