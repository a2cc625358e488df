//! What happens to processes and stores while they work.

use std::collections::BTreeMap;

use super::driver::{Counts, Simulation};
use super::process::SimulatedProcess;
use crate::memory::{FaultRates, Handover, Port};
use crate::ports::PartitionId;

/// The stores that may not answer for a while.
const STORES: [Port; 11] = [
    Port::Log,
    Port::State,
    Port::Catalog,
    Port::Archive,
    Port::Profiles,
    Port::Graph,
    Port::DeadLetters,
    Port::Series,
    Port::Outbox,
    Port::Buckets,
    Port::State,
];

impl Simulation {
    /// Disturbs something, drawn by the seed.
    pub(super) fn disturb(&self) {
        let what = self.below(16);
        self.note(what);
        match what {
            0 | 1 => self.crash_one(),
            2 if self.below(4) == 0 => self.cut_power(),
            3..=5 => self.start_missing(),
            6 | 7 => self.hand_over(),
            8 => self.expire_one(),
            9 | 10 => self.restore_all(),
            11 | 12 => self.toggle_outage(),
            _ => self.expire_crashed(),
        }
    }

    fn draw_process(&self) -> Option<std::rc::Rc<SimulatedProcess>> {
        let alive = self.alive();
        if alive.is_empty() { None } else { Some(alive[self.index(alive.len())].clone()) }
    }

    fn crash_one(&self) {
        let Some(process) = self.draw_process() else { return };
        self.counts.borrow_mut().crashes += 1;
        process.stop();
        self.world().crash(process.id);
        self.crashed.borrow_mut().push(process.id);
        self.processes.borrow_mut().retain(|other| other.id != process.id);
    }

    fn cut_power(&self) {
        self.counts.borrow_mut().power_cuts += 1;
        self.processes.borrow_mut().drain(..).for_each(|process| process.stop());
        self.world().cut_power();
        self.crashed.borrow_mut().clear();
        self.cut_order_barriers();
    }

    /// Starts a process if there are too few. A start that fails is tried again later.
    pub(super) fn start_missing(&self) {
        if self.alive().len() < self.scenario.processes
            && let Ok(process) = SimulatedProcess::start(&self.scenario, &self.settings)
        {
            self.processes.borrow_mut().push(process);
        }
    }

    fn hand_over(&self) {
        let Some(process) = self.draw_process() else { return };
        let partitions: Vec<PartitionId> = process.engine.catalog().plan().partitions().collect();
        if partitions.is_empty() {
            return;
        }
        self.counts.borrow_mut().handovers += 1;
        let how = [Handover::Revoked, Handover::Lost, Handover::Unnoticed][self.index(3)];
        let partition = &partitions[self.index(partitions.len())];
        self.world().hand_over(partition, process.id, how);
    }

    fn expire_one(&self) {
        let Some(process) = self.draw_process() else { return };
        self.counts.borrow_mut().expired_sessions += 1;
        self.world().expire_session(process.id, self.below(2) == 0);
    }

    /// All processes hear of their group again.
    pub(super) fn restore_all(&self) {
        self.alive().iter().for_each(|process| self.world().restore_session(process.id));
    }

    /// The sessions of processes that have crashed expire.
    pub(super) fn expire_crashed(&self) {
        let crashed = std::mem::take(&mut *self.crashed.borrow_mut());
        crashed.into_iter().for_each(|process| self.world().expire_session(process, false));
    }

    fn toggle_outage(&self) {
        self.counts.borrow_mut().outages += 1;
        let port = STORES[self.index(STORES.len())];
        // Most of the time most stores answer.
        let is_out = self.below(3) == 0;
        STORES.iter().for_each(|port| self.world().set_outage(*port, false));
        self.world().set_outage(port, is_out);
    }

    /// From now on nothing goes wrong, and everybody hears of the group.
    pub(super) fn calm_down(&self) {
        self.is_calm.set(true);
        self.world().set_rates(FaultRates::NONE);
        STORES.iter().for_each(|port| self.world().set_outage(*port, false));
        self.expire_crashed();
        if self.alive().is_empty() {
            self.start_missing();
        }
        self.restore_all();
    }

    /// Things go wrong again.
    pub(super) fn stir_up(&self) {
        self.is_calm.set(false);
        self.world().set_rates(self.scenario.rates);
    }
}

/// Disturbances by name.
pub(super) fn named(counts: &Counts) -> BTreeMap<&'static str, u64> {
    [
        ("crashes", counts.crashes),
        ("power cuts", counts.power_cuts),
        ("handovers", counts.handovers),
        ("expired sessions", counts.expired_sessions),
        ("outages", counts.outages),
        ("catalog changes", counts.changes),
    ]
    .into()
}
