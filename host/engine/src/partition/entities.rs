//! The entities of a partition that are in memory: what their views and plugins remember, by slot.
//!
//! A slot is an index into every view's windows and every plugin's states. It is taken when an entity is first seen,
//! filled from the state store if that knows the entity, and given back when the entity is evicted.

use assay_core::names::Offset;
use assay_core::view::Windows;
use assay_core::wire::{Corrupt, Reader, put_bytes, put_varint};
use compact_str::CompactString;
use hashbrown::HashMap;

use crate::plan::{StreamPlan, ViewPlan};
use crate::ports::buckets::{BucketRow, ChangedBuckets};
use crate::ports::state::{StateRow, StateStore};
use crate::ports::{PartitionId, StoreError};

/// The version of a state row's layout.
const VERSION: u8 = 1;

/// The entities of a partition that are in memory.
pub(crate) struct Entities {
    partition: PartitionId,
    slots: HashMap<CompactString, u32, foldhash::fast::FixedState>,
    keys: Vec<CompactString>,
    /// Per slot: all events of the entity before this offset are folded in.
    marks: Vec<Offset>,
    /// Per slot: the checkpoint after whose barrier it was last touched.
    touched: Vec<u64>,
    /// Slots that were touched since the last barrier.
    dirty: Vec<u32>,
    free: Vec<u32>,
    /// The number of the next checkpoint.
    epoch: u64,
    /// Whether no entity has a state that is not in memory: who is missing is new.
    has_all: bool,
    /// Changes whenever slots are given back, which makes slots that were found before invalid.
    generation: u64,
    views: Vec<Fingerprinted<Windows>>,
    states: Vec<Fingerprinted<Vec<PluginState>>>,
    /// Whether it is noted which buckets of tumbling views change.
    notes_buckets: bool,
}

/// The entities of a batch that are not in memory.
#[derive(Debug, Default)]
pub(crate) struct MissingEntities {
    /// Their rows in the batch.
    pub(crate) rows: Vec<usize>,
    /// Their keys, each once, rising.
    pub(crate) keys: Vec<CompactString>,
}

/// What one view, or one rule's plugin, remembers.
struct Fingerprinted<T> {
    fingerprint: u64,
    content: T,
}

