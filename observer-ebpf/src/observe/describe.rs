//! The header of a segment's records.

use observer_common::headers::Tcp;
use observer_common::record::{RecordHeader, VLAN_NONE};

use crate::skb::Skb;
use crate::socket::Socket;

/// Writes a header but for what `emit` knows of each record. Volatile, because the compiler gathers
/// plain stores into calls that store byte by byte.
#[inline(always)]
pub fn describe(
    header: *mut RecordHeader,
    skb: &Skb,
    netns: u32,
    tcp: &Tcp,
    time_ns: u64,
    skip_until: u32,
    socket: &Socket,
) {
    let vlan = match skb.vlan() {
        VLAN_NONE => tcp.vlan,
        outer => outer,
    };
    // SAFETY: the caller's, with room for a header; addresses are words here and bytes there.
    unsafe {
        (&raw mut (*header).time_ns).write_volatile(time_ns);
        (&raw mut (*header).socket_cookie).write_volatile(socket.cookie);
        (&raw mut (*header).cgroup_id).write_volatile(socket.cgroup_id);
        let source = (&raw mut (*header).source).cast::<u64>();
        source.write_volatile(tcp.source[0]);
        source.add(1).write_volatile(tcp.source[1]);
        let destination = (&raw mut (*header).destination).cast::<u64>();
        destination.write_volatile(tcp.destination[0]);
        destination.add(1).write_volatile(tcp.destination[1]);
        (&raw mut (*header).source_port).write_volatile(tcp.source_port);
        (&raw mut (*header).destination_port).write_volatile(tcp.destination_port);
        (&raw mut (*header).ack).write_volatile(tcp.ack);
        (&raw mut (*header).window).write_volatile(tcp.window);
        (&raw mut (*header).ifindex).write_volatile(skb.ifindex());
        (&raw mut (*header).srtt_us).write_volatile(socket.srtt_us);
        (&raw mut (*header).retransmits).write_volatile(socket.retransmits);
        (&raw mut (*header).vlan).write_volatile(vlan);
        (&raw mut (*header).hook).write_volatile(skb.hook as u8);
        (&raw mut (*header).skip_until).write_volatile(skip_until);
        (&raw mut (*header).netns).write_volatile(netns);
        (&raw mut (*header).reserved).write_volatile(0);
    }
}
