//! The way of finished exchanges out of the pairer, in the order in which they ended.

use std::collections::VecDeque;
use std::mem;

use crate::message::Exchange;

/// Exchanges to be told, the first one first. Each in a box of its own from its request on: they are
/// large, and pass from hand to hand.
#[derive(Debug, Default)]
pub struct Told {
    /// The next one; usually there is no other, and no memory is kept for it.
    first: Option<Box<Exchange>>,
    others: VecDeque<Box<Exchange>>,
}

impl Told {
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub fn pop(&mut self) -> Option<Box<Exchange>> {
        let next = self.others.pop_front();
        if next.is_some() && self.others.is_empty() {
            self.others = VecDeque::new();
        }
        mem::replace(&mut self.first, next)
    }

    pub(super) fn push(&mut self, exchange: Box<Exchange>) {
        match self.first {
            None => self.first = Some(exchange),
            Some(_) => self.others.push_back(exchange),
        }
    }
}
