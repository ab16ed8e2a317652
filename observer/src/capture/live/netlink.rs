//! rtnetlink requests and their answers, one after the other, blocking. It must not know what the
//! messages are about.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot {action} an rtnetlink socket")]
    Socket { action: &'static str, source: io::Error },
    #[error("the kernel refused an rtnetlink request")]
    Refused(#[source] io::Error),
    #[error("cannot read an rtnetlink message")]
    Message(#[from] netlink_packet_core::DecodeError),
}

impl NetlinkError {
    /// The error number of the kernel's refusal.
    pub(super) fn refusal(&self) -> Option<i32> {
        match self {
            Self::Refused(error) => error.raw_os_error(),
            Self::Socket { .. } | Self::Message(_) => None,
        }
    }
}

/// Asks for a list and hands out its members.
pub(super) fn dump(
    request: RouteNetlinkMessage,
    each: impl FnMut(RouteNetlinkMessage),
) -> Result<(), NetlinkError> {
    exchange(request, NLM_F_DUMP, each)
}

/// Asks a question with one answer.
pub(super) fn ask(
    request: RouteNetlinkMessage,
    each: impl FnMut(RouteNetlinkMessage),
) -> Result<(), NetlinkError> {
    exchange(request, NLM_F_ACK, each)
}

/// Asks for something to be done.
pub(super) fn change(request: RouteNetlinkMessage) -> Result<(), NetlinkError> {
    exchange(request, NLM_F_ACK, |_| {})
}

fn exchange(
    request: RouteNetlinkMessage,
    flags: u16,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> Result<(), NetlinkError> {
    let socket = socket()?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map_err(failed("send on"))?;
    let mut answer = None;
    while answer.is_none() {
        let (bytes, _) = socket.recv_from_full().map_err(failed("receive on"))?;
        each_message(&bytes, |payload| match payload {
            NetlinkPayload::InnerMessage(message) => each(message),
            NetlinkPayload::Done(_) => answer = Some(Ok(())),
            // An acknowledgement is an error without a code.
            NetlinkPayload::Error(error) => {
                answer = Some(match error.code {
                    None => Ok(()),
                    Some(_) => Err(NetlinkError::Refused(error.to_io())),
                });
            }
            _ => {}
        })?;
    }
    answer.unwrap_or(Ok(()))
}

/// Hands out the messages of one datagram. One that the library cannot read (an attribute that a
/// newer kernel lays out differently) is passed over: the others still count.
pub(super) fn each_message(
    mut bytes: &[u8],
    mut each: impl FnMut(NetlinkPayload<RouteNetlinkMessage>),
) -> Result<(), NetlinkError> {
    while !bytes.is_empty() {
        let n_bytes = NetlinkBuffer::new_checked(bytes)?.length() as usize;
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            each(message.payload);
        }
        // Messages are aligned to four bytes (NLMSG_ALIGN), and none is shorter than its header.
        bytes = bytes.get(n_bytes.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn socket() -> Result<Socket, NetlinkError> {
    Socket::new(NETLINK_ROUTE).map_err(failed("open"))
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError::Socket { action, source }
}
