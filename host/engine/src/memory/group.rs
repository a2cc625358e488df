//! The group: which process has which partitions. It decides; whoever drives the simulation lets the decisions be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_core::names::Offset;

use super::world::ProcessId;
use crate::ports::PartitionId;
use crate::ports::membership::PartitionOwner;

/// How a partition goes from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The process that has it saves it and lets go before the other one has it.
    Revoked,
    /// The process that has it is told that it has lost it.
    Lost,
    /// The process that has it does not hear of it and goes on, until its session is restored.
    Unnoticed,
}

/// What a process is told.
pub(super) enum Notice {
    Assign(Arc<dyn PartitionOwner>, Vec<PartitionId>),
    Revoke(Arc<dyn PartitionOwner>, Vec<PartitionId>),
    Lose(Arc<dyn PartitionOwner>, Vec<PartitionId>),
}

/// The processes of a group.
#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<ProcessId, Member>,
    owners: BTreeMap<PartitionId, ProcessId>,
    /// How often each partition was given to a process.
    assignments: BTreeMap<PartitionId, u64>,
    /// The assignment that each process has heard of last.
    heard: BTreeMap<(ProcessId, PartitionId), u64>,
    /// How far each partition is saved, as the processes have told.
    saved: BTreeMap<PartitionId, Offset>,
}

struct Member {
    /// None: it has crashed.
    owner: Option<Arc<dyn PartitionOwner>>,
    /// The partitions that it knows of.
    shares: BTreeSet<PartitionId>,
    session: Session,
    /// Partitions that others have, and of which it does not know that.
    unnoticed: BTreeSet<PartitionId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Live,
    /// The group has given its partitions to others. It does not know yet.
    Expired,
    /// It knows that it has not heard of the group for too long.
    Noticed,
}

impl Group {
    pub(super) fn join(&mut self, process: ProcessId, owner: Arc<dyn PartitionOwner>) {
        let (shares, unnoticed) = (BTreeSet::new(), BTreeSet::new());
        self.members.insert(process, Member { owner: Some(owner), shares, session: Session::Live, unnoticed });
    }

    pub(super) fn share(&mut self, process: ProcessId, partitions: Vec<PartitionId>) {
        if let Some(member) = self.members.get_mut(&process) {
            member.shares = partitions.into_iter().collect();
        }
    }

    pub(super) fn note_saved(&mut self, partition: &PartitionId, events: Offset) {
        self.saved.insert(partition.clone(), events);
    }

    pub(super) fn saved(&self, partition: &PartitionId) -> Option<Offset> {
        self.saved.get(partition).copied()
    }

    pub(super) fn is_member(&self, process: ProcessId) -> bool {
        self.members.get(&process).is_some_and(|member| member.session != Session::Noticed)
    }

    pub(super) fn owner_of(&self, partition: &PartitionId) -> Option<ProcessId> {
        self.owners.get(partition).copied()
    }

    fn set_owner(&mut self, partition: &PartitionId, process: ProcessId) {
        self.owners.insert(partition.clone(), process);
        *self.assignments.entry(partition.clone()).or_default() += 1;
    }

    /// A process has heard that it has partitions, or that it has not.
    pub(super) fn note_heard(&mut self, process: ProcessId, partitions: &[PartitionId], is_assigned: bool) {
        for partition in partitions {
            let heard = (process, partition.clone());
            match self.assignments.get(partition).filter(|_| is_assigned) {
                Some(assignment) => drop(self.heard.insert(heard, *assignment)),
                None => drop(self.heard.remove(&heard)),
            }
        }
    }

    /// The assignment of a partition that a process has heard of last, as long as it is the one that holds.
    pub(super) fn current_assignment(&self, process: ProcessId, partition: &PartitionId) -> Option<u64> {
        let heard = self.heard.get(&(process, partition.clone())).copied();
        heard
            .filter(|heard| self.owner_of(partition) == Some(process) && self.assignments.get(partition) == Some(heard))
    }

    /// A process has crashed. Its session goes on until it expires.
    pub(super) fn forget_owner(&mut self, process: ProcessId) -> Option<Arc<dyn PartitionOwner>> {
        self.members.get_mut(&process)?.owner.take()
    }

    /// A process has not been heard for too long: it has no partition any more.
    pub(super) fn expire(&mut self, process: ProcessId, is_noticed: bool) {
        let Some(member) = self.members.get_mut(&process) else { return };
        member.session = if is_noticed { Session::Noticed } else { Session::Expired };
        member
            .unnoticed
            .extend(self.owners.iter().filter(|(_, owner)| **owner == process).map(|(partition, _)| partition.clone()));
        self.owners.retain(|_, owner| *owner != process);
        if member.owner.is_none() {
            self.members.remove(&process);
        }
    }

    /// A process hears of the group again: of what it has lost, and that it is a member.
    pub(super) fn restore(&mut self, process: ProcessId) -> Vec<Notice> {
        let Some(member) = self.members.get_mut(&process) else { return Vec::new() };
        member.session = Session::Live;
        let lost: Vec<PartitionId> = std::mem::take(&mut member.unnoticed).into_iter().collect();
        let owner = member.owner.clone().filter(|_| !lost.is_empty());
        owner.map(|owner| Notice::Lose(owner, lost)).into_iter().collect()
    }

