//! A ring as it lies in our memory: its blocks and its places, which the programs see as values of
//! two arrays (`BPF_F_MMAPABLE`); and the kernel's small ring that is its bell.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use observer_common::ring::{Places, STRIDE, n_blocks};

use super::consumer::Memory;

/// The memory of all rings.
pub(super) struct Shared {
    rings: Pages,
    places: Pages,
    pub(super) n_rings: u32,
    pub(super) size: u64,
}

impl Shared {
    pub(super) fn new(
        rings: BorrowedFd<'_>,
        places: BorrowedFd<'_>,
        n_rings: u32,
        size: u64,
    ) -> io::Result<Self> {
        let n_bytes = (n_rings * n_blocks(size)) as usize * STRIDE as usize;
        let rings = Pages::map(rings, 0, n_bytes, libc::PROT_READ)?;
        let n_bytes = n_rings as usize * size_of::<Places>();
        let places = Pages::map(places, 0, n_bytes, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { rings, places, n_rings, size })
    }
}

/// The memory of one ring.
#[derive(Clone)]
pub(super) struct Mapping {
    shared: Arc<Shared>,
    number: u32,
}

impl Mapping {
    pub(super) fn new(shared: Arc<Shared>, number: u32) -> Self {
        assert!(number < shared.n_rings, "ring {number}");
        Self { shared, number }
    }

    fn place(&self, offset: usize) -> &AtomicU64 {
        let at = self.number as usize * size_of::<Places>() + offset;
        // SAFETY: a word of the places of this ring, which both sides use atomically.
        unsafe { self.shared.places.start.byte_add(at).cast().as_ref() }
    }

    /// Which of the rings.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Not 0 while whoever reads it sleeps.
    pub(super) fn sleeps(&self) -> &AtomicU64 {
        self.place(std::mem::offset_of!(Places, sleeps))
    }

    /// Where something lies in the memory of all rings; asserts that it is this ring's.
    fn within(&self, at: usize, n_bytes: usize) -> usize {
        let n_own = n_blocks(self.shared.size) as usize * STRIDE as usize;
        assert!(at < n_own && n_bytes <= n_own - at, "{n_bytes} bytes at {at}");
        self.number as usize * n_own + at
    }
}

impl Memory for Mapping {
    fn size(&self) -> u64 {
        self.shared.size
    }

    fn consumed(&self) -> &AtomicU64 {
        self.place(std::mem::offset_of!(Places, consumed))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8), "a word at {at}");
        let at = self.within(at, 8);
        // SAFETY: inside the mapping, and aligned. Programs write words of a record that is being
        // looked at in one piece.
        unsafe { self.shared.rings.start.byte_add(at).cast().as_ref() }
    }

    fn lend(&self, at: usize, n_bytes: usize, to: impl FnOnce(&[u8])) {
        let at = self.within(at, n_bytes);
        // SAFETY: inside the mapping. The caller lends out no bytes that it has given back, and the
        // programs write no others once they are sealed.
        let bytes = unsafe {
            let start = self.shared.rings.start.byte_add(at);
            std::slice::from_raw_parts(start.cast().as_ptr(), n_bytes)
        };
        to(bytes);
    }
}

/// A BPF ring buffer in which nothing is kept. The layout is the kernel's ABI (kernel/bpf/ringbuf.c,
/// `ringbuf_map_mmap_kern`): a page with the consumer's position, which alone may be written, and a
/// page with the producers'.
pub(super) struct Bell {
    consumer: Pages,
    producer: Pages,
}

impl Bell {
    pub(super) fn new(ring: BorrowedFd<'_>) -> io::Result<Self> {
        let page = page()?;
        let consumer = Pages::map(ring, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { consumer, producer: Pages::map(ring, page, page, libc::PROT_READ)? })
    }

    /// From here on only what rings after this counts.
    pub(super) fn silence(&self) {
        // SAFETY: an unsigned long stands at the start of each page, both sides use it atomically.
        let (consumed, produced): (&AtomicUsize, &AtomicUsize) =
            unsafe { (self.consumer.start.cast().as_ref(), self.producer.start.cast().as_ref()) };
        consumed.store(produced.load(Ordering::Acquire), Ordering::Release);
    }
}

pub(super) fn page() -> io::Result<usize> {
    // SAFETY: no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page).map_err(io::Error::other)
}

/// Memory from `mmap`, given back when dropped.
struct Pages {
    start: NonNull<libc::c_void>,
    n_bytes: usize,
}

// SAFETY: the mapping is this value's own and stays where it is; what hands out its memory hands out
// atomics, and bytes that nobody writes while they are lent.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

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
