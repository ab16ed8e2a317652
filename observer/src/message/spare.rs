//! Memory of heads that are gone, for those to come.
//!
//! Each head has two pieces of memory, for its bytes and for its fields, and an allocator takes its
//! time to give and to take them back. A few of each wait here instead, those of a thread for the
//! thread: an exchange lives and dies on one.

use std::cell::RefCell;

use super::Field;

/// Heads whose memory waits, at most.
const MAX_HEADS: usize = 16;

/// More than this is not worth keeping, in bytes of either piece.
const MAX_BYTES: usize = 4 << 10;

/// More fields than this are not worth keeping room for.
const MAX_FIELDS: usize = MAX_BYTES / size_of::<Field>();

/// Fields that most heads have room for.
const USUAL_FIELDS: usize = 12;

#[derive(Default)]
struct Spare {
    bytes: Vec<Vec<u8>>,
    fields: Vec<Vec<Field>>,
}

thread_local! {
    static SPARE: RefCell<Spare> = const {
        RefCell::new(Spare { bytes: Vec::new(), fields: Vec::new() })
    };
}

/// A copy of `bytes`.
pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().bytes.pop()).ok().flatten();
    let mut copy = spare.unwrap_or_else(|| Vec::with_capacity(bytes.len()));
    copy.extend_from_slice(bytes);
    copy
}

/// Room for the usual number of fields.
pub(crate) fn fields() -> Vec<Field> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().fields.pop()).ok().flatten();
    spare.unwrap_or_else(|| Vec::with_capacity(USUAL_FIELDS))
}

/// Takes back what a head had.
pub(super) fn give_back(mut bytes: Vec<u8>, mut fields: Vec<Field>) {
    // While a thread ends there is nowhere to put them.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.bytes.len() < MAX_HEADS && (1..=MAX_BYTES).contains(&bytes.capacity()) {
            bytes.clear();
            spare.bytes.push(bytes);
        }
        if spare.fields.len() < MAX_HEADS && (1..=MAX_FIELDS).contains(&fields.capacity()) {
            fields.clear();
            spare.fields.push(fields);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_used_again_and_empty() {
        give_back(b"GET / HTTP/1.1".to_vec(), Vec::with_capacity(3));
        assert_eq!(copy(b"ab"), b"ab");
        assert!(fields().is_empty());
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
            assert_eq!((spare.bytes.len(), spare.fields.len()), (MAX_HEADS, MAX_HEADS));
            assert!(spare.bytes.iter().all(|bytes| bytes.capacity() <= MAX_BYTES));
            assert!(spare.fields.iter().all(|fields| fields.capacity() <= MAX_FIELDS));
        });
    }
}
