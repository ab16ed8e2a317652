//! The fields that observer itself reads: told from all others once, when a head is read.
//!
//! Every message is asked for a dozen fields of which it has two or three (`Transfer-Encoding`,
//! `Expect`, `Cookie`, …). Behind this module that is a question about one bit, and never again
//! about text.

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// A field that observer reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Name {
            $($name,)*
        }

        /// Each of them as it is compared, in lower case.
        const KNOWN: &[(Name, &[u8])] = &[$((Name::$name, $text),)*];
    };
}

names! {
    Authorization = b"authorization",
    Connection = b"connection",
    ContentLength = b"content-length",
    ContentLocation = b"content-location",
    Cookie = b"cookie",
    Expect = b"expect",
    Host = b"host",
    Link = b"link",
    Location = b"location",
    ProxyAuthorization = b"proxy-authorization",
    ProxyConnection = b"proxy-connection",
    Referer = b"referer",
    Refresh = b"refresh",
    SecWebSocketExtensions = b"sec-websocket-extensions",
    SecWebSocketProtocol = b"sec-websocket-protocol",
    SetCookie = b"set-cookie",
    TransferEncoding = b"transfer-encoding",
    Upgrade = b"upgrade",
    UserAgent = b"user-agent",
    XApiKey = b"x-api-key",
}

impl Name {
    /// How many there are.
    pub(super) const N: usize = KNOWN.len();

    /// Which field `name` is, whatever its case; `None` for one that nobody here reads.
    #[inline]
    pub fn of(name: &[u8]) -> Option<Self> {
        let (&first, &last) = (name.first()?, name.last()?);
        let &(known, text) = PLACES.get(place(name.len(), first, last))?.as_ref()?;
        is_same(name, text).then_some(known)
    }
}

/// Some of the known names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names(u32);

impl Names {
    pub const fn of(names: &[Name]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < names.len() {
            set |= 1 << names[i] as u32;
            i += 1;
        }
        Self(set)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    #[inline]
    pub(super) fn insert(&mut self, name: Name) {
        self.0 |= 1 << name as u32;
    }

    #[inline]
    pub fn contains(self, name: Name) -> bool {
        self.0 >> name as u32 & 1 != 0
    }

    /// Whether any name is in both.
    #[inline]
    pub fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// Each name in a place of its own, found by its length and both its ends.
const PLACES: [Option<(Name, &[u8])>; 64] = {
    let mut places = [None; 64];
    let mut i = 0;
    while i < KNOWN.len() {
        let (_, text) = KNOWN[i];
        let at = place(text.len(), text[0], text[text.len() - 1]);
        assert!(places[at].is_none(), "two names in one place: choose other factors");
        places[at] = Some(KNOWN[i]);
        i += 1;
    }
    places
};

/// The factors are the first that keep the known names apart, and apart from most of those that
/// browsers and servers send beside them.
#[inline(always)]
const fn place(len: usize, first: u8, last: u8) -> usize {
    ((len & 63) * 7 + (first | 0x20) as usize * 27 + (last | 0x20) as usize) & 63
}

/// Whether `name` is `known`, whatever its case. `known` is lower-case and of the bytes that names of
/// fields have, without `_`: then a byte of it with the bit 0x40 is a letter.
#[inline]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    if name.len() != known.len() {
        return false;
    }
    // Both ends, which meet or overlap up to 16 bytes; between them eight at a time.
    match (name.split_first_chunk::<8>(), known.split_first_chunk::<8>()) {
        (Some((first, rest)), Some((known_first, known_rest))) => {
            let mut differs = difference(*first, *known_first);
            for (word, known) in rest.as_chunks().0.iter().zip(known_rest.as_chunks().0) {
                differs |= difference(*word, *known);
            }
            if let (Some(last), Some(known)) = (name.last_chunk(), known.last_chunk()) {
                differs |= difference(*last, *known);
            }
            differs == 0
        }
        _ => name.iter().zip(known).fold(0, |d, (&a, &k)| d | (a | (k & 0x40) >> 1) ^ k) == 0,
    }
}

/// Zero where eight bytes are the same, letters in any case.
fn difference(word: [u8; 8], known: [u8; 8]) -> u64 {
    const LETTERS: u64 = 0x4040_4040_4040_4040;
    let known = u64::from_ne_bytes(known);
    (u64::from_ne_bytes(word) | (known & LETTERS) >> 1) ^ known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_ascii_without_case() {
        for &(name, known) in KNOWN {
            for at in 0..known.len() {
                for byte in 0..=u8::MAX {
                    for upper in [false, true] {
                        let mut text = known.to_vec();
                        if upper {
                            text.make_ascii_uppercase();
                        }
                        text[at] = byte;
                        let expected = text.eq_ignore_ascii_case(known).then_some(name);
                        assert_eq!(Name::of(&text), expected, "{text:?}");
                    }
                }
            }
            assert_eq!(Name::of(&known[1..]), None);
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in ["", "a", "Accept", "Content-Type", "x-request-id", "hosts", "~odd"] {
            assert_eq!(Name::of(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut names = Names::default();
        names.insert(Name::Host);
        names.insert(Name::XApiKey);
        assert!(names.contains(Name::Host) && !names.contains(Name::Cookie));
        assert!(names.intersects(Names::of(&[Name::Cookie, Name::XApiKey])));
        assert!(!names.intersects(Names::of(&[Name::Cookie, Name::Link])));
    }
}
