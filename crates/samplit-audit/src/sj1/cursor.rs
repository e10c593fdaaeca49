//! Reading canonical bytes without building a value.
//!
//! Canonical bytes are unique, so a typed payload reads its keys in their sorted order as literals:
//! what deviates by one byte is not that payload.

use std::borrow::Cow;

use uuid::Uuid;

use super::{Error, MAX_BYTES, MAX_DEPTH, MAX_INT, REDACTED_KEY, is_key};
use crate::hex;

/// Accepts the canonical form of a value of the profile and nothing else.
///
/// # Errors
/// The bytes are not the canonical form of any value of the profile.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Error {
            at: error.valid_up_to(),
            what: "not UTF-8",
        });
    }
    let mut cursor = Cursor::new(bytes);
    cursor.payload()?;
    cursor.end()
}

/// A position in canonical bytes.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn fail<T>(&self, what: &'static str) -> Result<T, Error> {
        Err(Error { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over `literal` if it stands here.
    pub(crate) fn take(&mut self, literal: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    /// Steps over `literal`, which must stand here.
    pub(crate) fn expect(&mut self, literal: &[u8]) -> Result<(), Error> {
        if self.take(literal) {
            Ok(())
        } else {
            self.fail("an unexpected key or sign")
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.fail("something after the value")
        }
    }

    /// An integer of the profile.
    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        let start = self.at;
        let negative = self.take(b"-");
        let first = self.at;
        let mut value = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value * 10 + i64::from(digit - b'0');
            if value >= MAX_INT {
                return Err(Error {
                    at: start,
                    what: "an integer of 2^53 or more",
                });
            }
            self.at += 1;
        }
        let zero_first = self.bytes.get(first) == Some(&b'0');
        if self.at == first || (zero_first && (negative || self.at > first + 1)) {
            return self.fail("not a canonical integer");
        }
        Ok(if negative { -value } else { value })
    }

    /// An integer that fits `T`.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        let at = self.at;
        T::try_from(self.int()?).map_err(|_| Error {
            at,
            what: "an integer out of range",
        })
    }

    /// A quoted string, unescaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.at + 1;
        let escaped = self.skip_string()?;
        let raw = &self.bytes[start..self.at - 1];
        let Ok(raw) = std::str::from_utf8(raw) else {
            return self.fail("not UTF-8");
        };
        Ok(if escaped {
            Cow::Owned(unescape(raw))
        } else {
            Cow::Borrowed(raw)
        })
    }

    /// A quoted string of exactly `2 N` hexadecimal digits.
    pub(crate) fn hex<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = &self.bytes[self.at..];
        let quoted = rest.len() >= 2 * N + 2 && rest[0] == b'"' && rest[2 * N + 1] == b'"';
        match quoted.then(|| hex::decode(&rest[1..=2 * N])).flatten() {
            Some(bytes) => {
                self.at += 2 * N + 2;
                Ok(bytes)
            }
            None => self.fail("expected lower-case hexadecimal digits"),
        }
    }

    /// A finite real as IEEE-754 bits.
    pub(crate) fn real(&mut self) -> Result<f64, Error> {
        let value = f64::from_bits(u64::from_be_bytes(self.hex()?));
        if value.is_finite() {
            Ok(value)
        } else {
            self.fail("a real that is not finite")
        }
    }

    /// A quoted UUID, lower-case with hyphens.
    pub(crate) fn uuid(&mut self) -> Result<Uuid, Error> {
        let mut digits = [0_u8; 32];
        let rest = &self.bytes[self.at..];
        if rest.len() >= 38
            && [rest[0], rest[37]] == [b'"'; 2]
            && [rest[9], rest[14], rest[19], rest[24]] == [b'-'; 4]
        {
            digits[..8].copy_from_slice(&rest[1..9]);
            digits[8..12].copy_from_slice(&rest[10..14]);
            digits[12..16].copy_from_slice(&rest[15..19]);
            digits[16..20].copy_from_slice(&rest[20..24]);
            digits[20..].copy_from_slice(&rest[25..37]);
        }
        match hex::decode(&digits) {
            Some(bytes) => {
                self.at += 38;
                Ok(Uuid::from_bytes(bytes))
            }
            None => self.fail("expected a UUID in lower case"),
        }
    }

    /// An array, each item by `item`, which is told its index.
    pub(crate) fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.expect(b"[")?;
        let mut items = Vec::new();
        if self.take(b"]") {
            return Ok(items);
        }
        loop {
            items.push(item(self, items.len())?);
            if self.take(b"]") {
                return Ok(items);
            }
            self.expect(b",")?;
        }
    }

    /// The bytes of a payload: an object of the profile, or the stub of a redacted one.
    pub(crate) fn payload(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        if self.take(b"{\"payload_sha256\":") {
            self.hex::<32>()?;
            self.expect(b"}")?;
        } else if self.peek() == Some(b'{') {
            self.skip_value(1)?;
        } else {
            return self.fail("the top level is not an object");
        }
        if self.at - start > MAX_BYTES {
            return self.fail("larger than 16 KiB");
        }
        Ok(&self.bytes[start..self.at])
    }

    fn skip_value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => self.fail("nested deeper than 8"),
            Some(b'{') => self.skip_object(depth),
            Some(b'[') => {
                self.at += 1;
                if self.take(b"]") {
                    return Ok(());
                }
                loop {
                    self.skip_value(depth + 1)?;
                    if self.take(b"]") {
                        return Ok(());
                    }
                    self.expect(b",")?;
                }
            }
            Some(b'"') => self.skip_string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.int().map(|_| ()),
            _ if self.take(b"true") || self.take(b"false") => Ok(()),
            _ => self.fail("expected a value"),
        }
    }

    fn skip_object(&mut self, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.take(b"}") {
            return Ok(());
        }
        let mut last: &[u8] = b"";
        loop {
            let start = self.at + 1;
            self.skip_string()?;
            let key = &self.bytes[start..self.at - 1];
            if !is_key(key) {
                return self.fail("a key outside ^[a-z][a-z0-9_]{0,63}$");
            }
            if key == REDACTED_KEY.as_bytes() {
                return self.fail("payload_sha256 is a reserved key");
            }
            if key <= last {
                return self.fail("keys out of order");
            }
            last = key;
            self.expect(b":")?;
            self.skip_value(depth + 1)?;
            if self.take(b"}") {
                return Ok(());
            }
            self.expect(b",")?;
        }
    }

    /// Steps over a canonical string; tells whether it holds an escape.
    fn skip_string(&mut self) -> Result<bool, Error> {
        self.expect(b"\"")?;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return self.fail("the string does not end"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.skip_escape()?;
                }
                Some(0..0x20) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Steps over the one canonical spelling of a character that must be escaped.
    fn skip_escape(&mut self) -> Result<(), Error> {
        let rest = &self.bytes[self.at + 1..];
        self.at += match rest.first() {
            Some(b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r') => 2,
            Some(b'u') => match rest.get(1..5).and_then(hex::decode::<2>) {
                Some([0, code @ 1..0x20]) if !matches!(code, 0x08..=0x0a | 0x0c | 0x0d) => 6,
                _ => return self.fail("not a canonical escape"),
            },
            _ => return self.fail("not a canonical escape"),
        };
        Ok(())
    }
}

/// Undoes the escapes of a string that was stepped over without a fault.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (char, length) = match rest.as_bytes()[at + 1] {
            b'b' => ('\u{8}', 2),
            b't' => ('\t', 2),
            b'n' => ('\n', 2),
            b'f' => ('\u{c}', 2),
            b'r' => ('\r', 2),
            b'u' => {
                let code = hex::decode::<1>(&rest.as_bytes()[at + 4..at + 6]);
                (char::from(code.expect("checked digits")[0]), 6)
            }
            other => (char::from(other), 2),
        };
        out.push(char);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}
