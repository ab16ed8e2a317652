//! What the user asked to see: ports and hosts. A filter that is off is gone after the load.

use core::hint::cold_path;

use observer_common::config::HOSTS_MAX;
use observer_common::headers::Tcp;
use observer_common::stats::Outcome;

use crate::maps::{HOSTS, HOSTS_LEN, PORTS, PORTS_ON};

/// Ok when either end of the segment has a port, and either end a host, that was asked for.
#[inline(always)]
pub fn check(tcp: &Tcp) -> Result<(), Outcome> {
    if PORTS_ON.load() != 0 {
        cold_path();
        if !is_port_on(tcp.source_port) && !is_port_on(tcp.destination_port) {
            return Err(Outcome::Port);
        }
    }
    if HOSTS_LEN.load() != 0 {
        cold_path();
        if !is_host_on(tcp) {
            return Err(Outcome::Host);
        }
    }
    Ok(())
}

#[inline(always)]
fn is_port_on(port: u16) -> bool {
    PORTS.at(usize::from(port >> 6)) >> (port & 63) & 1 != 0
}

#[inline(always)]
fn is_host_on(tcp: &Tcp) -> bool {
    let n_hosts = HOSTS_LEN.load() as usize;
    for i in 0..HOSTS_MAX {
        if i >= n_hosts {
            break;
        }
        let network = HOSTS.at(i);
        if network.contains(tcp.source) || network.contains(tcp.destination) {
            return true;
        }
    }
    false
}
