//! The in-memory adapters keep the contracts of their ports, as long as nothing goes wrong. The contracts are those of all
//! adapters, beside the stores'.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../stores/tests/contract/mod.rs"]
mod contract;

use std::sync::Arc;

use assay_engine::memory::World;
use assay_engine::ports::Ports;
use assay_engine::ports::series::TimeSeries;
use contract::series::Stored;

/// Runs a check on a world of its own.
fn on_empty_store(check: impl FnOnce(&Ports)) {
    check(&World::default().start_process().ports());
}

/// Runs one function in a process that is killed then, and the other in the next one.
fn across_restart(before: impl FnOnce(&Ports), after: impl FnOnce(&Ports)) {
    let world = World::default();
    let first = world.start_process();
    before(&first.ports());
    world.crash(first.id());
    after(&world.start_process().ports());
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

/// The points of a measurement that a world holds.
fn points(world: &World, measurement: &str) -> Vec<Stored> {
    let stored = world.points(measurement).into_iter();
    stored.map(|point| Stored { time_ns: point.time_ns, tags: point.tags, fields: point.fields }).collect()
}

fn series(world: &World) -> Arc<dyn TimeSeries> {
    world.start_process().ports().series.unwrap()
}

macro_rules! series_contract {
    ($($check:ident),+) => {
        mod series {
            $(
                #[test]
                fn $check() {
                    let world = super::World::default();
                    let read = |measurement: &str| super::points(&world, measurement);
                    super::contract::series::$check(&*super::series(&world), &read);
                }
            )+
        }
    };
}

series_contract!(
    points_come_back,
    what_cannot_be_held_is_left_out,
    repeated_writes_change_nothing,
    events_of_the_same_millisecond_stay_apart
);

#[test]
fn positions_of_series_are_kept_apart() {
    contract::series::positions_are_kept_apart(&*series(&World::default()));
}

#[test]
fn points_are_kept() {
    let world = World::default();
    contract::series::points_written(&*series(&world));
    contract::series::points_kept(&*series(&world), &|measurement| points(&world, measurement));
}
