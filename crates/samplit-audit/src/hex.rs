//! Lower-case hexadecimal, the only spelling the trail knows.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends `bytes` as lower-case hexadecimal digits.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&pair(*byte));
    }
}

/// The two digits of one byte.
pub(crate) fn pair(byte: u8) -> [u8; 2] {
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]
}

/// The digits as a `String`.
pub(crate) fn string(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    push(&mut out, bytes);
    String::from_utf8(out).expect("digits are ASCII")
}

/// Exactly `2 * N` lower-case digits, or nothing.
pub(crate) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0_u8; N];
    let mut bad = 0_u8;
    for (byte, two) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(two[0])], VALUES[usize::from(two[1])]);
        bad |= (high | low) & 0xf0;
        *byte = high << 4 | (low & 15);
    }
    (bad == 0).then_some(out)
}

/// The value of every digit; 0xff for what is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff_u8; 256];
    let mut value = 0_u8;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_of_the_right_number_decode() {
        assert_eq!(decode::<2>(b"0aff"), Some([0x0a, 0xff]));
        for bad in ["0AFF", "0af", "0afff", "0ag0", ""] {
            assert_eq!(decode::<2>(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(string(&[0, 0x9f]), "009f");
    }
}
