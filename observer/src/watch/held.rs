//! Exchanges that came and that nobody has taken yet, in their order, within a bound.

use std::collections::VecDeque;

use super::Exchange;

/// Invariant: `n_bytes` is the weight of `waiting`, and at most `limit`.
#[derive(Debug)]
pub(super) struct Held {
    waiting: VecDeque<Exchange>,
    n_bytes: usize,
    limit: usize,
    /// Exchanges that came, held or dropped.
    pub(super) n_came: u64,
    /// Exchanges for which there was no room.
    pub(super) n_dropped: u64,
}

impl Held {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: VecDeque::new(), n_bytes: 0, limit, n_came: 0, n_dropped: 0 }
    }

    /// Takes one in, or drops it when there is no room: those that are held are older, and a test
    /// looks at them first.
    pub(super) fn push(&mut self, exchange: Exchange) {
        self.n_came += 1;
        let weight = exchange.weight();
        match self.n_bytes + weight <= self.limit {
            true => {
                self.n_bytes += weight;
                self.waiting.push_back(exchange);
            }
            false => self.n_dropped += 1,
        }
    }

    /// Takes out the first that matches, of those from `looked` on; moves `looked` behind those
    /// that do not.
    pub(super) fn take(
        &mut self,
        looked: &mut usize,
        matches: &mut dyn FnMut(&Exchange) -> bool,
    ) -> Option<Exchange> {
        while let Some(exchange) = self.waiting.get(*looked) {
            if matches(exchange) {
                let exchange = self.waiting.remove(*looked)?;
                self.n_bytes = self.n_bytes.saturating_sub(exchange.weight());
                return Some(exchange);
            }
            *looked += 1;
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Exchange> {
        self.waiting.iter()
    }

    /// The first `n`.
    pub(super) fn take_first(&mut self, n: usize) -> Vec<Exchange> {
        let first: Vec<_> = self.waiting.drain(..n.min(self.waiting.len())).collect();
        let weight: usize = first.iter().map(Exchange::weight).sum();
        self.n_bytes = self.n_bytes.saturating_sub(weight);
        first
    }
}
