//! The protocol of a partition: inputs and the effects that come of them, without a store.

use std::sync::Arc;

use assay_core::names::PartitionIndex;
use assay_core::schema::Encoder;
use assay_core::verdict::{read_block, read_block_summary};
use assay_runtime::{Limits, Runtime, RuntimeConfig};
use serde_json::json;

use super::*;
use crate::offline::Offline;
use crate::panics::catch;
use crate::partition::Instances;
use crate::plan::StreamPlan;
use crate::ports::catalog::{Change, Kind};
use crate::ports::log::Records;
use crate::{Probe, ProbePoint};

const END: Offset = Offset(1_000);

fn change(kind: Kind, name: &str, body: serde_json::Value) -> Change {
    Change::from_json(kind, name, body)
}

/// The plan of a stream of payments with a rule, beside other streams.
fn plan(rule: &serde_json::Value, others: &[&str]) -> Arc<StreamPlan> {
    let fields = json!([
        { "name": "card", "type": "string" },
        { "name": "amount", "type": "double" },
        { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]);
    let schema = json!({ "type": "record", "name": "Payment", "fields": fields });
    let stream = |name: &str| {
        let body = json!({ "stream": name, "key": "card", "time": "time", "partitions": 1, "schema": schema });
        change(Kind::Stream, name, body)
    };
    let mut definitions = vec![stream("payments"), change(Kind::Rule, "r", rule.clone())];
    let view = json!({ "view": "spend", "stream": "payments", "by": ["card"], "over": "1h",
                       "measures": { "sum": "sum(amount)" } });
    definitions.push(change(Kind::View, "spend", view));
    definitions.extend(others.iter().map(|name| stream(name)));
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let offline = Offline::new(&runtime, &[], definitions, &Limits::default()).unwrap();
    offline.plan().streams["payments"].clone()
}

fn rule() -> serde_json::Value {
    json!({ "rule": "r", "stream": "payments", "score": "views.spend.sum" })
}

fn other_rule() -> serde_json::Value {
    json!({ "rule": "r", "stream": "payments", "score": "amount", "tags": { "t": "score > 0.0" } })
}

/// A processor with what it folds by.
struct Driven {
    processor: PartitionProcessor,
    instances: Instances,
    probe: Probe,
}

impl Driven {
    fn new(plan: &Arc<StreamPlan>, version: u64, memory: PartitionMemory) -> Self {
        let partition = PartitionId { stream: "payments".into(), partition: PartitionIndex(0) };
        let target = PlanVersion { plan: plan.clone(), version };
        let settings = ProcessorSettings { max_entities_in_memory: 100, notes_buckets: false };
        let processor = PartitionProcessor::new(partition, target, settings, memory).unwrap();
        Self { processor, instances: Instances::default(), probe: Probe::none() }
    }

    /// One that goes on at a checkpoint behind which nothing was judged.
    fn open(plan: &Arc<StreamPlan>, version: u64, memory: PartitionMemory, checkpoint: Checkpoint) -> Self {
        let mut driven = Self::new(plan, version, memory);
        let log_end = checkpoint.verdicts;
        driven.feed(Input::CheckpointLoaded(Some(checkpoint)));
        let effects = driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end });
        assert!(matches!(effects[..], [Effect::Opened]), "{effects:?}");
        driven
    }

    fn feed(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Effects::new();
        let clock = crate::Clock::real();
        let mut context = FoldContext { instances: &mut self.instances, probe: &self.probe, clock: &clock };
        self.processor.handle(input, &mut context, &mut effects);
        effects.into()
    }

    /// Polls, and hands it the events that it asks for; none of their entities has a state.
    fn score(&mut self, cards: &[&str], max_rows: usize) -> Vec<Effect> {
        let polled = self.feed(Input::Poll);
        let [Effect::ReadEvents { from, .. }] = polled[..] else { return polled };
        let effects = self.feed(events(self.processor.state.plan(), from, cards, max_rows));
        match &effects[..] {
            [Effect::LoadStates { keys }] => self.feed(Input::StatesLoaded(vec![None; keys.len()])),
            _ => effects,
        }
    }
}

