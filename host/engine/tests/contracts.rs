//! The in-memory adapters keep the contracts of their ports, as long as nothing goes wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use assay_contract as contract;

use assay_contract::series::StoredPoint;
use assay_engine::memory::World;
use assay_engine::ports::Ports;
use assay_engine::ports::series::TimeSeries;

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
    streams_are_created_once, offsets_are_assigned_in_order, reads_begin_at_the_requested_offset, reads_respect_limits,
    malformed_records_are_refused, subscribers_are_notified_of_readable_records, records_are_kept_without_retention,
    appends_from_many_threads_keep_their_order, events_keep_their_schemas, retention_deletes_the_oldest_blocks;
    append_before_reopen then appends_survive_reopen);
contract!(catalog:
    versions_stay_readable, conflicts_are_refused, empty_commits_make_no_version, one_commit_wins_each_version,
    every_kind_is_kept_apart, damaged_definitions_are_kept, subscribers_are_notified_of_changes;
    write_definitions_before_reopen then definitions_survive_reopen);
contract!(state: new_partitions_are_empty, older_checkpoints_change_nothing; save_states_before_reopen then states_survive_reopen);
contract!(profiles: newer_verdicts_win, verdicts_of_older_revisions_are_ignored, repeated_writes_change_nothing,
    the_highest_scores_are_listed;
    write_profiles_before_reopen then profiles_survive_reopen);
contract!(graph:
    edges_are_found_from_both_ends, the_latest_edge_stays, the_order_of_equally_late_edges_does_not_matter;
    write_edges_before_reopen then edges_survive_reopen);
contract!(dead_letters:
    letters_are_listed, repeated_writes_change_nothing, each_sink_has_its_own_letter;
    write_letters_before_reopen then letters_survive_reopen);

#[test]
fn deleted_blocks_stay_deleted() {
    across_restart(
        |ports| contract::log::delete_blocks_before_reopen(&*ports.log),
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
    fn deleted_records_are_not_found() {
        on_empty_store(|ports| archive::deleted_records_are_not_found(&*ports.archive, &*ports.log));
    }

    #[test]
    fn readers_see_whole_histories() {
        on_empty_store(|ports| archive::readers_see_whole_histories(ports.archive.clone(), &*ports.log));
    }

    #[test]
    fn events_survive_reopen() {
        across_restart(
            |ports| archive::write_events_before_reopen(&*ports.archive, &*ports.log),
            |ports| archive::events_survive_reopen(&*ports.archive, &*ports.log),
        );
    }
}

/// The points of a measurement that a world holds.
fn points(world: &World, measurement: &str) -> Vec<StoredPoint> {
    let stored = world.points(measurement).into_iter();
    stored.map(|point| StoredPoint { time_ns: point.time_ns, tags: point.tags, fields: point.fields }).collect()
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
    points_round_trip,
    unstorable_values_are_left_out,
    repeated_writes_change_nothing,
    events_of_the_same_millisecond_stay_apart
);

#[test]
fn positions_of_series_are_kept_apart() {
    contract::series::positions_are_kept_apart(&*series(&World::default()));
}

#[test]
fn points_survive_reopen() {
    let world = World::default();
    contract::series::write_points_before_reopen(&*series(&world));
    contract::series::points_survive_reopen(&*series(&world), &|measurement| points(&world, measurement));
}
