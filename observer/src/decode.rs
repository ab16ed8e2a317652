//! Record bytes from the ring to a [`Segment`](crate::segment::Segment), every length checked.
