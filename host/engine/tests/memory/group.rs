//! Who is told of partitions, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_engine::memory::{Handover, Process, World};
use assay_engine::ports::PartitionId;
use assay_engine::ports::membership::PartitionOwner;

use crate::appenders::partition;

/// An owner that notes what it is told, and calls a port meanwhile, as the engine does.
struct Noting {
    process: Process,
    told: Mutex<Vec<String>>,
}

impl Noting {
    fn join(world: &World) -> Arc<Self> {
        let noting = Arc::new(Self { process: world.start_process(), told: Mutex::default() });
        noting.process.ports().membership.join(noting.clone());
        noting
    }

    fn share(&self) {
        self.process.ports().membership.set_partitions((0..4).map(partition).collect());
    }

    fn is_member(&self) -> bool {
        self.process.ports().membership.is_member()
    }

    fn note(&self, what: &str, partitions: &[PartitionId]) {
        let numbers: Vec<String> = partitions.iter().map(|one| one.partition.to_string()).collect();
        self.process.ports().state.checkpoint(&partition(0)).unwrap();
        self.told.lock().unwrap().push(format!("{what} {}", numbers.join(" ")));
    }

    /// What it was told since the last call.
    fn told(&self) -> String {
        std::mem::take(&mut *self.told.lock().unwrap()).join(", ")
    }
}

impl PartitionOwner for Noting {
    fn assign(&self, partitions: Vec<PartitionId>) {
        self.note("assign", &partitions);
    }

    fn revoke(&self, partitions: Vec<PartitionId>, _: Duration) {
        self.note("revoke", &partitions);
    }

    fn lose(&self, partitions: Vec<PartitionId>) {
        self.note("lose", &partitions);
    }
}

#[test]
fn partitions_are_shared_out_and_go_on_when_a_process_leaves() {
    let world = World::default();
    let (first, second) = (Noting::join(&world), Noting::join(&world));
    first.share();
    assert_eq!(first.told(), "assign 0 1 2 3");
    second.share();
    assert_eq!((first.told(), second.told()), ("revoke 0, revoke 1".to_owned(), "assign 0 1".to_owned()));
    first.process.ports().membership.set_partitions(vec![partition(2)]);
    assert_eq!((first.told(), second.told()), ("lose 3".to_owned(), "assign 3".to_owned()));
    first.process.ports().membership.leave();
    assert_eq!((first.told(), second.told()), ("revoke 2".to_owned(), "assign 2".to_owned()));
    assert!(!first.is_member() && second.is_member());
    world.crash(second.process.id());
    assert!(!second.is_member());
}

#[test]
fn a_process_that_is_not_told_goes_on_until_its_session_is_restored() {
    let world = World::default();
    let (first, second) = (Noting::join(&world), Noting::join(&world));
    first.share();
    second.share();
    drop((first.told(), second.told()));
    world.expire_session(first.process.id(), false);
    assert_eq!((first.told(), second.told()), (String::new(), "assign 2 3".to_owned()));
    assert!(first.is_member(), "as far as it knows");
    world.restore_session(first.process.id());
    assert_eq!((first.told(), second.told()), ("lose 2 3, assign 0 1".to_owned(), "revoke 0, revoke 1".to_owned()));
    world.expire_session(second.process.id(), true);
    assert!(!second.is_member());
    assert_eq!(first.told(), "assign 2 3");
    world.restore_session(second.process.id());
    assert!(second.is_member());
    assert_eq!(second.told(), "lose 2 3, assign 0 1");
    drop(first.told());

    let (first_id, second_id) = (first.process.id(), second.process.id());
    for (handover, told) in [(Handover::Revoked, "revoke 2"), (Handover::Lost, "lose 2"), (Handover::Unnoticed, "")] {
        world.hand_over(&partition(2), second_id, handover);
        assert_eq!((first.told(), second.told()), (told.to_owned(), "assign 2".to_owned()));
        assert_eq!(world.owner_of(&partition(2)), Some(second_id));
        world.hand_over(&partition(2), first_id, Handover::Lost);
        let again = if told.is_empty() { "lose 2, assign 2" } else { "assign 2" };
        assert_eq!((first.told(), second.told()), (again.to_owned(), "lose 2".to_owned()));
    }
}

#[test]
fn a_process_that_has_crashed_keeps_its_partitions_until_its_session_expires() {
    let world = World::default();
    let (first, second) = (Noting::join(&world), Noting::join(&world));
    first.share();
    second.share();
    drop((first.told(), second.told()));
    world.crash(first.process.id());
    world.rebalance();
    assert_eq!(world.owner_of(&partition(2)), Some(first.process.id()));
    world.expire_session(first.process.id(), false);
    assert_eq!((first.told(), second.told()), (String::new(), "assign 2 3".to_owned()));
}
