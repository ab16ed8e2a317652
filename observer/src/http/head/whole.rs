//! Heads that were read before: the same bytes again are the same head, and say the same.
//!
//! A load generator, a health check, a poller asks the same each time, and within a second is told
//! the same. A head of the same bytes is not copied: it is shared.
//!
//! Knows bytes and what they were read as; how they are read is the business of others.

use std::cell::RefCell;

use super::super::Role;
use super::super::gist::Gist;
use super::credit::Credit;
use crate::message::Head;

/// Heads that are known of each role.
const N_HEADS: usize = 16;

/// A longer head is not kept.
const MAX_BYTES: usize = 4 << 10;

/// A head and what it says.
#[derive(Debug)]
pub struct Whole {
    pub head: Head,
    pub gist: Gist,
}

#[derive(Debug)]
struct Heads {
    known: [Option<Whole>; N_HEADS],
    credit: Credit,
}

impl Heads {
    const fn new() -> Self {
        Self { known: [const { None }; N_HEADS], credit: Credit::new() }
    }
}

thread_local! {
    static HEADS: RefCell<[Heads; 2]> = const { RefCell::new([Heads::new(), Heads::new()]) };
}

/// The head that `bytes` begin with, if it is known.
#[inline]
pub(super) fn find(bytes: &[u8], role: Role) -> Option<Whole> {
    with(role, |heads| {
        if !heads.credit.begin() {
            return None;
        }
        let Whole { head, gist } = heads.known.get(place(bytes))?.as_ref()?;
        if !bytes.starts_with(head.raw()) {
            return None;
        }
        heads.credit.earn();
        Some(Whole { head: head.clone(), gist: *gist })
    })
}

/// Takes note of the head that `bytes` begin with, which was looked for in vain.
#[inline]
pub(super) fn remember(bytes: &[u8], whole: &Whole, role: Role) {
    with(role, |heads| {
        if !heads.credit.spend() || whole.head.raw().len() > MAX_BYTES {
            return None;
        }
        let known = heads.known.get_mut(place(bytes))?;
        *known = Some(Whole { head: whole.head.clone(), gist: whole.gist });
        Some(())
    });
}

/// Where a head is, what follows it comes with it mostly, and is as long each time.
fn place(bytes: &[u8]) -> usize {
    bytes.len() % N_HEADS
}

fn with<T>(role: Role, f: impl FnOnce(&mut Heads) -> Option<T>) -> Option<T> {
    // While a thread ends nothing is known.
    let result = HEADS.try_with(|heads| {
        let [requests, responses] = &mut *heads.borrow_mut();
        f(if role == Role::Request { requests } else { responses })
    });
    result.ok().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::credit::ONE_IN;
    use super::super::{parse, parse_plain};
    use super::*;

    fn read(text: &str, role: Role) -> Whole {
        parse_plain(text.as_bytes(), role).unwrap()
    }

    /// The head, read until it is known, and then some times more.
    fn known(text: &str) -> Vec<Whole> {
        let n = usize::from(ONE_IN);
        (0..3 * n).map(|_| read(text, Role::Request)).skip(2 * n).collect()
    }

    /// Whether both are one in memory.
    fn is_same(a: &Whole, b: &Whole) -> bool {
        a.head.raw().as_ptr() == b.head.raw().as_ptr()
    }

    #[test]
    fn the_same_bytes_are_the_same_head() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let known: Vec<Whole> = known(text);
        assert!(known.iter().all(|whole| is_same(whole, &known[0])));
        assert_eq!(known[0].head.raw(), text.as_bytes());
        let other = text.replace("Host", "Hose");
        assert_eq!(read(&other, Role::Request).head.raw(), other.as_bytes());
        assert!(parse_plain(text.as_bytes(), Role::Response).is_none(), "the other role");
        assert!(parse_plain(&text.as_bytes()[..text.len() - 1], Role::Request).is_none());
    }

    #[test]
    fn who_changes_a_shared_head_has_one_of_their_own() {
        let text = "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut known: Vec<Whole> = known(text);
        let mut changed = known.pop().unwrap();
        assert!(is_same(&changed, &known[0]));
        changed.head.change_raw(|raw| raw.fill(b'*'));
        assert_eq!(known[0].head.raw(), text.as_bytes());
        assert_eq!(read(text, Role::Request).head.raw(), text.as_bytes());
        assert_eq!(changed.head.fields(), known[0].head.fields());
    }

    #[test]
    fn what_never_comes_again_is_hardly_kept() {
        let (mut n_kept, n) = (0, 1600);
        for i in 0..n {
            let text = format!("GET /{i:04} HTTP/1.1\r\n\r\n");
            let whole = read(&text, Role::Request);
            n_kept += HEADS.with_borrow(|[heads, _]| {
                usize::from(heads.known.iter().flatten().any(|known| is_same(known, &whole)))
            });
        }
        assert_eq!(n_kept, n / usize::from(ONE_IN));
    }

    proptest! {
        #[test]
        fn what_was_read_before_changes_nothing(
            heads in proptest::collection::vec(
                (
                    "(GET|CONNECT|HEAD) (/[ab]?[?:]?|a:1)|HTTP/1\\.[01] (100|101|200|204) OK",
                    "(Host: a\r\n|Content-Length: [12]\r\n|Connection: (close|upgrade)\r\n|Upgrade: x\r\n|Transfer-Encoding: chunked\r\n){0,3}",
                    "[ab]{0,9}",
                ),
                1..60,
            ),
        ) {
            for (line, fields, rest) in heads {
                let role = if line.starts_with("HTTP") { Role::Response } else { Role::Request };
                let version = if role == Role::Request { " HTTP/1.1" } else { "" };
                let text = format!("{line}{version}\r\n{fields}\r\n");
                let head = parse(text.clone().into_bytes(), role).unwrap();
                let whole = read(&(text + &rest), role);
                prop_assert_eq!(&whole.head, &head);
                prop_assert_eq!(whole.gist, Gist::of(&head, role));
            }
        }
    }
}