/// Events of these cards, the n-th of which has the amount n, or 0 for a card that begins with a zero.
fn events(plan: &StreamPlan, from: Offset, cards: &[&str], max_rows: usize) -> Input {
    let mut block = Records { first: from, appended_at: 5_000, ..Records::default() };
    let mut encoder = Encoder::new(&plan.schema);
    for (index, card) in cards.iter().enumerate() {
        let amount = if card.starts_with('0') { 0.0 } else { (index + 1) as f64 };
        let event = json!({ "card": card, "amount": amount, "time": 1_000 + index });
        encoder.encode_value(&event, &mut block.data).unwrap();
        block.end_record();
    }
    Input::EventsRead { from, blocks: vec![block], log_end: END, max_rows }
}

fn checkpoint(events: u64, catalog: u64) -> Checkpoint {
    Checkpoint { events: Offset(events), verdicts: Offset(0), catalog, origins: Vec::new() }
}

/// The block that a scored batch has appended.
fn appended(effects: Vec<Effect>) -> (u64, Vec<u8>) {
    let appended = effects.into_iter().find_map(|effect| match effect {
        Effect::AppendVerdicts { block, data } => Some((block, data)),
        _ => None,
    });
    appended.unwrap()
}

/// The first blocks of an opening that knows no verdicts are in their places.
fn acked(block: u64) -> Input {
    acked_at(block, block - 1)
}

fn acked_at(block: u64, at: u64) -> Input {
    Input::VerdictsAppended { block, end: Some(Offset(at + 1)) }
}

#[test]
fn a_new_partition_says_first_by_which_version_it_is_judged() {
    let mut driven = Driven::new(&plan(&rule(), &[]), 3, PartitionMemory::default());
    assert!(matches!(driven.feed(Input::Open)[..], [Effect::LoadCheckpoint]));
    let read = driven.feed(Input::CheckpointLoaded(None));
    assert!(matches!(read[..], [Effect::ReadVerdicts { from: Offset(0) }]), "{read:?}");
    let (block, fence) = appended(driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end: Offset(0) }));
    let fence = read_block_summary(&fence).unwrap();
    assert_eq!((fence.at, fence.from, fence.next), (Some(Offset(0)), Some(Offset(0)), Offset(0)));
    assert!(driven.feed(Input::Poll).is_empty());
    let saved = driven.feed(acked(block));
    let [Effect::Publish { next: Offset(0) }, Effect::SaveCheckpoint { checkpoint, barrier }] = &saved[..] else {
        panic!("{saved:?}")
    };
    assert_eq!((checkpoint.events, checkpoint.verdicts, checkpoint.catalog), (Offset(0), Offset(1), 3));
    assert!(driven.feed(Input::Poll).is_empty());
    let opened = driven.feed(Input::CheckpointSaved { number: barrier.epoch });
    assert!(matches!(opened[..], [Effect::PlanSwitched { .. }, Effect::Opened]), "{opened:?}");
}

#[test]
fn a_block_in_another_place_sends_its_writer_back_when_all_are_in() {
    let plan = plan(&rule(), &[]);
    let mut driven = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(5, 1));
    let (one, _) = appended(driven.score(&["a"], 10));
    assert!(matches!(driven.feed(acked(one))[..], [Effect::Publish { next: Offset(6) }]));
    let blocks = [0, 1].map(|_| appended(driven.score(&["a"], 10)));
    let places = blocks.each_ref().map(|(_, block)| read_block_summary(block).unwrap().at);
    assert_eq!(places, [Some(Offset(1)), Some(Offset(2))]);
    // Another writer has appended meanwhile. Nothing of what comes after its block is published or saved.
    assert!(driven.feed(acked_at(blocks[0].0, 2)).is_empty());
    assert!(driven.processor.has_failed() && driven.feed(Input::CheckpointDue).is_empty());
    let reopened = driven.feed(acked_at(blocks[1].0, 3));
    assert!(matches!(reopened[..], [Effect::Reopen(ReopenReason::Displaced)]), "{reopened:?}");
}

