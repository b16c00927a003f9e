//! Decimal numbers as they stand in lines.

/// Reads a decimal number of the whole token: digits, leading zeros and a leading `+` allowed. `None`
/// for anything else or beyond 64 bits.
#[inline]
pub fn unsigned(token: &[u8]) -> Option<u64> {
    let digits = token.strip_prefix(b"+").unwrap_or(token);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// As [`unsigned`], within 32 bits.
#[inline]
pub(crate) fn unsigned_32(token: &[u8]) -> Option<u32> {
    unsigned(token).and_then(|value| u32::try_from(value).ok())
}

/// Reads a decimal number with an optional sign.
#[inline]
pub(crate) fn signed(token: &[u8]) -> Option<i64> {
    match token.strip_prefix(b"-") {
        Some(digits) if digits.first() != Some(&b'+') => {
            0i64.checked_sub_unsigned(unsigned(digits)?)
        }
        Some(_) => None,
        None => i64::try_from(unsigned(token)?).ok(),
    }
}

/// Appends a number in decimal.
#[inline]
pub fn push_decimal(value: u64, out: &mut Vec<u8>) {
    match u32::try_from(value) {
        Ok(value @ 0..10) => out.push(b'0' + value.to_le_bytes()[0]),
        Ok(value @ 10..10_000) => push_short(value, out),
        _ => push_long(value, out),
    }
}

/// Two to four digits, without a loop: all four in a word, and those that are wanted of it.
#[inline]
fn push_short(value: u32, out: &mut Vec<u8>) {
    let (high, low) = (value / 100, value % 100);
    let pairs = high | low << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f;
    let digits = tens | (pairs - tens * 10) << 8;
    let zeros = digits.trailing_zeros() as usize / 8;
    let text = (digits | 0x3030_3030) >> (zeros * 8);
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(out.len() - zeros);
}

fn push_long(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimal_round_trip(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            push_decimal(value, &mut out);
            prop_assert_eq!(out.clone(), value.to_string().into_bytes());
            prop_assert_eq!(unsigned(&out), Some(value));
        }

        #[test]
        fn signed_agrees_with_the_standard_library(value: i64) {
            prop_assert_eq!(signed(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn short_numbers() {
        for value in 0..20_000u64 {
            let mut out = b"x".to_vec();
            push_decimal(value, &mut out);
            assert_eq!(out, format!("x{value}").into_bytes());
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for token in ["", "+", "-", "--1", "-+1", "1a", " 1", "0x1", "18446744073709551616"] {
            assert_eq!(unsigned(token.as_bytes()), None, "{token}");
            assert_eq!(signed(token.as_bytes()), None, "{token}");
        }
        assert_eq!(unsigned(b"+007"), Some(7));
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(unsigned_32(b"4294967296"), None);
    }
}
