//! A worker as others see it: started, asked, interrupted, joined.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use assay_runtime::Interrupt;
use crossbeam_channel::{Sender, unbounded};

use super::answers::INTERRUPT_AFTER;
use super::halts::Halts;
use super::saver::Saver;
use super::{RECEIPT, Request, Worker};
use crate::panics;
use crate::partition::Instances;
use crate::ports::log::{Bell, Topic};
use crate::shared::Shared;

/// Where a worker is asked.
#[derive(Clone)]
pub(crate) struct Address {
    requests: Sender<Request>,
    bell: Arc<Bell>,
    interrupt: Interrupt,
}

impl Address {
    /// Stops the plugin's call that the worker is in, if it is in one: its partition is opened anew from its checkpoint.
    pub(crate) fn interrupt(&self) {
        self.interrupt.raise();
    }

    /// Asks the worker; it answers between two batches.
    pub(crate) fn ask(&self, request: Request) {
        // A worker ends only when the engine stops; whoever waits for the answer sees that no one will give it.
        let _ = self.requests.send(request);
        self.bell.ring();
    }
}

/// A running worker.
pub(crate) struct WorkerHandle {
    address: Address,
    thread: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts a worker without partitions.
    pub(crate) fn start(index: u32, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (requests, inbox) = unbounded();
        let bell = Arc::new(Bell::default());
        shared.ports.log.on_append(Topic::Events, bell.clone());
        let saver = Saver::start(format!("saver-{index}"), shared.clone())?;
        let (plan, interrupt) = (shared.plan(), Interrupt::default());
        let mut worker = Worker {
            shared,
            inbox,
            bell: bell.clone(),
            interrupt: interrupt.clone(),
            plan,
            assigned: BTreeSet::new(),
            owned: Vec::new(),
            opening: Vec::new(),
            halts: Halts::default(),
            instances: Instances::default(),
            saver,
            turns: 0,
        };
        let stopping = worker.shared.clone();
        let is_over = move || stopping.is_stopping();
        let thread = panics::spawn(format!("worker-{index}"), is_over, move |heartbeat| worker.run(heartbeat))?;
        Ok(Self { address: Address { requests, bell, interrupt }, thread: Some(thread) })
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Lets workers end by themselves for a moment, then interrupts calls of plugins that go on. The engine must be
    /// stopping.
    pub(crate) fn interrupt_all(workers: &[Self]) {
        workers.iter().for_each(|worker| worker.address.bell.ring());
        let deadline = Instant::now() + INTERRUPT_AFTER;
        while workers.iter().any(Self::is_running) && Instant::now() < deadline {
            std::thread::sleep(RECEIPT);
        }
        workers.iter().for_each(|worker| worker.address.interrupt());
    }

    /// Waits until the worker has ended. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.address.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}
