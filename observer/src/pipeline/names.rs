//! What interfaces and network namespaces are called. Those that are gone are remembered for a
//! while: an exchange may be told after the container that it took place in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::Netns;
use crate::tcp::Place;

/// By namespace (0 is observer's own) and index; the namespace itself has index 0.
type Key = (u32, u32);

#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<Key, Known>,
    /// Places that are gone, the first of them first. One that came back is passed over.
    gone: VecDeque<Key>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    is_gone: bool,
}

impl Names {
    /// An empty name says that there is none.
    pub(super) fn tell(&mut self, netns: u32, ifindex: u32, name: &str) {
        match self.known.get_mut(&(netns, ifindex)) {
            Some(known) => {
                known.is_gone = false;
                if *known.name != *name {
                    known.name = Arc::from(name);
                }
            }
            None => {
                let known = Known { name: Arc::from(name), is_gone: false };
                self.known.insert((netns, ifindex), known);
            }
        }
    }

    /// It is gone; after [`MAX_GONE`] others nobody will ask for it any more.
    pub(super) fn forget(&mut self, netns: u32, ifindex: u32) {
        let Some(known) = self.known.get_mut(&(netns, ifindex)) else { return };
        if std::mem::replace(&mut known.is_gone, true) {
            return;
        }
        self.gone.push_back((netns, ifindex));
        while self.gone.len() > MAX_GONE {
            if let Some(place) = self.gone.pop_front()
                && self.known.get(&place).is_some_and(|known| known.is_gone)
            {
                self.known.remove(&place);
            }
        }
    }

    pub(super) fn has(&self, netns: u32, ifindex: u32) -> bool {
        self.known.contains_key(&(netns, ifindex))
    }

    pub(super) fn interface(&self, origin: &Place) -> Option<Arc<str>> {
        self.name((origin.netns, origin.ifindex))
    }

    /// The namespace, where it is not observer's own.
    pub(super) fn netns(&self, origin: &Place) -> Option<Netns> {
        let inode = origin.netns;
        (inode != 0).then(|| Netns { inode, name: self.name((inode, 0)) })
    }

    fn name(&self, place: Key) -> Option<Arc<str>> {
        let known = self.known.get(&place).filter(|known| !known.name.is_empty());
        known.map(|known| Arc::clone(&known.name))
    }
}

/// Enough for what a busy host starts and stops while an exchange lasts.
const MAX_GONE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Hook;

    fn at(netns: u32, ifindex: u32) -> Place {
        Place { ifindex, netns, vlan: None, hook: Hook::File, encapsulation: None }
    }

    #[test]
    fn the_same_index_has_another_name_in_another_namespace() {
        let mut names = Names::default();
        names.tell(0, 2, "eth0");
        names.tell(7, 2, "ens3");
        names.tell(7, 0, "blue");
        assert_eq!(names.interface(&at(0, 2)).as_deref(), Some("eth0"));
        assert_eq!(names.interface(&at(7, 2)).as_deref(), Some("ens3"));
        assert_eq!(names.interface(&at(8, 2)), None);
        assert_eq!(names.netns(&at(0, 2)), None);
        assert_eq!(names.netns(&at(7, 1)).unwrap().name.as_deref(), Some("blue"));
        assert_eq!(names.netns(&at(8, 1)).unwrap().name, None);
        names.tell(7, 0, "");
        assert_eq!(names.netns(&at(7, 1)).unwrap().name, None);
    }

    #[test]
    fn the_gone_are_remembered_for_a_while_and_their_number_is_bounded() {
        let mut names = Names::default();
        for ifindex in 1..=5000 {
            names.tell(0, ifindex, "veth0");
            names.forget(0, ifindex);
            names.forget(0, ifindex);
            assert!(names.interface(&at(0, ifindex)).is_some());
        }
        assert_eq!((names.known.len(), names.gone.len()), (MAX_GONE, MAX_GONE));
        assert_eq!(names.interface(&at(0, 1)), None);
    }

    #[test]
    fn what_comes_back_stays() {
        let mut names = Names::default();
        names.tell(0, 1, "lo");
        names.forget(0, 1);
        names.tell(0, 1, "lo");
        for ifindex in 2..5000 {
            names.tell(0, ifindex, "veth0");
            names.forget(0, ifindex);
        }
        assert_eq!(names.interface(&at(0, 1)).as_deref(), Some("lo"));
    }
}