#[test]
fn a_fence_in_another_place_keeps_a_plan_from_coming_into_use() {
    let (before, after) = (plan(&rule(), &[]), plan(&other_rule(), &[]));
    let mut driven = Driven::open(&before, 1, PartitionMemory::default(), checkpoint(5, 1));
    let fence = appended(driven.feed(Input::PlanChanged(PlanVersion { plan: after, version: 2 }))).0;
    let reopened = driven.feed(acked_at(fence, 1));
    assert!(matches!(reopened[..], [Effect::Reopen(ReopenReason::Displaced)]), "{reopened:?}");
}

#[test]
fn no_event_is_judged_by_older_rules_than_the_one_before() {
    let mut driven = Driven::new(&plan(&rule(), &[]), 3, PartitionMemory::default());
    let effects = driven.feed(Input::CheckpointLoaded(Some(checkpoint(5, 4))));
    let [Effect::Reopen(ReopenReason::CannotOpen(error))] = &effects[..] else { panic!("{effects:?}") };
    assert!(error.to_string().contains("is judged by version 4 already, and 3 is known here"), "{error}");
}

#[test]
fn recovery_folds_judged_events_again_and_appends_nothing() {
    let plan = plan(&rule(), &[]);
    let mut first = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(0, 1));
    let (_, data) = appended(first.score(&["a", "b", "a"], 10));
    let mut block = Records::default();
    block.push(&data);

    let mut driven = Driven::new(&plan, 1, PartitionMemory::default());
    driven.feed(Input::CheckpointLoaded(Some(checkpoint(0, 1))));
    let more = driven.feed(Input::VerdictsRead { blocks: vec![block], log_end: Offset(1) });
    assert!(matches!(more[..], [Effect::ReadVerdicts { from: Offset(1) }]), "{more:?}");
    let late = driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end: Offset(2) });
    assert!(matches!(late[..], [Effect::WaitForLog]), "{late:?}");
    assert!(matches!(driven.feed(Input::Poll)[..], [Effect::ReadVerdicts { from: Offset(1) }]));
    let begun = driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end: Offset(1) });
    let [Effect::BeginRefold { to: Offset(3), .. }, Effect::ReadEvents { from: Offset(0), .. }] = begun[..] else {
        panic!("{begun:?}")
    };
    let none = Input::EventsRead { from: Offset(0), blocks: Vec::new(), log_end: Offset(3), max_rows: 10 };
    assert!(matches!(driven.feed(none)[..], [Effect::WaitForLog]));
    // The fourth event is read as well, and is not judged yet.
    let folded = driven.feed(events(&plan, Offset(0), &["a", "b", "a", "b"], 10));
    let [Effect::NoteFolded { is_replay: true, .. }, Effect::Opened] = folded[..] else { panic!("{folded:?}") };
    assert_eq!(driven.processor.next_event(), Offset(3));
    assert_eq!(driven.processor.state.barrier().rows, first.processor.state.barrier().rows);
}

/// Hands a processor these verdict blocks as all that the log has after its checkpoint.
fn read_verdicts(driven: &mut Driven, blocks: &[&[u8]]) -> Vec<Effect> {
    let mut records = Records::default();
    blocks.iter().for_each(|block| records.push(block));
    let log_end = Offset(blocks.len() as u64);
    driven.feed(Input::VerdictsRead { blocks: vec![records], log_end });
    driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end })
}

