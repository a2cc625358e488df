//! The states of a batch's entities: byte strings that the host owns.

use crate::batch::Blobs;
use wasmtime::component::{ComponentType, Lift};

/// Opaque states, one per entity, laid out as [`Blobs`].
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct States {
    /// One per entity, never decreasing, the last is the length of `data`.
    pub ends: Vec<u32>,
    /// All states, without separators.
    pub data: Vec<u8>,
}

impl States {
    /// The states, borrowed.
    pub fn as_blobs(&self) -> Blobs<'_> {
        Blobs { ends: &self.ends, data: &self.data }
    }

    /// Appends a state.
    ///
    /// # Panics
    /// If all states together have more than 4 GiB.
    pub fn push(&mut self, state: &[u8]) {
        self.data.extend_from_slice(state);
        let end = u32::try_from(self.data.len());
        assert!(end.is_ok(), "states of one batch have more than 4 GiB");
        self.ends.extend(end.ok());
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The state with an index.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`].
    pub fn get(&self, index: usize) -> &[u8] {
        self.as_blobs().get(index)
    }

    /// The first violation of the contract in the layout or the sizes; none if there is none.
    pub(crate) fn find_violation(&self, count: usize, max_bytes: usize) -> Option<String> {
        if self.ends.len() != count {
            return Some(format!("expected {count} states, found {}", self.ends.len()));
        }
        let mut start = 0;
        for (entity, &end) in self.ends.iter().enumerate() {
            if end < start || end as usize > self.data.len() {
                return Some(format!(
                    "the state of entity {entity} ends at {end}, but begins at {start} of {} bytes",
                    self.data.len()
                ));
            }
            let bytes = (end - start) as usize;
            if bytes > max_bytes {
                return Some(format!("a state has {bytes} bytes, at most {max_bytes} are allowed"));
            }
            start = end;
        }
        if start as usize != self.data.len() {
            return Some(format!("the states end at {start}, but there are {} bytes", self.data.len()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_counts_sizes_and_ends_are_violations() {
        let mut states = States::default();
        states.push(b"ab");
        states.push(b"");
        states.push(b"cde");
        assert_eq!((states.get(0), states.get(1), states.get(2)), (&b"ab"[..], &b""[..], &b"cde"[..]));
        assert_eq!(states.find_violation(3, 3), None);
        assert!(states.find_violation(2, 3).is_some(), "a state too many");
        assert!(states.find_violation(3, 2).is_some(), "a state too large");
        for ends in [vec![2, 1, 5], vec![2, 9, 5], vec![2, 2, 4]] {
            let wrong = States { ends, data: states.data.clone() };
            assert!(wrong.find_violation(3, 9).is_some(), "{:?}", wrong.ends);
        }
    }
}
