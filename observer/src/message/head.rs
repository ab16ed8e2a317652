//! The head of a message: its bytes, and where its parts lie in them.
//!
//! Who reads the bytes is the business of `http`; here is what is found in them, who holds it, and
//! how many share it.

use std::sync::Arc;

use super::{Anomalies, Name, Names, Version, spare};

/// A range of bytes inside [`Head::raw`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The first line of a message (RFC 9112 §3 and §4), as spans of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    Request { method: Span, target: Span, version: Version },
    Response { status: u16, reason: Span, version: Version },
}

/// One field line: the name as sent, the value without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Span,
    pub value: Span,
    /// Which of the fields that observer reads it is.
    pub known: Option<Name>,
}

/// A start line and its fields: the bytes as sent (each obs-fold replaced by spaces, RFC 9112
/// §5.2), and where the parts lie in them.
///
/// What nearly every message of a program says of itself is the same, so a head is shared: another one
/// of the same bytes is a count and no copy. What changes a head makes it a copy first, unless nobody
/// else has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub anomalies: Anomalies,
    parts: Arc<Parts>,
}

/// What a head consists of but for its anomalies, which depend on what came before it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    raw: Vec<u8>,
    fields: Vec<Field>,
    start: StartLine,
    names: Names,
    /// Where the first field of each known name is, of those that are there.
    places: [u8; Name::N],
    /// Those that are there more than once, or too far behind to have a place.
    repeated: Names,
    /// The request target has a `:` or a `?`: nearly none has.
    has_marks: bool,
}

impl Parts {
    /// Bytes and fields, and nothing said of them yet.
    fn new(raw: Vec<u8>, fields: Vec<Field>) -> Self {
        let (start, names) = (NO_START, Names::default());
        let (places, repeated, has_marks) = ([0; Name::N], names, false);
        Self { raw, fields, start, names, places, repeated, has_marks }
    }