#[test]
fn events_of_a_block_that_is_missing_among_others_are_judged_by_recovery() {
    let plan = plan(&rule(), &[]);
    let mut first = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(0, 1));
    let batches: [&[&str]; 3] = [&["a", "b"], &["a"], &["b"]];
    let blocks = batches.map(|cards| appended(first.score(cards, 10)).1);

    let mut driven = Driven::new(&plan, 1, PartitionMemory::default());
    driven.feed(Input::CheckpointLoaded(Some(checkpoint(0, 1))));
    let begun = read_verdicts(&mut driven, &[&blocks[0], &blocks[2]]);
    assert!(matches!(begun[..], [Effect::BeginRefold { to: Offset(4), .. }, Effect::ReadEvents { .. }]), "{begun:?}");
    let judged = driven.feed(events(&plan, Offset(0), batches[0], 10));
    let [Effect::NoteFolded { is_replay: true, .. }, Effect::ReadEvents { from: Offset(2), .. }] = judged[..] else {
        panic!("{judged:?}")
    };
    // The log has an event more, which is judged.
    let missing = driven.feed(events(&plan, Offset(2), &["a", "b"], 10));
    let [
        Effect::NoteFolded { is_replay: false, .. },
        Effect::AppendVerdicts { block, data },
        Effect::ReadEvents { from, .. },
    ] = &missing[..]
    else {
        panic!("{missing:?}")
    };
    assert_eq!((read_block(data), *from), (read_block(&blocks[1]), Offset(3)));
    let last = driven.feed(events(&plan, Offset(3), batches[2], 10));
    assert!(matches!(last[..], [Effect::NoteFolded { is_replay: true, .. }]), "its block is on its way: {last:?}");
    let opened = driven.feed(acked_at(*block, 2));
    assert!(matches!(opened[..], [Effect::Publish { next: Offset(3) }, Effect::Opened]), "{opened:?}");
    assert_eq!(driven.processor.state.barrier().rows, first.processor.state.barrier().rows);

    // After that no block is missing, in whatever order they are.
    let mut again = Driven::new(&plan, 1, PartitionMemory::default());
    again.feed(Input::CheckpointLoaded(Some(checkpoint(0, 1))));
    read_verdicts(&mut again, &[&blocks[0], &blocks[2], &blocks[1]]);
    let all = again.feed(events(&plan, Offset(0), batches[0], 10));
    assert!(matches!(all[..], [Effect::NoteFolded { is_replay: true, .. }, Effect::ReadEvents { .. }]), "{all:?}");
    again.feed(events(&plan, Offset(2), batches[1], 10));
    let all = again.feed(events(&plan, Offset(3), batches[2], 10));
    assert!(matches!(all[..], [Effect::NoteFolded { is_replay: true, .. }, Effect::Opened]), "{all:?}");
}

#[test]
fn after_a_failed_append_it_is_opened_anew_and_late_answers_are_ignored() {
    let plan = plan(&rule(), &[]);
    let mut driven = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(5, 1));
    let [one, two] = [0, 1].map(|_| appended(driven.score(&["a"], 10)).0);
    assert_eq!([one, two], [1, 2]);
    let error = StoreError::Unavailable { store: "log", message: "gone".to_owned() };
    let failed = driven.feed(Input::AppendFailed { block: 1, error });
    assert!(matches!(failed[..], [Effect::Reopen(ReopenReason::AppendFailed(_))]), "{failed:?}");
    assert!(driven.feed(acked(2)).is_empty());
    assert!(driven.feed(Input::Poll).is_empty() && driven.feed(Input::CheckpointDue).is_empty());

    let mut anew = Driven::open(&plan, 1, driven.processor.take_memory(), checkpoint(5, 1));
    let (three, _) = appended(anew.score(&["a"], 10));
    assert_eq!(three, 3, "so an answer for an earlier opening is none for this one");
    assert!(anew.feed(acked(1)).is_empty());
    assert!(matches!(anew.feed(acked_at(3, 0))[..], [Effect::Publish { next: Offset(6) }]));
}

#[test]
fn a_change_of_the_plan_is_saved_before_the_first_event_that_it_judges() {
    let (before, after) = (plan(&rule(), &[]), plan(&other_rule(), &[]));
    let mut driven = Driven::open(&before, 1, PartitionMemory::default(), checkpoint(5, 1));
    let (block, _) = appended(driven.score(&["a"], 10));
    let changed = driven.feed(Input::PlanChanged(PlanVersion { plan: after.clone(), version: 2 }));
    assert!(changed.is_empty() && driven.processor.is_switching(), "its last block is on its way: {changed:?}");
    assert!(driven.feed(Input::Poll).is_empty());
    assert!(driven.feed(events(&before, Offset(6), &["a"], 10)).is_empty(), "events that were asked for before");
    let acked = driven.feed(acked(block));
    let [Effect::Publish { .. }, Effect::SaveCheckpoint { checkpoint, barrier }] = &acked[..] else {
        panic!("{acked:?}")
    };
    assert_eq!((checkpoint.events, checkpoint.verdicts, checkpoint.catalog), (Offset(6), Offset(block), 2));
    assert!(driven.feed(Input::Poll).is_empty());
    let switched = driven.feed(Input::CheckpointSaved { number: barrier.epoch });
    assert!(matches!(switched[..], [Effect::PlanSwitched { is_equivalent: false }]), "{switched:?}");
    assert!(!driven.processor.is_switching());
    let (_, data) = appended(driven.score(&["a"], 10));
    let judged = read_block(&data).unwrap();
    assert_eq!((judged.catalog, judged.outcomes[0].verdicts[0].tags.len()), (2, 1));
}

