//! The one place where a length is made fit for a helper.

use core::hint::black_box;

/// `n_bytes` when it lies in `1..=max`, so that a helper may take it as the size of a buffer of
/// `max` bytes.
///
/// The verifier refuses a size without an upper bound (`R4 unbounded memory access`) and one that
/// may be 0 (`invalid zero-sized read`); and 6.1 learns nothing from a comparison with 0. So one is
/// taken away before the comparison and given back after it: 0 wraps around and is too large, and
/// what is left is 1 at least. The compiler often knows both bounds from code further up and would
/// drop the comparison that the verifier needs to see, hence the black box.
#[inline(always)]
pub fn size_within(n_bytes: u32, max: u32) -> Option<u32> {
    let less_one = black_box(n_bytes.wrapping_sub(1));
    if less_one >= max { None } else { Some(less_one + 1) }
}
