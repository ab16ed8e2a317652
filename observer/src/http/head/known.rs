//! Fields that were read before: the same bytes again are the same fields, moved.
//!
//! A client and a server mostly say the same of themselves in every message. What follows a start line
//! is compared with a few blocks of fields that were read last, and where it begins like one of them
//! to the empty line, nothing of it is read again. A reader of plain heads looks at no byte behind the
//! empty line, so what it finds depends on these bytes alone.
//!
//! Knows bytes and places; what makes a field is the reader's business.

use std::cell::RefCell;

use super::super::Role;
use super::credit::Credit;
use crate::message::{Field, Span};

/// Blocks that are known of each role.
const N_BLOCKS: usize = 8;

/// A longer block is not kept.
const MAX_BYTES: usize = 1 << 10;

/// Fields up to the empty line and with it.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Where it stood in the head that it was read in, from whose beginning the places count.
    start: u32,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Known {
    blocks: [Block; N_BLOCKS],
    credit: Credit,
}

impl Known {
    const fn new() -> Self {
        const NONE: Block = Block { bytes: Vec::new(), start: 0, fields: Vec::new() };
        Self { blocks: [NONE; N_BLOCKS], credit: Credit::new() }
    }
}

thread_local! {
    static KNOWN: RefCell<[Known; 2]> = const { RefCell::new([Known::new(), Known::new()]) };
}

/// Where the head ends whose first field begins at `start`, if its fields are known: they go into
/// `fields`.
#[inline]
pub(super) fn find(
    bytes: &[u8],
    start: usize,
    role: Role,
    fields: &mut Vec<Field>,
) -> Option<usize> {
    with(role, |known| {
        if !known.credit.begin() {
            return None;
        }
        let rest = bytes.get(start..)?;
        let block = known.blocks.get(place(rest))?;
        if block.bytes.is_empty() || !rest.starts_with(&block.bytes) {
            return None;
        }
        known.credit.earn();
        let end = start.checked_add(block.bytes.len())?;
        let start = u32::try_from(start).ok().filter(|_| end <= u32::MAX as usize)?;
        fields.extend(block.fields.iter().map(|&field| moved(field, block.start, start)));
        Some(end)
    })
}

/// Takes note of `fields`, which were looked for in vain, and read between `start` and `end`.
#[inline]
pub(super) fn remember(bytes: &[u8], start: usize, end: usize, fields: &[Field], role: Role) {
    with(role, |known| {
        if !known.credit.spend() {
            return None;
        }
        let rest = bytes.get(start..)?;
        let read = bytes.get(start..end).filter(|read| read.len() <= MAX_BYTES)?;
        let block = known.blocks.get_mut(place(rest))?;
        block.start = u32::try_from(start).ok()?;
        block.bytes.clear();
        block.bytes.extend_from_slice(read);
        block.fields.clear();
        block.fields.extend_from_slice(fields);
        Some(())
    });
}

/// The field of a block that stood at `from` and stands at `to` now. An empty value has no place.
fn moved(field: Field, from: u32, to: u32) -> Field {
    let moved = |at: u32| at.saturating_sub(from).saturating_add(to);
    let moved = |Span { start, end }| match end {
        0 => Span::default(),
        _ => Span { start: moved(start), end: moved(end) },
    };
    Field { name: moved(field.name), value: moved(field.value), ..field }
}

/// Messages without a body differ in length where they are of different kinds.
fn place(rest: &[u8]) -> usize {
    rest.len() % N_BLOCKS
}

fn with<T>(role: Role, f: impl FnOnce(&mut Known) -> Option<T>) -> Option<T> {
    // While a thread ends nothing is known.
    let result = KNOWN.try_with(|known| {
        let [requests, responses] = &mut *known.borrow_mut();
        f(if role == Role::Request { requests } else { responses })
    });
    result.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::credit;
    use super::*;
    use crate::message::Name;

    #[test]
    fn known_fields_are_found_where_they_are_now() {
        let field = |name: (u32, u32), value: (u32, u32), known| Field {
            name: Span { start: name.0, end: name.1 },
            value: Span { start: value.0, end: value.1 },
            known,
        };
        let block = "Host: a\r\nX:\r\n\r\n";
        let first = format!("GET / HTTP/1.1\r\n{block}");
        let fields = [field((16, 20), (22, 23), Some(Name::Host)), field((25, 26), (0, 0), None)];
        remember(first.as_bytes(), 16, first.len(), &fields, Role::Request);
        // Or it would be looked for later.
        KNOWN.with_borrow_mut(|known| known.iter_mut().for_each(|known| known.credit.earn()));
        let next = format!("GET /b HTTP/1.1\r\n{block}");
        let expected =
            vec![field((17, 21), (23, 24), Some(Name::Host)), field((26, 27), (0, 0), None)];
        let find = |text: &str, role| {
            let mut fields = Vec::new();
            find(text.as_bytes(), 17, role, &mut fields).map(|end| (fields, end))
        };
        assert_eq!(find(&next, Role::Request), Some((expected, next.len())));
        assert_eq!(find(&next, Role::Response), None, "the other role");
        let other = next.replace("Host", "Hose");
        assert_eq!(find(&other, Role::Request), None, "other bytes");
        assert_eq!(find(&next[..next.len() - 8], Role::Request), None, "a part");
    }

    #[test]
    fn what_never_comes_again_is_hardly_kept() {
        let (mut n_kept, n) = (0, 1600);
        for i in 0..n {
            let head = format!("GET / HTTP/1.1\r\nX: {i:04}\r\n\r\n");
            assert_eq!(find(head.as_bytes(), 16, Role::Request, &mut Vec::new()), None);
            remember(head.as_bytes(), 16, head.len(), &[], Role::Request);
            let fields = &head.as_bytes()[16..];
            n_kept += KNOWN.with_borrow(|[known, _]| {
                usize::from(known.blocks.iter().any(|block| block.bytes == fields))
            });
        }
        assert_eq!(n_kept, n / usize::from(credit::ONE_IN));
    }

    #[test]
    fn what_comes_again_is_known_soon() {
        let n_known = (0..200).filter(|i| {
            let head = format!("GET /{i} HTTP/1.1\r\nX: {}\r\n\r\n", i / 100);
            let start = head.find("X").unwrap();
            let found = find(head.as_bytes(), start, Role::Request, &mut Vec::new());
            if found.is_none() {
                remember(head.as_bytes(), start, head.len(), &[], Role::Request);
            }
            found.is_some()
        });
        assert!(n_known.count() >= 160);
    }
}