/// What a plugin remembers of an entity; empty bytes: nothing yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct PluginState {
    pub(crate) version: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Entities {
    /// No entities yet.
    pub(crate) fn new(partition: PartitionId, plan: &StreamPlan) -> Self {
        let mut entities = Self {
            partition,
            slots: HashMap::default(),
            keys: Vec::new(),
            marks: Vec::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            free: Vec::new(),
            epoch: 1,
            has_all: false,
            generation: 0,
            views: Vec::new(),
            states: Vec::new(),
            notes_buckets: false,
        };
        entities.switch_plan(plan);
        entities
    }

    /// The partition begins: the store has nothing that events from the first on would not give again.
    pub(crate) fn note_nothing_stored(&mut self) {
        self.has_all = self.slots.is_empty();
    }

    /// Goes over to a new plan: what both plans know is kept, what only the old one knew is dropped. Everything must
    /// have been saved before.
    pub(crate) fn switch_plan(&mut self, plan: &StreamPlan) {
        let mut old = std::mem::take(&mut self.views);
        for view in &plan.views {
            let kept = old.iter().position(|memory| memory.fingerprint == view.fingerprint);
            self.views.push(match kept {
                Some(kept) => old.swap_remove(kept),
                None => Fingerprinted { fingerprint: view.fingerprint, content: self.new_windows(view) },
            });
        }
        let mut old = std::mem::take(&mut self.states);
        for state in &plan.states {
            let kept = old.iter().position(|memory| memory.fingerprint == state.fingerprint);
            self.states.push(match kept {
                Some(kept) => old.swap_remove(kept),
                None => Fingerprinted {
                    fingerprint: state.fingerprint,
                    content: vec![PluginState::default(); self.keys.len()],
                },
            });
        }
    }

    fn new_windows(&self, view: &ViewPlan) -> Windows {
        let mut windows = Windows::new(view.layout.clone());
        if self.notes_buckets && view.layout.window().has_buckets() {
            windows.note_changes();
        }
        windows
    }

    /// From now on notes which buckets of tumbling views change. There must be no entities yet.
    pub(crate) fn note_buckets(&mut self, plan: &StreamPlan) {
        self.notes_buckets = true;
        self.views.clear();
        self.switch_plan(plan);
    }

    /// The buckets that changed since this was asked last, by the plan in use.
    pub(crate) fn take_buckets(&mut self, plan: &StreamPlan) -> Vec<ChangedBuckets> {
        let (views, keys) = (&mut self.views, &self.keys);
        let taken = plan.views.iter().zip(views).map(|(plan, memory)| {
            let changed = memory.content.take_changed().into_iter().map(|(slot, bucket)| BucketRow {
                key: keys[slot as usize].to_string(),
                from: bucket.from,
                to: bucket.to,
                values: bucket.values,
            });
            ChangedBuckets {
                view: plan.def.view.clone(),
                revision: plan.state_revision,
                lifetime: plan.layout.window().bucket_lifetime(),
                measures: plan.measures.iter().map(|(name, _)| name.clone()).collect(),
                rows: changed.collect(),
            }
        });
        taken.filter(|changed| !changed.rows.is_empty()).collect()
    }

    /// How many entities are in memory.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn windows(&mut self, view: usize) -> &mut Windows {
        &mut self.views[view].content
    }

    pub(crate) fn states(&mut self, state: usize) -> &mut [PluginState] {
        &mut self.states[state].content
    }

    pub(crate) fn mark(&self, slot: u32) -> Offset {
        self.marks[slot as usize]
    }

    /// Notes that all events of an entity before an offset are folded in.
    pub(crate) fn advance(&mut self, slot: u32, mark: Offset) {
        let slot_index = slot as usize;
        self.marks[slot_index] = mark;
        if self.touched[slot_index] != self.epoch {
            self.touched[slot_index] = self.epoch;
            self.dirty.push(slot);
        }
    }

    /// Changes whenever slots are given back.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The slots of some keys, one per key; `u32::MAX` for entities that have to be loaded, which are returned.
    pub(crate) fn find_slots<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k str>,
        slots: &mut Vec<u32>,
    ) -> MissingEntities {
        slots.clear();
        let mut missing = MissingEntities::default();
        for (row, key) in keys.enumerate() {
            match self.slots.get(key) {
                Some(slot) => slots.push(*slot),
                // The store has no state of it.
                None if self.has_all => {
                    let slot = self.take_slot(key);
                    slots.push(slot);
                }
                None => {
                    missing.rows.push(row);
                    missing.keys.push(key.into());
                    slots.push(u32::MAX);
                }
            }
        }
        missing.keys.sort_unstable();
        missing.keys.dedup();
        missing
    }

    /// The slot of an entity that is in memory.
    pub(crate) fn slot(&self, key: &str) -> Option<u32> {
        self.slots.get(key).copied()
    }

    /// Takes entities into memory, with the states that the store has of them. What is in memory already is newer.
    pub(crate) fn insert_loaded(
        &mut self,
        keys: &[CompactString],
        states: Vec<Option<Vec<u8>>>,
    ) -> Result<(), StoreError> {
        if states.len() != keys.len() {
            let message = format!("{} states came for {} entities of {}", states.len(), keys.len(), self.partition);
            return Err(StoreError::Broken { store: "state", message });
        }
        for (key, state) in keys.iter().zip(states) {
            if self.slots.contains_key(key) {
                continue;
            }
            let slot = self.take_slot(key);
            if let Some(error) = state.and_then(|state| self.restore_slot(slot, &state).err()) {
                // Half a state would be taken for the entity's at the next attempt.
                self.forget(key);
                let message = format!("the state of entity '{key}' in {}: {error}", self.partition);
                return Err(StoreError::Broken { store: "state", message });
            }
        }
        Ok(())
    }

    /// Loads an entity if it is not in memory, and returns its slot. For reads, which are no part of a fold.
    pub(crate) fn load_slot(&mut self, key: &str, store: &dyn StateStore) -> Result<u32, StoreError> {
        let mut slots = Vec::with_capacity(1);
        let missing = self.find_slots(std::iter::once(key), &mut slots);
        if !missing.keys.is_empty() {
            let states = store.load(&self.partition, &[key])?;
            self.insert_loaded(&missing.keys, states)?;
        }
        Ok(self.slot(key).unwrap_or(u32::MAX))
    }

    fn take_slot(&mut self, key: &str) -> u32 {
        let key = CompactString::from(key);
        let slot = match self.free.pop() {
            Some(slot) => {
                let index = slot as usize;
                self.keys[index] = key.clone();
                self.marks[index] = Offset(0);
                self.touched[index] = 0;
                for view in &mut self.views {
                    view.content.reset(slot);
                }
                for state in &mut self.states {
                    state.content[index] = PluginState::default();
                }
                slot
            }
            None => {
                // A partition holds fewer entities in memory than a u32 counts: see `evict`.
                let slot = self.keys.len() as u32;
                self.keys.push(key.clone());
                self.marks.push(Offset(0));
                self.touched.push(0);
                for state in &mut self.states {
                    state.content.push(PluginState::default());
                }
                slot
            }
        };
        self.slots.insert(key, slot);
        slot
    }

    /// Fills a slot from a row of the state store. What the plan does not know is left out.
    fn restore_slot(&mut self, slot: u32, row: &[u8]) -> Result<(), Corrupt> {
        let mut reader = Reader::new(row);
        if reader.byte()? != VERSION {
            return Err(reader.corrupt("a version of state rows that this binary reads"));
        }
        self.marks[slot as usize] = Offset(reader.varint()?);
        for _ in 0..reader.count()? {
            let fingerprint = read_fingerprint(&mut reader)?;
            let bytes = reader.bytes()?;
            if let Some(view) = self.views.iter_mut().find(|view| view.fingerprint == fingerprint) {
                view.content.load(slot, bytes).map_err(|_| reader.corrupt("the windows of a view"))?;
            }
        }
        for _ in 0..reader.count()? {
            let fingerprint = read_fingerprint(&mut reader)?;
            let version = reader.u32()?;
            let bytes = reader.bytes()?.to_vec();
            if let Some(state) = self.states.iter_mut().find(|state| state.fingerprint == fingerprint) {
                state.content[slot as usize] = PluginState { version, bytes };
            }
        }
        Ok(())
    }

    /// The rows of all entities that were touched since the last barrier; this is the next one. Returns its number.
    pub(crate) fn barrier(&mut self) -> (u64, Vec<StateRow>) {
        let dirty = std::mem::take(&mut self.dirty);
        let rows = dirty.iter().map(|slot| self.row(*slot)).collect();
        let epoch = self.epoch;
        self.epoch += 1;
        (epoch, rows)
    }

    fn row(&self, slot: u32) -> StateRow {
        let index = slot as usize;
        let mut state = vec![VERSION];
        put_varint(&mut state, self.marks[index].0);
        put_varint(&mut state, self.views.len() as u64);
        let mut windows = Vec::new();
        for view in &self.views {
            state.extend_from_slice(&view.fingerprint.to_le_bytes());
            windows.clear();
            view.content.save(slot, &mut windows);
            put_bytes(&mut state, &windows);
        }
        put_varint(&mut state, self.states.len() as u64);
        for plugin in &self.states {
            state.extend_from_slice(&plugin.fingerprint.to_le_bytes());
            let PluginState { version, bytes } = &plugin.content[index];
            put_varint(&mut state, u64::from(*version));
            put_bytes(&mut state, bytes);
        }
        StateRow { key: self.keys[index].to_string(), state }
    }

    /// Drops an entity of which nothing is unsaved.
    pub(crate) fn forget(&mut self, key: &str) {
        if let Some(slot) = self.slots.remove(key) {
            self.generation += 1;
            self.keys[slot as usize] = CompactString::default();
            self.free.push(slot);
        }
    }

    /// Drops entities until at most `most` are left: those that were touched longest ago, and only such as were saved
    /// by a checkpoint up to `saved`.
    pub(crate) fn evict(&mut self, most: usize, saved: u64) {
        if self.slots.len() <= most {
            return;
        }
        let mut clean: Vec<(u64, u32)> = self
            .slots
            .values()
            .map(|slot| (self.touched[*slot as usize], *slot))
            .filter(|(at, _)| *at <= saved)
            .collect();
        // A tenth more than needed, so that it does not begin again at the next checkpoint.
        let wanted = (self.slots.len() - most + most / 10).min(clean.len());
        if wanted == 0 {
            return;
        }
        self.has_all = false;
        self.generation += 1;
        clean.select_nth_unstable(wanted - 1);
        for (_, slot) in &clean[..wanted] {
            let key = std::mem::take(&mut self.keys[*slot as usize]);
            self.slots.remove(&key);
            self.free.push(*slot);
        }
    }
}

fn read_fingerprint(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(reader.take(8)?);
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
