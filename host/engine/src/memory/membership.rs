//! The membership port, and what a simulation does with the group. Owners are told without a lock, because they call ports.

use std::sync::Arc;
use std::time::Duration;

use assay_core::names::Offset;

use super::client::Client;
use super::group::{Group, Handover, Notice};
use super::world::{ProcessId, World};
use crate::ports::PartitionId;
use crate::ports::membership::{Membership, PartitionOwner};

/// How long an owner has to let go of partitions. Owners of a simulation do so at once.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(30);

fn tell(notices: Vec<Notice>) {
    for notice in notices {
        match notice {
            Notice::Assign(owner, partitions) => owner.assign(partitions),
            Notice::Revoke(owner, partitions) => owner.revoke(partitions, REVOKE_TIMEOUT),
            Notice::Lose(owner, partitions) => owner.lose(partitions),
        }
    }
}

impl World {
    /// Decides something and tells the owners. Where an engine's threads do so at the same time, owners hear of decisions
    /// in the order in which these were made: else one could keep a partition that it has lost, or lose the one it has.
    fn decide(&self, decide: impl FnOnce(&mut Group) -> Vec<Notice>) {
        let _in_order = self.lock_notices();
        let notices = decide(&mut self.lock().group);
        tell(notices);
    }

    /// Shares all partitions out among the processes that are members.
    pub fn rebalance(&self) {
        self.decide(Group::rebalance);
    }

    /// The group has not heard of a process for too long: its partitions go to others, and it is not told. With
    /// `is_noticed` it knows that itself and scores nothing meanwhile, else it goes on as if it had them.
    pub fn expire_session(&self, process: ProcessId, is_noticed: bool) {
        self.decide(|group| {
            group.expire(process, is_noticed);
            group.rebalance()
        });
    }

    /// A process hears of its group again: it loses what others have by now, and is a member.
    pub fn restore_session(&self, process: ProcessId) {
        self.decide(|group| {
            let mut notices = group.restore(process);
            notices.extend(group.rebalance());
            notices
        });
    }

    /// Gives a partition to a process that is a member.
    pub fn hand_over(&self, partition: &PartitionId, to: ProcessId, handover: Handover) {
        self.decide(|group| group.hand_over(partition, to, handover));
    }

    /// The process that has a partition, as the group sees it.
    pub fn owner_of(&self, partition: &PartitionId) -> Option<ProcessId> {
        self.lock().group.owner_of(partition)
    }

    /// How far a partition is saved, as its owners have told the group.
    pub fn saved(&self, partition: &PartitionId) -> Option<Offset> {
        self.lock().group.saved(partition)
    }
}

/// An observer is in no group: its calls change nothing.
impl Membership for Client {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        if let Some(process) = self.process {
            self.world.lock().group.join(process, owner);
        }
    }

    fn set_partitions(&self, partitions: Vec<PartitionId>) {
        if let Some(process) = self.process {
            self.world.decide(|group| {
                group.share(process, partitions);
                group.rebalance()
            });
        }
    }

    fn commit(&self, partition: &PartitionId, events: Offset) {
        self.world.lock().group.note_saved(partition, events);
    }

    fn is_member(&self) -> bool {
        let world = self.world.lock();
        self.process.is_some_and(|process| world.alive.contains(&process) && world.group.is_member(process))
    }

    fn leave(&self) {
        if let Some(process) = self.process {
            self.world.decide(|group| {
                let mut notices = group.leave(process);
                notices.extend(group.rebalance());
                notices
            });
        }
    }
}
