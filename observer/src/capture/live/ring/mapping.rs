//! A BPF ring buffer as it lies in our memory. The layout is the kernel's ABI (kernel/bpf/ringbuf.c,
//! `ringbuf_map_mmap_kern`): a page with the consumer's position, which alone may be written; a page
//! with the producers'; and the data twice in a row, so that no record has an edge in it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use super::consumer::Memory;

pub(super) struct Mapping {
    consumer: Pages,
    producer: Pages,
    page: usize,
    n_bytes: usize,
}

// SAFETY: the mappings are this value's own, and it hands out nothing but atomics and bytes that
// nobody writes while they are lent.
unsafe impl Send for Mapping {}

impl Mapping {
    /// `n_bytes`: the size of the ring, `max_entries` of the map.
    pub(super) fn new(ring: BorrowedFd<'_>, n_bytes: u32) -> io::Result<Self> {
        // SAFETY: no pointers.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) });
        let page = page.map_err(io::Error::other)?;
        let n_bytes = n_bytes as usize;
        let consumer = Pages::map(ring, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = Pages::map(ring, page, page + 2 * n_bytes, libc::PROT_READ)?;
        Ok(Self { consumer, producer, page, n_bytes })
    }
}

impl Memory for Mapping {
    fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    fn consumed(&self) -> &AtomicUsize {
        // SAFETY: an unsigned long stands at the start of the page, both sides use it atomically.
        unsafe { self.consumer.start.cast().as_ref() }
    }

    fn produced(&self) -> &AtomicUsize {
        // SAFETY: as above.
        unsafe { self.producer.start.cast().as_ref() }
    }

    fn header(&self, at: usize) -> &AtomicU32 {
        assert!(at < self.n_bytes && at.is_multiple_of(8), "a header at {at}");
        // SAFETY: inside the data, and aligned as the kernel aligns records.
        unsafe { self.producer.start.byte_add(self.page + at).cast().as_ref() }
    }

    fn bytes(&self, at: usize, n_bytes: usize) -> &[u8] {
        assert!(at <= self.n_bytes + 8 && n_bytes <= self.n_bytes - 8, "{n_bytes} bytes at {at}");
        // SAFETY: inside the data and its copy. The caller lends out no bytes that it has given
        // back, and the kernel writes no others once they are committed.
        unsafe {
            let start = self.producer.start.byte_add(self.page + at);
            std::slice::from_raw_parts(start.cast().as_ptr(), n_bytes)
        }
    }
}

/// Memory from `mmap`, given back when dropped.
struct Pages {
    start: NonNull<libc::c_void>,
    n_bytes: usize,
}

impl Pages {
    fn map(fd: BorrowedFd<'_>, offset: usize, n_bytes: usize, access: i32) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping wherever the kernel finds room for it.
        let start = unsafe {
            let fd = fd.as_raw_fd();
            libc::mmap(std::ptr::null_mut(), n_bytes, access, libc::MAP_SHARED, fd, offset)
        };
        match NonNull::new(start) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED => Ok(Self { start, n_bytes }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: what was mapped, and nobody else's.
        unsafe { libc::munmap(self.start.as_ptr(), self.n_bytes) };
    }
}
