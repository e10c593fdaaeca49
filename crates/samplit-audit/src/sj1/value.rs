//! The value type of the profile.

use std::collections::BTreeMap;

use super::{Error, MAX_BYTES, MAX_DEPTH, MAX_INT, REDACTED_KEY, is_key, write};
use crate::hex;

/// A JSON value without null and without reals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Keys in byte order.
    Object(BTreeMap<String, Self>),
    /// A list.
    Array(Vec<Self>),
    /// Text without U+0000.
    String(String),
    /// An integer, |n| < 2^53.
    Int(i64),
    /// `true` or `false`.
    Bool(bool),
}

impl Value {
    /// From a value of `serde_json`, as a JSONB column gives it.
    ///
    /// # Errors
    /// The value is outside the profile.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, Error> {
        let value = convert(json, 1)?;
        value.check()?;
        Ok(value)
    }

    /// As a value of `serde_json`, for a JSONB column or an answer.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::Array(items) => items.iter().map(Self::to_json).collect::<Vec<_>>().into(),
            Self::String(text) => text.as_str().into(),
            Self::Int(number) => (*number).into(),
            Self::Bool(truth) => (*truth).into(),
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// Appends the canonical form.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(fields) => {
                out.push(b'{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write::string(out, key);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
            Self::Array(items) => {
                write::array(out, items, |out, _, item| item.write_canonical(out))
            }
            Self::String(text) => write::string(out, text),
            Self::Int(number) => write::int(out, *number),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
        }
    }

    /// Whether the value as a whole keeps the rules of the profile.
    ///
    /// # Errors
    /// It does not; the offset is 0, because a value has no text.
    pub fn check(&self) -> Result<(), Error> {
        let Self::Object(fields) = self else {
            return Err(whole("the top level is not an object"));
        };
        if let Some(stub) = fields.get(REDACTED_KEY) {
            let Self::String(digits) = stub else {
                return Err(whole("payload_sha256 is not a string"));
            };
            if fields.len() != 1 {
                return Err(whole("payload_sha256 stands beside other keys"));
            }
            if hex::decode::<32>(digits.as_bytes()).is_none() {
                return Err(whole("payload_sha256 is not 64 hexadecimal digits"));
            }
            return Ok(());
        }
        self.check_inside(1)?;
        if self.canonical().len() > MAX_BYTES {
            return Err(whole("larger than 16 KiB"));
        }
        Ok(())
    }

    fn check_inside(&self, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH && matches!(self, Self::Object(_) | Self::Array(_)) {
            return Err(whole("nested deeper than 8"));
        }
        match self {
            Self::Object(fields) => fields.iter().try_for_each(|(key, value)| {
                if !is_key(key.as_bytes()) {
                    return Err(whole("a key outside ^[a-z][a-z0-9_]{0,63}$"));
                }
                if key == REDACTED_KEY {
                    return Err(whole("payload_sha256 is a reserved key"));
                }
                value.check_inside(depth + 1)
            }),
            Self::Array(items) => items
                .iter()
                .try_for_each(|item| item.check_inside(depth + 1)),
            Self::String(text) if text.contains('\0') => Err(whole("U+0000 in a string")),
            Self::Int(number) if number.unsigned_abs() >= MAX_INT.unsigned_abs() => {
                Err(whole("an integer of 2^53 or more"))
            }
            Self::String(_) | Self::Int(_) | Self::Bool(_) => Ok(()),
        }
    }
}

fn whole(what: &'static str) -> Error {
    Error { at: 0, what }
}

fn convert(json: &serde_json::Value, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH && (json.is_array() || json.is_object()) {
        return Err(whole("nested deeper than 8"));
    }
    Ok(match json {
        serde_json::Value::Null => return Err(whole("null")),
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => Value::Int(
            number
                .as_i64()
                .ok_or(whole("a number that is not a small integer"))?,
        ),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| convert(item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        serde_json::Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), convert(value, depth + 1)?)))
                .collect::<Result<_, _>>()?,
        ),
    })
}