    /// Forgets all but its memory.
    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.fields.clear();
    }

    /// It has some memory, and no more than so much.
    pub(super) fn is_worth_keeping(&self, n_bytes: usize, n_fields: usize) -> bool {
        (1..=n_bytes).contains(&self.raw.capacity()) && self.fields.capacity() <= n_fields
    }

    /// Says what the bytes and the fields that are there begin with.
    #[inline]
    fn begin_with(&mut self, start: StartLine) {
        self.start = start;
        (self.names, self.repeated) = (Names::default(), Names::default());
        self.places = [0; Name::N];
        for (i, field) in self.fields.iter().enumerate() {
            let Some(known) = field.known else { continue };
            let place = self.places.get_mut(known as usize).zip(u8::try_from(i).ok());
            match place {
                Some((place, i)) if !self.names.contains(known) => *place = i,
                Some(_) | None => self.repeated.insert(known),
            }
            self.names.insert(known);
        }
        self.has_marks = match start {
            StartLine::Request { target, .. } => {
                let target = self.raw.get(target.start as usize..target.end as usize);
                target.is_some_and(|t| memchr::memchr2(b':', b'?', t).is_some())
            }
            StartLine::Response { .. } => false,
        };
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

/// Until it is read.
const NO_START: StartLine =
    StartLine::Response { status: 0, reason: Span { start: 0, end: 0 }, version: Version::HTTP_11 };

impl Head {
    pub fn new(raw: Vec<u8>, start: StartLine, fields: Vec<Field>, anomalies: Anomalies) -> Self {
        let mut parts = Parts::new(raw, fields);
        parts.begin_with(start);
        Self { anomalies, parts: Arc::new(parts) }
    }

    /// The head that `read` finds, which puts its fields into room that an earlier one had and says what
    /// it begins with and which bytes it is; nothing is wrong with it.
    #[inline]
    pub(crate) fn read_with<'a>(
        read: impl FnOnce(&mut Vec<Field>) -> Option<(StartLine, &'a [u8])>,
    ) -> Option<Self> {
        let mut parts = spare::take_parts();
        let own = Arc::get_mut(&mut parts)?;
        let Some((start, raw)) = read(&mut own.fields) else {
            spare::give_back_parts(parts);
            return None;
        };
        own.raw.extend_from_slice(raw);
        own.begin_with(start);
        Some(Self { anomalies: Anomalies::default(), parts })
    }

    /// It is needed no more: what it consists of is for one to come.
    pub(super) fn give_back(self) {
        spare::give_back_parts(self.parts);
    }

    /// Its parts to change, which are its own from here on.
    fn parts_mut(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.parts)
    }

    /// A number that those who share its parts have in common, and nobody else as long as one of
    /// them is there; `None` where it shares none.
    #[inline]
    pub(crate) fn shared_number(&self) -> Option<usize> {
        (Arc::strong_count(&self.parts) > 1).then(|| Arc::as_ptr(&self.parts).addr())
    }

    /// The same head, to keep: one that shares its parts if others do already, else a copy, so that
    /// who has this one is still alone with it.
    pub(crate) fn kept(&self) -> Self {
        match self.shared_number() {
            Some(_) => self.clone(),
            None => Self { anomalies: self.anomalies, parts: Arc::new(Parts::clone(&self.parts)) },
        }
    }

    /// The bytes.
    pub fn raw(&self) -> &[u8] {
        &self.parts.raw
    }

    pub fn start(&self) -> StartLine {
        self.parts.start
    }

    /// Says that it begins otherwise.
    pub fn set_start(&mut self, start: StartLine) {
        self.parts_mut().start = start;
    }

    pub fn fields(&self) -> &[Field] {
        &self.parts.fields
    }

    /// Gives the field at `index` another value.
    pub fn set_value(&mut self, index: usize, value: Span) {
        if let Some(field) = self.parts_mut().fields.get_mut(index) {
            field.value = value;
        }
    }

    /// Changes bytes, or adds others behind them.
    pub fn change_raw<T>(&mut self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        f(&mut self.parts_mut().raw)
    }

    /// Whether the request target has a `:` or a `?`: a scheme, a port, a query.
    pub fn has_marks(&self) -> bool {
        self.parts.has_marks
    }

    /// The known names among its fields.
    pub fn names(&self) -> Names {
        self.parts.names
    }

    /// The bytes of `span`; empty when it does not lie inside the head.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.raw().get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Whether there is one field of this name, and no other.
    pub fn has_one(&self, name: Name) -> bool {
        let parts = &*self.parts;
        parts.names.contains(name) && !parts.repeated.contains(name)
            || self.values(name).count() == 1
    }

    /// The values of every field called `name`, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let parts = &*self.parts;
        // A place says nothing of what is there more than once, and nothing is there without a name.
        let fields = match parts.places.get(name as usize).map(|&at| usize::from(at)) {
            Some(_) if !parts.names.contains(name) => None,
            Some(at) if !parts.repeated.contains(name) => parts.fields.get(at..=at),
            Some(_) | None => Some(parts.fields.as_slice()),
        };
        let fields = fields.unwrap_or_default();
        fields.iter().filter(move |f| f.known == Some(name)).map(|f| self.bytes(f.value))
    }

    /// The first value of the field called `name`.
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Whether a list field (RFC 9110 §5.6.1) contains `token`, whatever its case.
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        let is = |text: &[u8]| text.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.values(name).any(|value| match value {
            // What stands there nearly always, and is one token.
            b"keep-alive" => token.eq_ignore_ascii_case("keep-alive"),
            _ => value.split(|&b| b == b',').any(is),
        })
    }

    pub fn method(&self) -> Option<&[u8]> {
        match self.start() {
            StartLine::Request { method, .. } => Some(self.bytes(method)),
            StartLine::Response { .. } => None,
        }
    }

    pub fn target(&self) -> Option<&[u8]> {
        match self.start() {
            StartLine::Request { target, .. } => Some(self.bytes(target)),
            StartLine::Response { .. } => None,
        }
    }

    /// Where `://` stands in the request target, if it does: before it the scheme of a target in
    /// absolute form (RFC 9112 §3.2.2), or part of a path.
    pub fn scheme_end(target: &[u8]) -> Option<usize> {
        memchr::memchr_iter(b':', target)
            .find(|&at| target.get(at..).is_some_and(|rest| rest.starts_with(b"://")))
    }

    /// A request without version and fields: HTTP/0.9 (RFC 1945 §4.1).
    pub fn is_simple(&self) -> bool {
        matches!(self.start(), StartLine::Request { version: Version::HTTP_09, .. })
            && self.fields().is_empty()
    }

    pub fn status(&self) -> Option<u16> {
        match self.start() {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    pub fn version(&self) -> Version {
        match self.start() {
            StartLine::Request { version, .. } | StartLine::Response { version, .. } => version,
        }
    }
}
