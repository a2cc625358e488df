//! A list whose first items need no allocation.

/// Up to `N` items in place, then a `Vec`. Most verdicts have a handful of reasons, and a guest's allocator is slow.
#[derive(Clone, Debug)]
pub(crate) struct Few<T, const N: usize> {
    len: usize,
    first: [T; N],
    more: Vec<T>,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// An empty list; `filler` stands where no item is yet.
    #[inline]
    pub(crate) const fn new(filler: T) -> Self {
        Self { len: 0, first: [filler; N], more: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.first.get_mut(self.len) {
            Some(place) => *place = item,
            None => self.more.push(item),
        }
        self.len += 1;
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.first[..self.len.min(N)].iter().chain(&self.more).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_in_their_order() {
        let mut few = Few::<u32, 2>::new(0);
        for count in 0..5 {
            assert_eq!(few.iter().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
            few.push(count);
        }
    }
}
