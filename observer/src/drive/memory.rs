//! Memory that nobody uses any more, back to the system.
//!
//! The allocator of glibc gives back what lies free at the end of its heap. Thousands of flows that
//! have ended leave holes, and one block that was allocated behind them keeps all of it.

/// Gives whole free pages back, wherever they lie (`malloc_trim(3)`). Other allocators do so by
/// themselves, or not at all.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointer, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
