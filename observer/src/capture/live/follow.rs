//! A running capture keeps up with the interfaces of its namespace: what the kernel tells of them,
//! and, now and then, whether that was all.

use super::links::{Change, Interface};
use super::{Capture, CaptureError, Tap};

impl Capture {
    /// Attaches to what has come and lets go of what went.
    pub(super) fn follow_links(&mut self) -> Result<(), CaptureError> {
        for change in self.links.changes()? {
            self.take(change);
        }
        Ok(())
    }

    fn take(&mut self, change: Change) {
        self.version += 1;
        match change {
            Change::Gone(ifindex) => self.let_go(ifindex),
            Change::Present(link) => self.meet(link),
            Change::All(links) => {
                let is_gone = |ifindex: &u32| !links.iter().any(|it| it.ifindex == *ifindex);
                let gone: Vec<_> = self.attached.keys().copied().filter(is_gone).collect();
                gone.into_iter().for_each(|ifindex| self.let_go(ifindex));
                links.into_iter().for_each(|link| self.meet(link));
            }
        }
    }

    /// Makes what is attached what exists, whatever was told of it.
    pub(super) fn reconcile(&mut self) -> Result<(), CaptureError> {
        self.reconcile_due = self.now().after(self.reconcile_ns);
        let Self { tap, object, attached, .. } = self;
        if let Tap::Tc(taps) = tap
            && !self.is_detached
        {
            let broken = attached.values().filter(|link| !taps.is_intact(object, link));
            let broken: Vec<_> = broken.map(|link| link.ifindex).collect();
            for ifindex in broken {
                self.let_go(ifindex);
            }
        }
        let present = self.links.list()?;
        self.take(Change::All(present));
        Ok(())
    }

    fn let_go(&mut self, ifindex: u32) {
        self.attached.remove(&ifindex);
        self.names.forget(ifindex);
        self.refused.remove(&ifindex);
        match &mut self.tap {
            Tap::Tc(taps) => taps.forget(ifindex),
            Tap::Socket(socket) => socket.forget(ifindex),
        }
    }

    fn meet(&mut self, link: Interface) {
        if self.is_detached {
            return;
        }
        if !self.wanted.includes(&link.name) {
            // It may have had a name that was wanted.
            if self.attached.contains_key(&link.ifindex) {
                self.let_go(link.ifindex);
            }
            return;
        }
        let is_new = !self.attached.contains_key(&link.ifindex);
        if is_new && !link.is_current() {
            // Attaching goes by name, and the name may be another's by now.
            return;
        }
        self.names.tell(&link);
        let result = match &mut self.tap {
            Tap::Tc(taps) if is_new => taps.attach(&mut self.object, &link),
            Tap::Socket(socket) if is_new => socket.add(&mut self.object, &link),
            _ => Ok(()),
        };
        match result {
            Ok(()) => {
                self.attached.insert(link.ifindex, link);
            }
            // Gone or renamed meanwhile; the message about that is on its way.
            Err(_) if !link.is_current() => {}
            Err(error) if self.refused.insert(link.ifindex) => {
                self.warnings.push(format!("not watching {}: {error}", link.name));
            }
            Err(_) => {}
        }
    }
}
