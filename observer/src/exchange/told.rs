//! The way of finished exchanges out of the pairer, in the order in which they ended.

use super::queue::Queue;
use crate::message::Exchange;

/// Exchanges to be told, the first one first; usually there is one. Each in a box of its own from its
/// request on: they are large, and pass from hand to hand.
#[derive(Debug, Default)]
pub struct Told(Queue<Box<Exchange>>);

impl Told {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn pop(&mut self) -> Option<Box<Exchange>> {
        self.0.pop_front()
    }

    pub(super) fn push(&mut self, exchange: Box<Exchange>) {
        self.0.push_back(exchange);
    }
}
