//! One network namespace that is watched: what is attached in it, and how that is brought in line
//! with what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::super::links::{self, Interface, Link};
use super::super::netlink::{self, NetlinkError};
use super::super::tc::Taps;
use super::super::{Interfaces, TcAttach, clsact};
use super::entrance::{Entrances, Hall};
use super::shared::Shared;
use super::visit::Identity;

pub(super) struct Watched {
    pub(super) identity: Identity,
    pub(super) name: Option<String>,
    entrances: Entrances,
    taps: Taps,
    pub(super) attached: BTreeMap<u32, Interface>,
    /// Interfaces that could not be watched, and were complained about.
    refused: BTreeSet<u32>,
}

impl Watched {
    pub(super) fn new(identity: Identity, hall: &Arc<Hall>, mode: TcAttach) -> Self {
        Self {
            identity,
            name: None,
            entrances: Entrances::new(hall, identity.inode),
            taps: Taps::new(mode),
            attached: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Makes what is attached what exists and is wanted. To be called inside. `own` is observer's
    /// own namespace, and `own_links` the interfaces that are watched there. Tells of the names
    /// first, then attaches: segments come at once.
    pub(super) fn reconcile(
        &mut self,
        wanted: &Interfaces,
        own: BorrowedFd<'_>,
        own_links: &BTreeSet<u32>,
        shared: &Shared,
        warnings: &mut Vec<String>,
    ) -> Result<(), NetlinkError> {
        let present = links::list_links()?;
        if self.attached.is_empty() {
            let interfaces: Vec<_> = present.iter().map(|link| link.interface.clone()).collect();
            clsact::sweep(&interfaces);
        }
        let own_nsid = nsid(own)?;
        let is_seen_outside = |link: &Link| {
            link.peer.is_some_and(|peer| {
                peer.nsid.is_some() && peer.nsid == own_nsid && own_links.contains(&peer.ifindex)
            })
        };
        let wants = |link: &Link| match wanted {
            Interfaces::Any => !is_seen_outside(link),
            Interfaces::Named(_) => wanted.includes(&link.interface.name),
        };
        let meant: BTreeMap<_, _> = present
            .into_iter()
            .filter(wants)
            .map(|link| (link.interface.ifindex, link.interface))
            .collect();
        let gone: Vec<_> =
            self.attached.keys().copied().filter(|it| !meant.contains_key(it)).collect();
        for ifindex in gone {
            self.attached.remove(&ifindex);
            self.taps.forget(ifindex);
        }
        let broken: Vec<_> = (self.attached.values())
            .filter(|link| !self.taps.is_intact(&mut self.entrances, link))
            .map(|link| link.ifindex)
            .collect();
        for ifindex in broken {
            self.attached.remove(&ifindex);
            self.taps.forget(ifindex);
        }
        shared.tell(self.identity.inode, self.name.as_deref(), &meant);
        self.refused.retain(|ifindex| meant.contains_key(ifindex));
        for (ifindex, link) in meant {
            if !self.attached.contains_key(&ifindex)
                && let Err(error) = self.taps.attach(&mut self.entrances, &link)
            {
                // Gone or renamed meanwhile is no reason to complain.
                if link.is_current() && self.refused.insert(ifindex) {
                    let place = self.place();
                    warnings.push(format!("not watching {} in {place}: {error}", link.name));
                }
                continue;
            }
            self.attached.insert(ifindex, link);
        }
        if self.attached.values().all(|link| link.is_loopback) {
            self.entrances.unload_ingress();
        }
        shared.tell(self.identity.inode, self.name.as_deref(), &self.attached);
        Ok(())
    }

    /// Lets go of everything. To be called inside.
    pub(super) fn release(&mut self) {
        self.attached.clear();
        self.taps.release();
    }

    /// For messages.
    pub(super) fn place(&self) -> String {
        place(self.identity.inode, self.name.as_deref())
    }
}

/// Dropped without having been released, inside: the namespace is gone, or cannot be reached.
impl Drop for Watched {
    fn drop(&mut self) {
        self.taps.abandon();
    }
}

/// What a namespace is called in messages.
pub(super) fn place(inode: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("network namespace {name}"),
        None => format!("network namespace {inode}"),
    }
}

/// The number under which the calling thread's namespace knows another one, if it does.
fn nsid(other: BorrowedFd<'_>) -> Result<Option<i32>, NetlinkError> {
    let mut request = NsidMessage::default();
    request.attributes.push(NsidAttribute::Fd(other.as_raw_fd().cast_unsigned()));
    let mut found = None;
    netlink::ask(RouteNetlinkMessage::GetNsId(request), |answer| {
        if let RouteNetlinkMessage::NewNsId(answer) = answer {
            found = answer.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) if *id >= 0 => Some(*id),
                _ => None,
            });
        }
    })?;
    Ok(found)
}
