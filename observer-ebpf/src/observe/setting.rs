//! Read-only globals: what user space says before the load, and the verifier takes for constants.

use core::ptr::{addr_of, read_volatile};

/// A global that user space may set before the load. Reads are volatile, or the compiler would
/// fold in the value that stands here.
#[repr(transparent)]
pub struct Setting<T>(pub T);

impl<T: Copy> Setting<T> {
    #[inline(always)]
    pub fn load(&self) -> T {
        // SAFETY: the reference is valid, and .rodata does not change after the load.
        unsafe { read_volatile(&self.0) }
    }
}

impl<T: Copy, const N: usize> Setting<[T; N]> {
    /// One element. An index past the end reads the last one: the caller's loop is bounded, and
    /// the verifier wants the bound at the load.
    #[inline(always)]
    pub fn at(&self, index: usize) -> T {
        let index = if index < N { index } else { N - 1 };
        // SAFETY: the index is below N, and .rodata does not change after the load.
        unsafe { read_volatile(addr_of!(self.0).cast::<T>().add(index)) }
    }
}
