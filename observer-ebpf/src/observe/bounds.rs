//! The one place where a length is made fit for a helper.

use core::hint::black_box;

/// `n_bytes` when it lies in `1..=max`, so that a helper may take it as the size of a buffer of
/// `max` bytes.
///
/// The verifier refuses a size of 0 (`R4 invalid zero-sized read`, 6.1 and 6.12) and one without
/// an upper bound (`R4 unbounded memory access`). The compiler often knows both bounds from code
/// further up and drops the comparison that the verifier needs to see, hence the black box.
#[inline(always)]
pub fn size_within(n_bytes: u32, max: u32) -> Option<u32> {
    let n_bytes = black_box(n_bytes);
    if n_bytes == 0 || n_bytes > max { None } else { Some(n_bytes) }
}
