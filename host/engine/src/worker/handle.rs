//! A worker as others see it: started, asked, interrupted, joined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use assay_runtime::Interrupt;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::answers::INTERRUPT_AFTER;
use super::halts::Halts;
use super::opening::{OpeningTask, Openings, Spawn};
use super::saver::SaverQueue;
use super::{Request, Worker};
use crate::panics;
use crate::partition::Instances;
use crate::ports::log::{Topic, WakeSignal};
use crate::shared::Shared;

/// Where a worker is asked.
#[derive(Clone)]
pub(crate) struct WorkerAddress {
    requests: Sender<Request>,
    wake: Arc<WakeSignal>,
    interrupt: Interrupt,
}

impl WorkerAddress {
    /// Stops the plugin's call that the worker is in, if it is in one: its partition is opened anew from its checkpoint.
    pub(crate) fn interrupt(&self) {
        self.interrupt.raise();
    }

    /// Whether it has heard all that it was asked, so that it is in no call that keeps it from that.
    pub(super) fn has_heard(&self) -> bool {
        self.requests.is_empty()
    }

    /// Asks the worker; it answers between two batches.
    pub(crate) fn send(&self, request: Request) {
        // A worker ends only when the engine stops; whoever waits for the answer sees that no one will give it.
        let _ = self.requests.send(request);
        self.wake.notify();
    }
}

/// A running worker, with the thread that writes its checkpoints.
pub(crate) struct WorkerHandle {
    address: WorkerAddress,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the worker's thread has ended.
    ended: Receiver<()>,
    saver: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts a worker without partitions.
    pub(crate) fn start(index: u32, shared: Arc<Shared>) -> std::io::Result<Self> {
        let stopping = shared.clone();
        let (address, mut worker, saver) = Worker::new(shared, Box::new(spawn_opener));
        let saver = saver.start(format!("saver-{index}"))?;
        let is_over = move || stopping.is_stopping();
        let (running, ended) = bounded(1);
        let thread = panics::spawn(format!("worker-{index}"), is_over, move |heartbeat| {
            // Goes with the thread.
            let _: &Sender<()> = &running;
            worker.run(heartbeat);
        })?;
        Ok(Self { address, thread: Some(thread), ended, saver: Some(saver) })
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> WorkerAddress {
        self.address.clone()
    }

    /// Lets workers end by themselves for a moment, then interrupts calls of plugins that go on. The engine must be
    /// stopping.
    pub(crate) fn interrupt_all(workers: &[Self]) {
        workers.iter().for_each(|worker| worker.address.wake.notify());
        let deadline = Instant::now() + INTERRUPT_AFTER;
        for worker in workers {
            // Nothing is ever sent.
            let _ = worker.ended.recv_deadline(deadline);
        }
        workers.iter().for_each(|worker| worker.address.interrupt());
    }

    /// Waits until the worker has ended and its checkpoints are saved. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.address.wake.notify();
        for thread in [self.thread.take(), self.saver.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Worker {
    /// A worker without partitions, where it is asked, and the queue of its checkpoints. Whoever calls lets both of them
    /// do their steps, and runs what is to be spawned.
    pub(super) fn new(shared: Arc<Shared>, spawn: Spawn) -> (WorkerAddress, Self, SaverQueue) {
        let (requests, inbox) = unbounded();
        let wake = Arc::new(WakeSignal::default());
        shared.ports.log.on_append(Topic::Events, wake.clone());
        let (saver, queue) = SaverQueue::new(shared.clone(), wake.clone());
        let (plan, interrupt) = (shared.plan(), Interrupt::default());
        let address = WorkerAddress { requests, wake: wake.clone(), interrupt: interrupt.clone() };
        let worker = Self {
            shared,
            inbox,
            wake,
            interrupt,
            plan,
            assigned: BTreeMap::new(),
            assignments: 0,
            owned: Vec::new(),
            openings: Openings::new(spawn),
            halts: Halts::default(),
            instances: Instances::default(),
            saver,
            waiting_for_switch: Vec::new(),
            polls: 0,
        };
        (address, worker, queue)
    }
}

/// Opens a partition on a thread of its own. Its worker waits for the thread before it ends.
fn spawn_opener(task: OpeningTask) {
    if let Err(error) = Builder::new().name("opener".to_owned()).spawn(move || task.run()) {
        // The task came back to its worker when it was dropped.
        tracing::error!(%error, "no thread for opening a partition");
    }
}
