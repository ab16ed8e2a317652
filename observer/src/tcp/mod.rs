//! TCP: order, gaps, overlap, lifecycle, bounds.
