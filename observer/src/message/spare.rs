//! Memory of heads that are gone, for those to come.
//!
//! Each head has three pieces of memory, for its bytes, for its fields, and for what says where both
//! are, and an allocator takes its time to give and to take them back. A few wait here instead, those
//! of a thread for the thread: an exchange lives and dies on one.

use std::cell::RefCell;

use super::Field;
use super::head::Parts;

/// Heads whose memory waits, at most.
const MAX_HEADS: usize = 16;

/// More than this is not worth keeping, in bytes of either piece.
const MAX_BYTES: usize = 4 << 10;

/// More fields than this are not worth keeping room for.
const MAX_FIELDS: usize = MAX_BYTES / size_of::<Field>();

thread_local! {
    #[expect(clippy::vec_box, reason = "what is kept for later is the box")]
    static SPARE: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
}

/// A head without bytes and fields.
pub(super) fn take() -> Box<Parts> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare.unwrap_or_else(|| Box::new(Parts::new()))
}

/// Takes back what a head had.
pub(super) fn give_back(mut parts: Box<Parts>) {
    if parts.raw.capacity() > MAX_BYTES || parts.fields.capacity() > MAX_FIELDS {
        return;
    }
    parts.raw.clear();
    parts.fields.clear();
    // While a thread ends there is nowhere to put it.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_HEADS {
            spare.push(parts);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(n_bytes: usize, n_fields: usize) -> Box<Parts> {
        let mut parts = Box::new(Parts::new());
        parts.raw.reserve_exact(n_bytes);
        parts.fields.reserve_exact(n_fields);
        parts
    }

    #[test]
    fn what_was_given_back_is_used_again_and_empty() {
        let mut given = parts(100, 3);
        given.raw.extend_from_slice(b"GET / HTTP/1.1");
        let memory = given.raw.as_ptr();
        give_back(given);
        let taken = take();
        assert_eq!(taken.raw.as_ptr(), memory);
        assert!(taken.raw.is_empty() && taken.fields.is_empty());
    }

    #[test]
    fn little_is_kept() {
        for n in 0..2 * MAX_HEADS {
            give_back(parts(n * MAX_BYTES, n * MAX_FIELDS));
        }
        for n in 0..2 * MAX_HEADS {
            give_back(parts(1 + n, 1 + n));
        }
        SPARE.with_borrow(|spare| {
            assert_eq!(spare.len(), MAX_HEADS);
            assert!(spare.iter().all(|parts| parts.raw.capacity() <= MAX_BYTES));
            assert!(spare.iter().all(|parts| parts.fields.capacity() <= MAX_FIELDS));
        });
    }
}
