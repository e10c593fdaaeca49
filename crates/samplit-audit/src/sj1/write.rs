//! Appending canonical scalars to a buffer.

use crate::hex;

/// Appends an integer in decimal.
pub(crate) fn int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    uint(out, value.unsigned_abs());
}

/// Appends an unsigned integer in decimal.
pub(crate) fn uint(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    out.extend_from_slice(decimal(&mut digits, value));
}

/// The decimal digits of `value`, at the end of `buffer`.
pub(crate) fn decimal(buffer: &mut [u8; 20], mut value: u64) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b"0123456789"[usize::try_from(value % 10).expect("a digit")];
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

/// Appends a quoted, escaped string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex::pair(*control));
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// Appends bytes as a quoted string of hexadecimal digits.
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    hex::push(out, bytes);
    out.push(b'"');
}

/// Appends the IEEE-754 bits of a real as a quoted string.
pub(crate) fn real(out: &mut Vec<u8>, value: f64) {
    hex(out, &value.to_bits().to_be_bytes());
}

/// Appends a UUID as a quoted string, lower-case with hyphens.
pub(crate) fn uuid(out: &mut Vec<u8>, id: uuid::Uuid) {
    let mut text = [0_u8; 36];
    out.push(b'"');
    out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
    out.push(b'"');
}

/// Appends an array, each item by `item`.
pub(crate) fn array<T>(
    out: &mut Vec<u8>,
    items: &[T],
    mut item: impl FnMut(&mut Vec<u8>, usize, &T),
) {
    out.push(b'[');
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, index, value);
    }
    out.push(b']');
}