#[test]
fn a_change_that_does_not_concern_the_stream_needs_no_checkpoint() {
    let (before, after) = (plan(&rule(), &[]), plan(&rule(), &["others"]));
    let mut driven = Driven::open(&before, 1, PartitionMemory::default(), checkpoint(0, 1));
    let (block, old) = appended(driven.score(&["a", "b"], 10));
    let changed = driven.feed(Input::PlanChanged(PlanVersion { plan: after.clone(), version: 2 }));
    assert!(matches!(changed[..], [Effect::PlanSwitched { is_equivalent: true }]), "{changed:?}");
    let (second, data) = appended(driven.score(&["a"], 10));
    assert_eq!(read_block(&data).unwrap().catalog, 2);
    // Recovery by either version gives the same: the older one is in the checkpoint still.
    for (plan, version) in [(&before, 1), (&after, 2)] {
        let mut again = Driven::open(plan, version, PartitionMemory::default(), checkpoint(0, version));
        let (_, block) = appended(again.score(&["a", "b"], 10));
        assert_eq!(read_block(&block).unwrap().outcomes, read_block(&old).unwrap().outcomes);
    }
    for block in [block, second] {
        driven.feed(acked(block));
    }
    let due = driven.feed(Input::CheckpointDue);
    let [Effect::SaveCheckpoint { checkpoint, .. }] = &due[..] else { panic!("{due:?}") };
    assert_eq!((checkpoint.events, checkpoint.catalog), (Offset(3), 2));
}

#[test]
fn an_equivalent_plan_is_taken_after_recovery_too() {
    let (before, after) = (plan(&rule(), &[]), plan(&rule(), &["others"]));
    let mut first = Driven::open(&before, 1, PartitionMemory::default(), checkpoint(0, 1));
    let (_, data) = appended(first.score(&["a"], 10));
    for (now, is_equivalent) in [(after, true), (plan(&other_rule(), &[]), false)] {
        let mut block = Records::default();
        block.push(&data);
        let mut driven = Driven::new(&now, 2, PartitionMemory::default());
        driven.feed(Input::CheckpointLoaded(Some(checkpoint(0, 1))));
        driven.feed(Input::VerdictsRead { blocks: vec![block], log_end: Offset(1) });
        let asked = driven.feed(Input::VerdictsRead { blocks: Vec::new(), log_end: Offset(1) });
        assert!(matches!(asked[..], [Effect::CompilePlan { version: 1 }]), "{asked:?}");
        driven.feed(Input::PlanCompiled(Some(before.clone())));
        let folded = driven.feed(events(&before, Offset(0), &["a"], 10));
        let is_open = matches!(folded.last(), Some(Effect::Opened));
        let is_fenced = matches!(folded.last(), Some(Effect::AppendVerdicts { .. }));
        assert_eq!((is_open, is_fenced), (is_equivalent, !is_equivalent), "{folded:?}");
    }
}

#[test]
fn states_that_are_not_in_memory_are_loaded_once() {
    let plan = plan(&rule(), &[]);
    let mut driven = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(5, 1));
    let read = |driven: &mut Driven| driven.feed(events(&plan, Offset(5), &["b", "a", "b"], 10));
    for _ in 0..2 {
        let asked = read(&mut driven);
        let [Effect::LoadStates { keys }] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(keys[..], ["a", "b"]);
        assert!(driven.feed(Input::Poll).is_empty(), "one batch at a time");
        // The store failed once: nothing is folded, and the same is read again.
        assert!(driven.feed(Input::LoadFailed).is_empty());
        assert!(matches!(driven.feed(Input::Poll)[..], [Effect::ReadEvents { from: Offset(5), .. }]));
    }
    read(&mut driven);
    let folded = driven.feed(Input::StatesLoaded(vec![None, None]));
    let [Effect::NoteFolded { .. }, Effect::AppendVerdicts { .. }] = folded[..] else { panic!("{folded:?}") };
    let next = driven.feed(events(&plan, Offset(8), &["a"], 10));
    let [Effect::NoteFolded { .. }, Effect::AppendVerdicts { .. }] = next[..] else { panic!("{next:?}") };
}

