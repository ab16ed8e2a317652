//! Frames built by hand, layer by layer from the inside out.

/// A TCP segment from port 40000 to port 80; the fields that tests vary.
#[derive(Clone)]
pub(crate) struct Tcp {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) options: usize,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const FIN: u16 = 0x001;
pub(crate) const SYN: u16 = 0x002;
pub(crate) const ACK: u16 = 0x010;
pub(crate) const PSH_ACK: u16 = 0x018;

pub(crate) const CLIENT: [u8; 4] = [10, 1, 2, 3];
pub(crate) const SERVER: [u8; 4] = [10, 9, 8, 7];

impl Tcp {
    pub(crate) fn data(payload: &[u8]) -> Self {
        Self {
            source_port: 40000,
            destination_port: 80,
            seq: 1000,
            ack: 5000,
            flags: PSH_ACK,
            options: 12,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn bare(flags: u16) -> Self {
        Self { flags, ..Self::data(b"") }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        let words = ((20 + self.options) / 4) as u16;
        bytes.extend((words << 12 | self.flags).to_be_bytes());
        bytes.extend(512u16.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(std::iter::repeat_n(1, self.options));
        bytes.extend(&self.payload);
        bytes
    }

    /// The segment in IPv4 in Ethernet.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(0x0800, &ipv4(&self.bytes()))
    }

    /// The same, from the server to the client.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let swapped = Self {
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self.clone()
        };
        let mut frame = swapped.frame();
        frame[26..30].copy_from_slice(&SERVER);
        frame[30..34].copy_from_slice(&CLIENT);
        frame
    }
}

pub(crate) fn ipv4(rest: &[u8]) -> Vec<u8> {
    ipv4_with(rest, 0, 6, 0)
}

pub(crate) fn ipv4_with(rest: &[u8], options: usize, protocol: u8, fragment: u16) -> Vec<u8> {
    let mut bytes = vec![0x40 | ((20 + options) / 4) as u8, 0];
    bytes.extend(((20 + options + rest.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(CLIENT);
    bytes.extend(SERVER);
    bytes.extend(std::iter::repeat_n(1, options));
    bytes.extend(rest);
    bytes
}

pub(crate) fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend([0xfd; 16]);
    bytes.extend([0xfe; 16]);
    bytes.extend(rest);
    bytes
}

pub(crate) fn ethernet(ethertype: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// An IEEE 802.1Q tag in front of `rest`.
pub(crate) fn tag(vlan: u16, ethertype: u16, rest: &[u8]) -> Vec<u8> {
    [&vlan.to_be_bytes(), &ethertype.to_be_bytes(), rest].concat()
}
