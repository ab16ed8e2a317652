#![expect(clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// RFC 1071 §4.1, word by word.
fn plain_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |&b| b.into()));
    let mut total: u64 = words.sum();
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

proptest! {
    #[test]
    fn the_sum_is_that_of_the_rfc(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(sum(&bytes), plain_sum(&bytes));
    }

    #[test]
    fn the_sum_of_large_words_is_that_of_the_rfc(n in 0..300usize, byte in 0xfe..=0xffu8) {
        prop_assert_eq!(sum(&vec![byte; n]), plain_sum(&vec![byte; n]));
    }

    #[test]
    fn a_checksum_is_right_until_a_bit_changes(
        mut segment in proptest::collection::vec(any::<u8>(), 20..200),
        source: [u8; 16],
        destination: [u8; 16],
        is_v4: bool,
        bit in 0..160usize,
    ) {
        let addresses = Addresses { source, destination, is_v4 };
        segment[16..18].fill(0);
        let skip = if is_v4 { 12 } else { 0 };
        let mut whole = [&source[skip..], &destination[skip..], &[0, 6]].concat();
        let pseudo = plain_sum(&whole);
        whole.extend((segment.len() as u16).to_be_bytes());
        let with_len = plain_sum(&whole);
        whole.extend(&segment);
        let field = !plain_sum(&whole);
        segment[16..18].copy_from_slice(&field.to_be_bytes());
        prop_assert!(!is_tcp_wrong(&addresses, &segment, field));
        for unfinished in [0, pseudo, with_len] {
            prop_assert!(!is_tcp_wrong(&addresses, &segment, unfinished));
        }
        segment[bit / 8] ^= 1 << (bit % 8);
        let field = u16::from_be_bytes([segment[16], segment[17]]);
        let is_unfinished = [0, pseudo, with_len].contains(&field);
        prop_assert_eq!(is_tcp_wrong(&addresses, &segment, field), !is_unfinished);
    }
}
