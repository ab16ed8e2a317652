//! TLS hellos under OpenTelemetry's `tls.*`, which also has no name for what was only offered.

use serde::Serialize;

use super::super::text::Text;
use crate::tunnel::inner::tls::Hello;
use crate::tunnel::inner::{Hellos, Inner};

#[derive(Serialize)]
pub(in super::super) struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// The protocol that the server chose; encrypted since TLS 1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_protocol: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client<'a>>,
}

#[derive(Serialize)]
struct Protocol {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Client<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offered_protocols: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offered_versions: Vec<&'static str>,
}

impl<'a> Tls<'a> {
    pub(in super::super) fn new(inner: &'a Inner) -> Option<Self> {
        let Inner::Tls(hellos) = inner else { return None };
        Some(Self::of(hellos))
    }

    pub(in super::super) fn of(hellos: &'a Hellos) -> Self {
        let server = hellos.server.as_ref();
        Self {
            protocol: server
                .and_then(|hello| version(*hello.versions.first()?))
                .map(|(name, version)| Protocol { name, version }),
            next_protocol: server.and_then(|hello| hello.alpn.first()).map(|name| Text(name)),
            client: hellos.client.as_ref().map(Client::new),
        }
    }
}

impl<'a> Client<'a> {
    fn new(hello: &'a Hello) -> Self {
        let versions = hello.versions.iter().filter_map(|v| version(*v));
        Self {
            server_name: hello.server_name.as_deref().map(Text),
            offered_protocols: hello.alpn.iter().map(|name| Text(name)).collect(),
            offered_versions: versions.map(|(_, version)| version).collect(),
        }
    }
}

/// `tls.protocol.name` and `.version` as OpenTelemetry writes them.
fn version(wire: u16) -> Option<(&'static str, &'static str)> {
    match wire {
        0x0300 => Some(("ssl", "3")),
        0x0301 => Some(("tls", "1.0")),
        0x0302 => Some(("tls", "1.1")),
        0x0303 => Some(("tls", "1.2")),
        0x0304 => Some(("tls", "1.3")),
        _ => None,
    }
}
