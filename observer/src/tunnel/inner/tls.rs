//! What the hellos of a TLS handshake tell before everything is encrypted: server name, protocols
//! offered and chosen, versions (RFC 8446 §4.1, RFC 6066 §3, RFC 7301 §3.1).
//!
//! Written here and not taken from a library because those at hand want a complete message: a hello
//! of which the end was not captured still tells the name in its first part.

use super::Told;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Protocols and versions kept of one list.
const MAX_LISTED: usize = 16;

/// RFC 8446 §4.1.2 and §4.1.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    pub from_client: bool,
    pub server_name: Option<Vec<u8>>,
    /// Offered by the client; of a server the one it chose. In TLS 1.3 that is encrypted.
    pub alpn: Vec<Vec<u8>>,
    /// The same for versions: 0x0303 is TLS 1.2.
    pub versions: Vec<u16>,
}

/// Whether the half begins with a hello, and what it says. `is_last` when no more will come.
pub(super) fn read(bytes: &[u8], is_last: bool) -> Told {
    let start = [HANDSHAKE, 3];
    let n = bytes.len().min(start.len());
    if bytes.get(..n) != start.get(..n) || bytes.get(2).is_some_and(|minor| *minor > 4) {
        return Told::Nothing;
    }
    let (message, whole) = handshake(bytes);
    let mut message = Cursor(&message);
    let from_client = match message.u8() {
        Some(CLIENT_HELLO) => true,
        Some(SERVER_HELLO) => false,
        Some(_) => return Told::Nothing,
        None => return if whole || is_last { Told::Nothing } else { Told::More },
    };
    let Some(length) = message.u24() else {
        return if whole || is_last { Told::Nothing } else { Told::More };
    };
    if message.0.len() < length && !whole && !is_last {
        return Told::More;
    }
    let body = message.0.get(..length).unwrap_or(message.0);
    let mut hello = Hello { from_client, ..Hello::default() };
    match hello.read(Cursor(body)) {
        // Too short to be one, and there is no more.
        None if hello.versions.is_empty() => Told::Nothing,
        _ => Told::Tls(hello),
    }
}

/// The handshake bytes in the records that `bytes` begin with, and whether something else follows.
fn handshake(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut message = Vec::new();
    let mut records = Cursor(bytes);
    loop {
        match records.u8() {
            None => return (message, false),
            Some(HANDSHAKE) => {}
            Some(_) => return (message, true),
        }
        let (Some(_version), Some(length)) = (records.u16(), records.u16()) else {
            return (message, false);
        };
        let length = usize::from(length);
        let fragment = records.0.get(..length).unwrap_or(records.0);
        message.extend_from_slice(fragment);
        records.0 = records.0.get(length..).unwrap_or_default();
    }
}

impl Hello {
    /// Reads as far as the bytes go; `None` when they end early.
    fn read(&mut self, mut body: Cursor<'_>) -> Option<()> {
        self.versions.push(body.u16()?);
        body.take(32)?;
        let session = body.u8()?;
        body.take(usize::from(session))?;
        if self.from_client {
            let ciphers = body.u16()?;
            body.take(usize::from(ciphers))?;
            let compression = body.u8()?;
            body.take(usize::from(compression))?;
        } else {
            body.take(3)?;
        }
        let _length = body.u16()?;
        while !body.0.is_empty() {
            let kind = body.u16()?;
            let length = usize::from(body.u16()?);
            let whole = body.0.len() >= length;
            let extension = Cursor(body.0.get(..length).unwrap_or(body.0));
            self.read_extension(kind, extension);
            if !whole {
                return None;
            }
            body.take(length)?;
        }
        Some(())
    }

    fn read_extension(&mut self, kind: u16, mut extension: Cursor<'_>) -> Option<()> {
        match kind {
            SERVER_NAME if self.from_client => {
                let _list = extension.u16()?;
                let is_host_name = extension.u8()? == 0;
                let length = usize::from(extension.u16()?);
                let name = extension.take(length)?;
                self.server_name = Some(name.to_vec()).filter(|_| is_host_name);
            }
            ALPN => {
                let _list = extension.u16()?;
                while !extension.0.is_empty() && self.alpn.len() < MAX_LISTED {
                    let length = usize::from(extension.u8()?);
                    let name = extension.take(length)?;
                    if !is_grease_name(name) {
                        self.alpn.push(name.to_vec());
                    }
                }
            }
            // RFC 8446 §4.2.1: where it is, the version field before is for show.
            SUPPORTED_VERSIONS if self.from_client => {
                let _list = extension.u8()?;
                self.versions.clear();
                while !extension.0.is_empty() && self.versions.len() < MAX_LISTED {
                    let version = extension.u16()?;
                    if !is_grease(version) {
                        self.versions.push(version);
                    }
                }
            }
            SUPPORTED_VERSIONS => self.versions = vec![extension.u16()?],
            _ => {}
        }
        Some(())
    }
}

/// RFC 8701 §2: values that mean nothing, sent so that nobody chokes on unknown ones.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn is_grease_name(name: &[u8]) -> bool {
    matches!(name, [high, low] if is_grease(u16::from_be_bytes([*high, *low])))
}

/// Reads from the front; `None` when there is not enough left.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u24(&mut self) -> Option<usize> {
        let high = usize::from(self.u8()?);
        Some(high << 16 | usize::from(self.u16()?))
    }
}
