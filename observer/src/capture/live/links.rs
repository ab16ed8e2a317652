//! The interfaces of this network namespace, now and as they change, through rtnetlink.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_sys::{Socket, SocketAddr};

use super::netlink::{self, NetlinkError, failed};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub ifindex: u32,
    pub name: String,
    pub is_loopback: bool,
}

/// An interface, and the other end of it.
pub(super) struct Link {
    pub(super) interface: Interface,
    /// Of a veth pair.
    pub(super) peer: Option<Peer>,
}

/// The other end of a veth pair.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) ifindex: u32,
    /// The number that this namespace has for the peer's; `None` when it is the same.
    pub(super) nsid: Option<i32>,
}

/// Something happened to an interface.
pub(super) enum Change {
    /// It is there: new, renamed, or changed otherwise.
    Present(Interface),
    Gone(u32),
    /// Messages were lost; these are all that are there now.
    All(Vec<Interface>),
}

/// A socket that hears of every change.
pub(super) struct Links {
    news: Socket,
}

impl Links {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let mut news = netlink::socket()?;
        news.bind(&SocketAddr::new(0, RTMGRP_LINK)).map_err(failed("bind"))?;
        news.set_non_blocking(true).map_err(failed("stop blocking"))?;
        Ok(Self { news })
    }

    /// Readable when [`Links::changes`] has something.
    pub(super) fn fd(&self) -> RawFd {
        self.news.as_raw_fd()
    }

    /// Every interface there is now.
    pub(super) fn list(&self) -> Result<Vec<Interface>, NetlinkError> {
        Ok(list_links()?.into_iter().map(|link| link.interface).collect())
    }

    /// What has happened since the last call. When there was more than the socket could hold, the
    /// list of what is there now takes its place.
    pub(super) fn changes(&mut self) -> Result<Vec<Change>, NetlinkError> {
        let mut changes = Vec::new();
        loop {
            let bytes = match self.news.recv_from_full() {
                Ok((bytes, _)) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    changes.push(Change::All(self.list()?));
                    continue;
                }
                Err(error) => return Err(failed("receive")(error)),
            };
            netlink::each_message(&bytes, |payload| match payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    changes.extend(interface(&link).map(Change::Present));
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
                    changes.push(Change::Gone(link.header.index));
                }
                _ => {}
            })?;
        }
    }
}

impl Interface {
    /// Whether the name still is this interface's. A message about it may be old by the time it is
    /// read: since then it may have gone or been renamed, and another may have its name.
    pub(super) fn is_current(&self) -> bool {
        let Ok(name) = CString::new(self.name.as_str()) else { return false };
        // SAFETY: the name ends with a zero byte and outlives the call.
        unsafe { libc::if_nametoindex(name.as_ptr()) == self.ifindex }
    }
}

/// Every interface of the calling thread's namespace.
pub(super) fn list_links() -> Result<Vec<Link>, NetlinkError> {
    let mut found = Vec::new();
    netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            let peer = peer(&link);
            found.extend(interface(&link).map(|interface| Link { interface, peer }));
        }
    })?;
    Ok(found)
}

fn peer(link: &LinkMessage) -> Option<Peer> {
    let mut is_veth = false;
    let (mut ifindex, mut nsid) = (None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::LinkInfo(infos) => {
                is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
            }
            LinkAttribute::Link(index) => ifindex = Some(*index),
            LinkAttribute::LinkNetNsId(id) => nsid = Some(*id),
            _ => {}
        }
    }
    ifindex.filter(|_| is_veth).map(|ifindex| Peer { ifindex, nsid })
}

fn interface(link: &LinkMessage) -> Option<Interface> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let is_loopback = link.header.flags.contains(LinkFlags::Loopback);
    Some(Interface { ifindex: link.header.index, name, is_loopback })
}

/// include/uapi/linux/rtnetlink.h
const RTMGRP_LINK: u32 = 1;
