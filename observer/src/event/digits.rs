//! Numbers as decimal and hexadecimal digits, eight digits at a time in one register.
//!
//! A line has a dozen numbers. One digit after another, as the standard library and itoa have it,
//! they took a tenth of its time.

/// Eight decimal digits of `n`, which has no more, in ASCII: the first digit in the lowest byte.
#[inline]
pub(super) fn eight(n: u32) -> u64 {
    values(n) + ZEROS
}

/// The digits of `n`, which is from 10 to 9999, without leading zeros, and how many they are. Sizes,
/// ports and indices are like that; two digits at a time from a table are quicker for them.
#[inline]
pub(super) fn four(n: u32) -> ([u8; 4], usize) {
    let pair = |n: u32| u32::from(PAIRS[(n % 100) as usize]);
    let digits = pair(n / 100) | pair(n) << 16;
    let n_leading = usize::from(n < 1000) + usize::from(n < 100);
    ((digits >> (8 * n_leading)).to_le_bytes(), 4 - n_leading)
}

/// Two digits each, the first in the lower byte.
const PAIRS: [u16; 100] = {
    let mut table = [0; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = u16::from_le_bytes([b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
        n += 1;
    }
    table
};

/// The digits of `n`, which has eight at most, without leading zeros, and how many they are.
#[inline]
pub(super) fn short(n: u32) -> ([u8; 8], usize) {
    let digits = values(n);
    // Of zero the last digit stays.
    let n_leading = (digits | (1 << 56)).trailing_zeros() as usize / 8;
    (((digits + ZEROS) >> (8 * n_leading)).to_le_bytes(), 8 - n_leading)
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// A digit a byte. In each step every lane is split in two, by a multiplication that for as few
/// digits as are left in a lane is a division.
fn values(n: u32) -> u64 {
    let n = u64::from(n);
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// Sixteen hexadecimal digits.
pub(super) fn hex(n: u64) -> [u8; 16] {
    let digits = |half: u32| {
        // A nibble in each byte, the highest first.
        let mut spread = u64::from(half);
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // 6 and 10 together are 16: the bit tells which nibbles are letters.
        let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        spread + ZEROS + letters * u64::from(b'a' - b'0' - 10)
    };
    let both = (u128::from(digits((n >> 32) as u32)) << 64) | u128::from(digits(n as u32));
    both.to_be_bytes()
}

/// Each octet's digits and a point behind them, and how many bytes that is.
pub(super) const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        table[n] = match digits {
            [b'0', b'0', c] => ([c, b'.', b'.', b'.'], 2),
            [b'0', b, c] => ([b, c, b'.', b'.'], 3),
            [a, b, c] => ([a, b, c, b'.'], 4),
        };
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(n: u32) {
        assert_eq!(eight(n).to_le_bytes(), *format!("{n:08}").as_bytes());
        let (digits, len) = short(n);
        assert_eq!(digits[..len], *n.to_string().as_bytes());
        if (10..10_000).contains(&n) {
            let (digits, len) = four(n);
            assert_eq!(digits[..len], *n.to_string().as_bytes());
        }
    }

    #[test]
    fn all_of_four_digits_are_right_in_both_halves() {
        for n in 0..10_000 {
            check(n);
            check(n * 10_000);
        }
        check(99_999_999);
    }

    proptest! {
        #[test]
        fn digits_are_what_format_writes(n in 0..100_000_000u32, large in any::<u64>()) {
            check(n);
            let expected = format!("{large:016x}");
            prop_assert_eq!(hex(large).to_vec(), expected.into_bytes());
        }
    }
}
