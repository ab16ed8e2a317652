//! Memory of exchanges and heads that are gone, for those to come.
//!
//! Each exchange has a box, and each head what those who share it hold and two pieces of memory, for
//! its bytes and for its fields; an allocator takes its time to give and to take them back. A few wait
//! here instead, those of a thread for the thread: an exchange lives and dies on one. Who is done with
//! one says so; what is dropped goes to the allocator as ever.

use std::cell::RefCell;
use std::sync::Arc;

use super::head::Parts;
use super::{Exchange, Field, Message};

/// Heads and exchanges whose memory waits, at most of each.
const MAX_KEPT: usize = 16;

/// More than this is not worth keeping, in bytes of either piece of a head.
const MAX_BYTES: usize = 4 << 10;

/// More fields than this are not worth keeping room for.
const MAX_FIELDS: usize = MAX_BYTES / size_of::<Field>();

#[derive(Debug)]
struct Spare {
    heads: Vec<Arc<Parts>>,
    /// With nothing in them.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    exchanges: Vec<Box<Exchange>>,
}

thread_local! {
    static SPARE: RefCell<Spare> =
        const { RefCell::new(Spare { heads: Vec::new(), exchanges: Vec::new() }) };
}

/// What a head consists of, empty; whoever asks is alone with it.
pub(super) fn take_parts() -> Arc<Parts> {
    with(|spare| spare.heads.pop()).unwrap_or_default()
}

/// Takes back what a head had, if nobody shares it.
pub(super) fn give_back_parts(mut parts: Arc<Parts>) {
    // What is shared is not asked for in a way that others would notice.
    if Arc::strong_count(&parts) != 1 {
        return;
    }
    if let Some(own) = Arc::get_mut(&mut parts)
        && own.is_worth_keeping(MAX_BYTES, MAX_FIELDS)
    {
        own.clear();
        with(|spare| (spare.heads.len() < MAX_KEPT).then(|| spare.heads.push(parts)));
    }
}

/// An exchange of this index that begins with `request`.
#[inline]
pub(crate) fn begin_exchange(index: u64, request: Message) -> Box<Exchange> {
    let begun = Exchange { request: Some(request), ..Exchange::new(index) };
    match with(|spare| spare.exchanges.pop()) {
        Some(mut exchange) => {
            *exchange = begun;
            exchange
        }
        // Written where it stays: a message is too large to be moved for nothing.
        None => Box::write(Box::new_uninit(), begun),
    }
}

/// Takes back what an exchange consists of that nobody needs any more, and leaves its box.
pub(crate) fn empty(exchange: &mut Exchange) {
    for message in exchange.request.iter_mut().chain(&mut exchange.response) {
        if let Some(head) = message.head.take() {
            head.give_back();
        }
    }
    *exchange = Exchange::new(0);
}

/// Takes back a box with nothing in it.
pub(crate) fn give_back_empty(exchange: Box<Exchange>) {
    with(|spare| (spare.exchanges.len() < MAX_KEPT).then(|| spare.exchanges.push(exchange)));
}

/// While a thread ends there is nothing to take, and nowhere to put it.
fn with<T>(f: impl FnOnce(&mut Spare) -> Option<T>) -> Option<T> {
    SPARE.try_with(|spare| f(&mut spare.borrow_mut())).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::{Anomalies, Head, Mark, StartLine, Version};
    use super::*;
    use crate::segment::{Offset, Timestamp};

    fn head(n_bytes: usize) -> Head {
        let start = StartLine::Response {
            status: 200,
            reason: Default::default(),
            version: Version::HTTP_11,
        };
        Head::new(vec![b'a'; n_bytes], start, Vec::new(), Anomalies::default())
    }

    fn exchange(head: Head) -> Box<Exchange> {
        let first = Mark { offset: Offset(0), time: Timestamp(0), acked: None };
        begin_exchange(7, Message::new(Some(head), first))
    }

    fn give_back(mut exchange: Box<Exchange>) {
        empty(&mut exchange);
        give_back_empty(exchange);
    }

    #[test]
    fn what_was_given_back_is_used_again_and_empty() {
        let first = exchange(head(10));
        let (at, bytes) = (&raw const *first, first.request.as_ref().unwrap().head.as_ref());
        let bytes = bytes.unwrap().raw().as_ptr();
        give_back(first);
        let read = Head::read_with(|fields| {
            assert!(fields.is_empty());
            Some((head(0).start(), b"bcd"))
        });
        let read = read.unwrap();
        assert_eq!((read.raw(), read.raw().as_ptr()), (&b"bcd"[..], bytes));
        let next = exchange(read);
        assert_eq!((&raw const *next, next.index), (at, 7));
        assert!(next.response.is_none() && next.interim.is_empty());
    }

    #[test]
    fn what_is_shared_stays() {
        let shared = head(10);
        let first = exchange(shared.clone());
        give_back(first);
        let read = Head::read_with(|_| Some((shared.start(), b"bcd"))).unwrap();
        assert_eq!((shared.raw(), read.raw()), (&[b'a'; 10][..], &b"bcd"[..]));
    }

    #[test]
    fn little_is_kept() {
        for n in 0..2 * MAX_KEPT {
            give_back(exchange(head(n * MAX_BYTES)));
        }
        let many: Vec<_> = (0..2 * MAX_KEPT).map(|n| exchange(head(n))).collect();
        many.into_iter().for_each(give_back);
        SPARE.with_borrow(|spare| {
            assert_eq!((spare.exchanges.len(), spare.heads.len()), (MAX_KEPT, MAX_KEPT));
            assert!(spare.heads.iter().all(|parts| parts.is_worth_keeping(MAX_BYTES, MAX_FIELDS)));
        });
    }
}
