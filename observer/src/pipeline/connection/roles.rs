//! Who is the client, and what is still wanted of each half.

use super::Connection;
use crate::http::{self, Role};
use crate::tcp::{Delivery, Facts, Side, What, Wish};

/// Bytes of a flow without any message after which it is another protocol whose first words looked
/// like a request: IRC, SMTP, a game. A start line is bounded by as much.
const MAX_FRUITLESS: u64 = 128 << 10;

impl Connection {
    /// Whether so much came without any message that none is to be expected.
    pub(super) fn is_fruitless(&mut self, delivery: &Delivery<'_>) -> bool {
        if let What::Bytes(bytes) = delivery.what
            && !self.pairer.has_begun()
        {
            self.fruitless = self.fruitless.saturating_add(bytes.len() as u64);
        }
        self.fruitless > MAX_FRUITLESS && !self.pairer.has_begun()
    }

    /// What the rest of a body is needed for: nothing, once the prefix that was asked for is there.
    pub(super) fn wish(&self, role: Role, wanted: usize) -> Wish {
        let (parser, message) = match role {
            Role::Request => (&self.requests, self.pairer.request()),
            Role::Response => (&self.responses, self.pairer.response()),
        };
        let left = parser.as_ref().map_or(0, |parser| parser.body_left());
        let has_prefix = message.is_some_and(|m| m.body_bytes >= wanted as u64);
        let is_body = role == Role::Response || !self.pairer.is_body_in_doubt();
        if left > 0 && has_prefix && is_body { Wish::Without(left) } else { Wish::All }
    }

    /// What the sender's half carries. Where no handshake was seen, the first bytes that look like
    /// a message decide; until then nothing can be told.
    pub(super) fn role_of(&mut self, facts: &Facts, delivery: &Delivery<'_>) -> Option<Role> {
        if self.client.is_none() {
            self.client = facts.initiator;
        }
        let client = match (self.client, delivery.what) {
            (Some(client), _) => client,
            (None, What::Bytes(bytes)) => {
                let [low, high] = &mut self.undecided;
                let undecided = if delivery.side == Side::Low { low } else { high };
                let client = match http::first_bytes(bytes, *undecided) {
                    Some(Role::Request) => delivery.side,
                    Some(Role::Response) => delivery.side.opposite(),
                    None => {
                        *undecided = true;
                        return None;
                    }
                };
                self.client = Some(client);
                client
            }
            (None, What::Gap(_) | What::Skipped(_) | What::End(_)) => return None,
        };
        Some(if delivery.side == client { Role::Request } else { Role::Response })
    }
}
