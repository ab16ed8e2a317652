//! A queue that nearly always holds one thing or none: that one has its place in the queue itself,
//! and memory is held for others only while there are some.

use std::collections::VecDeque;

/// What comes first leaves first. Invariant: where there are others, there is a first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    first: Option<T>,
    #[expect(clippy::box_collection, reason = "eight bytes instead of 32 where there are none")]
    others: Option<Box<VecDeque<T>>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { first: None, others: None }
    }
}

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// It has one at most.
    #[inline]
    pub(super) fn is_short(&self) -> bool {
        self.others.is_none()
    }

    pub(super) fn len(&self) -> usize {
        let n_others = self.others.as_ref().map_or(0, |others| others.len());
        usize::from(self.first.is_some()).saturating_add(n_others)
    }

    pub(super) fn push_back(&mut self, last: T) {
        match self.first {
            None => self.first = Some(last),
            Some(_) => self.others.get_or_insert_default().push_back(last),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.first.take();
        if let Some(others) = self.others.as_mut() {
            self.first = others.pop_front();
            if others.is_empty() {
                self.others = None;
            }
        }
        first
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    #[inline]
    pub(super) fn back(&self) -> Option<&T> {
        match &self.others {
            None => self.first.as_ref(),
            Some(others) => others.back(),
        }
    }

    #[inline]
    pub(super) fn back_mut(&mut self) -> Option<&mut T> {
        match &mut self.others {
            None => self.first.as_mut(),
            Some(others) => others.back_mut(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.others.iter().flat_map(|others| others.iter()))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(self.others.iter_mut().flat_map(|others| others.iter_mut()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_plain_queue_does(pushes in proptest::collection::vec(any::<bool>(), 0..40)) {
            let mut queue = Queue::default();
            let mut plain = VecDeque::new();
            for (n, push) in pushes.into_iter().enumerate() {
                if push {
                    queue.push_back(n);
                    plain.push_back(n);
                } else {
                    prop_assert_eq!(queue.pop_front(), plain.pop_front());
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (plain.len(), plain.is_empty()));
                prop_assert_eq!(queue.front(), plain.front());
                prop_assert_eq!(queue.front_mut(), plain.front_mut());
                prop_assert_eq!(queue.back(), plain.back());
                prop_assert_eq!(queue.back_mut(), plain.back_mut());
                prop_assert!(queue.iter().eq(&plain));
                prop_assert!(queue.iter_mut().eq(plain.iter_mut()));
                prop_assert!(plain.len() > 1 || queue.others.is_none(), "no memory for others");
            }
        }
    }
}
