//! One question to a network device: is this feature on? As `ethtool -k` asks it, by ioctl.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Whether the device has the feature of this name switched on. `None` where the device or the
/// kernel does not know it.
pub(super) fn is_on(device: &str, feature: &str) -> Option<bool> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let names = names(&socket, device)?;
    let at = names.iter().position(|name| name == feature)?;
    active(&socket, device, names.len())?.get(at).copied()
}

/// The names of all features, in the order of their bits: ETHTOOL_GSSET_INFO for how many, then
/// ETHTOOL_GSTRINGS. Both structures are a few u32 and then what is asked for.
fn names(socket: &OwnedFd, device: &str) -> Option<Vec<String>> {
    // struct ethtool_sset_info: cmd, reserved, a u64 mask, then one u32 for each bit of it.
    let mut info = [GSSET_INFO, 0, 0, 0, 0];
    put_u64(&mut info, 2, 1 << SS_FEATURES);
    ask(socket, device, &mut info).ok()?;
    let n_names = usize::try_from(info[4]).ok().filter(|n| *n <= MAX_FEATURES)?;
    // struct ethtool_gstrings: cmd, string_set, len, then 32 bytes a name.
    let mut strings = vec![0u32; 3 + n_names * NAME_WORDS];
    strings[..3].copy_from_slice(&[GSTRINGS, SS_FEATURES, n_names as u32]);
    ask(socket, device, &mut strings).ok()?;
    let name = |words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    Some(strings[3..].chunks(NAME_WORDS).map(name).collect())
}

/// The state of each feature: struct ethtool_gfeatures is cmd, size, then four u32 (available,
/// requested, active, never_changed) for each 32 features.
fn active(socket: &OwnedFd, device: &str, n_features: usize) -> Option<Vec<bool>> {
    let n_blocks = n_features.div_ceil(32);
    let mut features = vec![0u32; 2 + 4 * n_blocks];
    features[..2].copy_from_slice(&[GFEATURES, n_blocks as u32]);
    ask(socket, device, &mut features).ok()?;
    let block = |at: usize| features.get(2 + 4 * (at / 32) + 2).copied().unwrap_or(0);
    Some((0..n_features).map(|at| block(at) >> (at % 32) & 1 != 0).collect())
}

fn put_u64(words: &mut [u32], at: usize, value: u64) {
    let bytes = value.to_ne_bytes();
    for (word, bytes) in words[at..].iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

/// SIOCETHTOOL: `struct ifreq` with the device's name and a pointer to the request.
fn ask(socket: &OwnedFd, device: &str, request: &mut [u32]) -> io::Result<()> {
    // SAFETY: integers and a union of integers and pointers; all zeroes is a value.
    let mut asked: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays 0 as the end of the text.
    let room = asked.ifr_name.len() - 1;
    for (slot, byte) in asked.ifr_name.iter_mut().take(room).zip(device.bytes()) {
        *slot = byte.cast_signed() as libc::c_char;
    }
    asked.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    // SAFETY: the kernel writes what the sizes inside of the request allow, which is its length.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut asked) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

// include/uapi/linux/sockios.h and include/uapi/linux/ethtool.h
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SS_FEATURES: u32 = 4;
/// ETH_GSTRING_LEN is 32 bytes.
const NAME_WORDS: usize = 8;
/// Linux has about 60; the bound is against nonsense.
const MAX_FEATURES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_sums_up_no_bytes() {
        // Every kernel has it on and refuses to switch it off (loopback_setup, NETIF_F_LOOPBACK).
        assert_eq!(is_on("lo", "loopback"), Some(true));
        assert_eq!(is_on("lo", "hw-tc-offload"), Some(false));
        assert_eq!(is_on("lo", "no-such-feature"), None);
        assert_eq!(is_on("no-such-device", "loopback"), None);
    }
}