#[test]
fn a_checkpoint_waits_for_its_verdicts_and_an_entity_ends_after_it() {
    let plan = plan(&rule(), &[]);
    let mut driven = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(5, 1));
    let (block, _) = appended(driven.score(&["a", "b"], 10));
    let end = |through| Input::EndEntity { request: 7, through: Offset(through), key: Some("a".to_owned()) };
    assert!(matches!(driven.feed(end(8))[..], [Effect::RefuseEndEntity { request: 7 }]), "not scored yet");
    assert!(driven.feed(Input::CheckpointDue).is_empty() && driven.feed(end(7)).is_empty());
    assert!(driven.feed(Input::Poll).is_empty());
    let saved = driven.feed(acked(block));
    let [Effect::Publish { .. }, Effect::SaveCheckpoint { barrier, .. }] = &saved[..] else { panic!("{saved:?}") };
    assert_eq!(barrier.rows.len(), 2);
    let ends = driven.feed(Input::CheckpointSaved { number: barrier.epoch });
    assert!(matches!(ends[..], [Effect::EndEntity { request: 7, at: Offset(7) }]), "{ends:?}");
    assert_eq!(driven.processor.entities(), 2);
    assert!(driven.feed(Input::EntityEnded { request: 7, is_ended: true }).is_empty());
    assert_eq!(driven.processor.entities(), 1);
    assert!(matches!(driven.feed(Input::Release)[..], [Effect::Released]), "everything is saved");
}

#[test]
fn a_rule_that_halts_is_waited_for_behind_the_blocks_before() {
    let halting = json!({ "rule": "r", "stream": "payments", "score": "1.0 / amount", "on_error": "halt" });
    let plan = plan(&halting, &[]);
    let mut driven = Driven::open(&plan, 1, PartitionMemory::default(), checkpoint(5, 1));
    let (block, _) = appended(driven.score(&["a"], 10));
    let halted = driven.score(&["a", "0"], 10);
    assert!(halted.is_empty() && driven.processor.has_failed(), "{halted:?}");
    let reopened = driven.feed(acked(block));
    let [Effect::Publish { .. }, Effect::Reopen(ReopenReason::Halted(halt))] = &reopened[..] else {
        panic!("{reopened:?}")
    };
    assert_eq!(halt.before, Offset(7));
    let mut anew = Driven::open(&plan, 1, driven.processor.take_memory(), checkpoint(6, 1));
    appended(anew.score(&["a", "0"], 10));
    assert_eq!(anew.processor.next_event(), Offset(7));
    assert!(anew.feed(Input::Poll).is_empty(), "up to the event in question");
}

#[test]
fn an_event_that_panics_is_found_alone() {
    let plan = plan(&rule(), &[]);
    let mut memory = PartitionMemory::default();
    let mut verdicts = 0;
    for opening in 0..4 {
        let mut driven = Driven::open(&plan, 1, memory, checkpoint(0, 1));
        driven.probe = Probe::new(|at| {
            let ProbePoint::Fold(_, records) = at else { return };
            assert!(!records.iter().any(|(offset, _)| *offset == Offset(1)), "at one");
        });
        memory = loop {
            let from = driven.processor.next_event();
            if from == Offset(3) {
                assert_eq!((opening, verdicts), (2, 3), "one failed alone, two were scored");
                return;
            }
            let cards = &["a", "b", "c"][from.0 as usize..];
            match catch(|| driven.score(cards, 10)) {
                Ok(effects) => {
                    let block = read_block(&appended(effects).1).unwrap();
                    verdicts = if from == Offset(0) { 0 } else { verdicts } + block.outcomes.len();
                }
                Err(panicked) => {
                    let doing = "scoring";
                    driven.feed(Input::Panicked { doing, panicked });
                    break driven.processor.take_memory();
                }
            }
        };
    }
    panic!("it is not found");
}
