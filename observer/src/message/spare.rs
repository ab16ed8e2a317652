//! Memory of heads that are gone, for those to come.
//!
//! Each head has two pieces of memory, for its bytes and for its fields, and an allocator takes its
//! time to give and to take them back. A few wait here instead, those of a thread for the thread: an
//! exchange lives and dies on one.

use std::cell::RefCell;

use super::Field;

/// Heads whose memory waits, at most.
const MAX_HEADS: usize = 16;

/// More than this is not worth keeping, in bytes of either piece.
const MAX_BYTES: usize = 4 << 10;

/// More fields than this are not worth keeping room for.
const MAX_FIELDS: usize = MAX_BYTES / size_of::<Field>();

thread_local! {
    static SPARE: RefCell<Vec<(Vec<u8>, Vec<Field>)>> = const { RefCell::new(Vec::new()) };
}

/// Room for bytes and fields.
pub(super) fn take() -> (Vec<u8>, Vec<Field>) {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

/// Takes back what a head had.
pub(super) fn give_back(mut bytes: Vec<u8>, mut fields: Vec<Field>) {
    if bytes.capacity() > MAX_BYTES || fields.capacity() > MAX_FIELDS || bytes.capacity() == 0 {
        return;
    }
    bytes.clear();
    fields.clear();
    // While a thread ends there is nowhere to put it.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_HEADS {
            spare.push((bytes, fields));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_used_again_and_empty() {
        let bytes = b"GET / HTTP/1.1".to_vec();
        let memory = bytes.as_ptr();
        give_back(bytes, Vec::with_capacity(3));
        let (bytes, fields) = take();
        assert_eq!(bytes.as_ptr(), memory);
        assert!(bytes.is_empty() && fields.is_empty());
    }

    #[test]
    fn little_is_kept() {
        for n in 0..2 * MAX_HEADS {
            give_back(Vec::with_capacity(n * MAX_BYTES), Vec::with_capacity(n * MAX_FIELDS));
        }
        for n in 0..2 * MAX_HEADS {
            give_back(Vec::with_capacity(1 + n), Vec::with_capacity(1 + n));
        }
        SPARE.with_borrow(|spare| {
            assert_eq!(spare.len(), MAX_HEADS);
            assert!(spare.iter().all(|(bytes, _)| bytes.capacity() <= MAX_BYTES));
            assert!(spare.iter().all(|(_, fields)| fields.capacity() <= MAX_FIELDS));
        });
    }
}
