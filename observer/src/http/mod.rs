//! HTTP/1 message boundaries (RFC 9112): from the bytes and gaps of one half to its messages.
//!
//! Three parts: which body follows a head (`framing`), the readers of heads and bodies, and the
//! sequence of both ([`Parser`]). Nothing here knows TCP, pairs anything, or asks what time it is.

mod body;
mod detect;
mod framing;
mod gather;
mod gist;
mod head;
mod item;
mod loss;
mod outlook;
mod parser;
mod resync;

pub use self::detect::{first_bytes, may_become_request};
pub use self::framing::{Asked, BodyKind, body_kind};
pub use self::gist::{Gist, asks_takeover};
pub use self::head::Whole;
pub use self::item::{Ending, Input, Item, Limits, Part};
pub use self::parser::Parser;

/// What a half carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Request,
    Response,
}

#[cfg(test)]
mod tests;
