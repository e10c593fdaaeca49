//! The strict parser of any JSON text of the profile, canonical or not.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Error, MAX_DEPTH, Value};

/// Reads a JSON text and checks it against the profile.
///
/// White space, any order of keys and any escape are read; what cannot be written back
/// unambiguously (a duplicate key, a lone surrogate, a fraction, an exponent) is refused.
///
/// # Errors
/// The text is not JSON, or outside the profile.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Error {
            at: error.valid_up_to(),
            what: "not UTF-8",
        });
    }
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(1)?;
    parser.space();
    if parser.at != text.len() {
        return parser.fail("something after the value");
    }
    value.check()?;
    Ok(value)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, Error> {
        Err(Error { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, literal: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => self.fail("nested deeper than 8"),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.int().map(Value::Int),
            _ if self.eat(b"true") => Ok(Value::Bool(true)),
            _ if self.eat(b"false") => Ok(Value::Bool(false)),
            Some(b'n') => self.fail("null"),
            _ => self.fail("expected a value"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut fields = BTreeMap::new();
        self.space();
        if self.eat(b"}") {
            return Ok(Value::Object(fields));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a key");
            }
            let key = self.string()?;
            self.space();
            if !self.eat(b":") {
                return self.fail("expected a colon");
            }
            match fields.entry(key) {
                Entry::Occupied(_) => return self.fail("a duplicate key"),
                Entry::Vacant(slot) => slot.insert(self.value(depth + 1)?),
            };
            self.space();
            if self.eat(b"}") {
                return Ok(Value::Object(fields));
            }
            if !self.eat(b",") {
                return self.fail("expected a comma or the end of the object");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b"]") {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b"]") {
                return Ok(Value::Array(items));
            }
            if !self.eat(b",") {
                return self.fail("expected a comma or the end of the array");
            }
        }
    }

    fn int(&mut self) -> Result<i64, Error> {
        let start = self.at;
        self.eat(b"-");
        let digits = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == digits || (self.text[digits] == b'0' && self.at > digits + 1) {
            return self.fail("not a JSON number");
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return self.fail("a number with a fraction or an exponent");
        }
        std::str::from_utf8(&self.text[start..self.at])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(Error {
                at: start,
                what: "an integer of 2^53 or more",
            })
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let run = self.text[self.at..]
                .iter()
                .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
                .ok_or(Error {
                    at: self.text.len(),
                    what: "the string does not end",
                })?;
            let raw = &self.text[self.at..self.at + run];
            out.push_str(std::str::from_utf8(raw).expect("whole characters of a checked text"));
            self.at += run + 1;
            match self.text[self.at - 1] {
                b'"' => return Ok(out),
                b'\\' => out.push(self.escape()?),
                _ => return self.fail("a control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        self.at += 1;
        Ok(match self.text.get(self.at - 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.unit()?;
                let code = if (0xd800..0xdc00).contains(&unit) && self.eat(b"\\u") {
                    let low = self.unit()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return self.fail("a lone surrogate");
                    }
                    0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    unit
                };
                return char::from_u32(code).map_or_else(|| self.fail("a lone surrogate"), Ok);
            }
            _ => return self.fail("an unknown escape"),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Error> {
        let unit = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(unit) = unit else {
            return self.fail("expected four hexadecimal digits");
        };
        self.at += 4;
        Ok(unit)
    }
}
