//! The way of finished exchanges out of the pairer, in the order in which they ended.

use std::collections::VecDeque;

use crate::message::Exchange;

/// Exchanges to be told, the first one first. Each in a box of its own from its request on: they are
/// large, and pass from hand to hand.
#[derive(Debug, Default)]
pub struct Told {
    exchanges: VecDeque<Box<Exchange>>,
}

impl Told {
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    pub fn pop(&mut self) -> Option<Box<Exchange>> {
        self.exchanges.pop_front()
    }

    pub(super) fn push(&mut self, exchange: Box<Exchange>) {
        self.exchanges.push_back(exchange);
    }
}