    /// A process leaves: it gives back what it has, after which it is told nothing.
    pub(super) fn leave(&mut self, process: ProcessId) -> Vec<Notice> {
        let Some(Member { owner: Some(owner), .. }) = self.members.remove(&process) else { return Vec::new() };
        let own = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == process)
            .map(|(partition, _)| partition.clone())
            .collect();
        self.owners.retain(|_, owner| *owner != process);
        vec![Notice::Revoke(owner, own)]
    }

    /// Gives a partition to a process.
    pub(super) fn hand_over(&mut self, partition: &PartitionId, to: ProcessId, handover: Handover) -> Vec<Notice> {
        let mut notices = Vec::new();
        let from = self.owners.get(partition).copied();
        if from == Some(to) || !self.members.contains_key(&to) {
            return notices;
        }
        if let Some(from) = from.and_then(|from| self.members.get_mut(&from)) {
            match (handover, &from.owner) {
                (Handover::Unnoticed, _) | (_, None) => drop(from.unnoticed.insert(partition.clone())),
                (Handover::Revoked, Some(owner)) => {
                    notices.push(Notice::Revoke(owner.clone(), vec![partition.clone()]))
                }
                (Handover::Lost, Some(owner)) => notices.push(Notice::Lose(owner.clone(), vec![partition.clone()])),
            }
        }
        self.set_owner(partition, to);
        notices.extend(self.assign(to, vec![partition.clone()]));
        notices
    }

    fn assign(&mut self, process: ProcessId, partitions: Vec<PartitionId>) -> Vec<Notice> {
        let Some(member) = self.members.get_mut(&process) else { return Vec::new() };
        // What it still has in its own view it loses before it gets it back: another process may have gone on with it.
        let lost: Vec<PartitionId> =
            partitions.iter().filter(|partition| member.unnoticed.remove(*partition)).cloned().collect();
        let Some(owner) = member.owner.clone() else { return Vec::new() };
        let lose = (!lost.is_empty()).then(|| Notice::Lose(owner.clone(), lost));
        lose.into_iter().chain([Notice::Assign(owner, partitions)]).collect()
    }

    /// Shares all partitions out: who has one keeps it, unless another process has two fewer.
    pub(super) fn rebalance(&mut self) -> Vec<Notice> {
        let mut notices = self.drop_unshared();
        let mut given: BTreeMap<ProcessId, Vec<PartitionId>> = BTreeMap::new();
        let live = self.members.values().filter(|member| member.is_live());
        let all: BTreeSet<PartitionId> = live.flat_map(|member| member.shares.iter().cloned()).collect();
        for partition in
            all.iter().filter(|partition| !self.owners.contains_key(*partition)).cloned().collect::<Vec<_>>()
        {
            if let Some(process) = self.least_loaded(&partition) {
                self.set_owner(&partition, process);
                given.entry(process).or_default().push(partition);
            }
        }
        while let Some((partition, from, to)) = self.find_imbalance() {
            self.set_owner(&partition, to);
            let is_new = given.get_mut(&from).is_some_and(|own| {
                let had = own.len();
                own.retain(|one| *one != partition);
                own.len() < had
            });
            let owner = self.members.get(&from).and_then(|member| member.owner.clone());
            if let Some(owner) = owner.filter(|_| !is_new) {
                notices.push(Notice::Revoke(owner, vec![partition.clone()]));
            }
            given.entry(to).or_default().push(partition);
        }
        for (process, partitions) in given.into_iter().filter(|(_, partitions)| !partitions.is_empty()) {
            notices.extend(self.assign(process, partitions));
        }
        notices
    }

    /// Takes partitions from processes that do not know of them any more: their stream is gone.
    fn drop_unshared(&mut self) -> Vec<Notice> {
        let mut dropped: BTreeMap<ProcessId, Vec<PartitionId>> = BTreeMap::new();
        let members = &self.members;
        self.owners.retain(|partition, process| {
            let member = members.get(process);
            let is_shared = member.is_some_and(|member| member.shares.contains(partition));
            if !is_shared {
                dropped.entry(*process).or_default().push(partition.clone());
            }
            is_shared
        });
        let owner_of = |process: ProcessId| members.get(&process).and_then(|member| member.owner.clone());
        dropped.into_iter().filter_map(|(process, gone)| Some(Notice::Lose(owner_of(process)?, gone))).collect()
    }

    fn load(&self, process: ProcessId) -> usize {
        self.owners.values().filter(|owner| **owner == process).count()
    }

    fn least_loaded(&self, partition: &PartitionId) -> Option<ProcessId> {
        let can_have = self.members.iter().filter(|(_, member)| member.is_live() && member.shares.contains(partition));
        can_have.map(|(process, _)| *process).min_by_key(|process| self.load(*process))
    }

    /// A partition whose process has at least two more than another one that could have it.
    fn find_imbalance(&self) -> Option<(PartitionId, ProcessId, ProcessId)> {
        // A process that has crashed keeps what it has until its session expires.
        let is_live = |process| self.members.get(process).is_some_and(Member::is_live);
        self.owners.iter().filter(|(_, from)| is_live(*from)).find_map(|(partition, from)| {
            let to = self.least_loaded(partition)?;
            (self.load(*from) > self.load(to) + 1).then(|| (partition.clone(), *from, to))
        })
    }
}

impl Member {
    fn is_live(&self) -> bool {
        self.session == Session::Live && self.owner.is_some()
    }
}
