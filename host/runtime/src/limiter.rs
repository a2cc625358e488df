//! Counts the memory and tables of one store and refuses requests above its limits. It records refusals: a guest
//! without memory aborts, and only the record distinguishes that abort from other traps.

use wasmtime::ResourceLimiter;

use crate::limits::Limits;

/// The resources of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    table_elements: usize,
    memories: usize,
    core_instances: usize,
    used_bytes: usize,
    refusal: Option<String>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            memories: limits.memories,
            core_instances: limits.core_instances,
            used_bytes: 0,
            refusal: None,
        }
    }

    /// Takes the refusal since the last call of this function, if there is one.
    pub(crate) fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes {
            self.refusal = Some(format!("it wanted {total} bytes, {} are allowed", self.memory_bytes));
            return Ok(false);
        }
        self.used_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.table_elements {
            let allowed = self.table_elements;
            self.refusal = Some(format!("it wanted a table of {desired} elements, {allowed} are allowed"));
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.memories
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together_and_a_refusal_is_taken_once() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 100, ..Limits::default() });
        assert!(limiter.memory_growing(0, 60, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(0, 40, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(40, 41, None).is_ok_and(|granted| !granted));
        assert_eq!(limiter.take_refusal().as_deref(), Some("it wanted 101 bytes, 100 are allowed"));
        assert_eq!(limiter.take_refusal(), None);
    }
}
