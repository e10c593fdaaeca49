//! What an entry says: canonical bytes and their hash, and the typed payload of every decision.
//!
//! A typed payload writes its canonical bytes straight into a buffer and reads them back with the
//! same sequence of keys, so the two directions can be compared line by line. No value is built on
//! the way.

mod allocation;
mod genesis;
mod notice;
mod visit;

use crate::{
    DecisionType, Hash,
    sj1::{self, Value, cursor::Cursor},
};

pub use allocation::{ArmState, Block, FinalCount, Method, Reallocation, Seal};
pub use genesis::{
    ALGORITHM, Carried, Genesis, GenesisArm, GenesisElement, Mode, Policy, Prior, Strategy,
};
pub use notice::{Redaction, Restore};
pub use visit::{Assignment, Conversion};

/// Parts per billion in one.
pub const PPB: u32 = 1_000_000_000;

/// Canonical bytes of `decision_data` and the hash by which they enter the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    text: String,
    hash: Hash,
}

impl Payload {
    /// From bytes that are canonical already.
    ///
    /// # Errors
    /// They are not, or they are outside the profile.
    pub fn from_canonical(bytes: Vec<u8>) -> Result<Self, sj1::Error> {
        sj1::check(&bytes)?;
        Ok(Self::checked(bytes))
    }

    /// From any JSON text of the profile, as a JSONB column prints it.
    ///
    /// # Errors
    /// The text is outside the profile.
    pub fn from_text(text: &[u8]) -> Result<Self, sj1::Error> {
        Ok(Self::checked(sj1::parse(text)?.canonical()))
    }

    /// From a value of `serde_json`, as a JSONB column gives it.
    ///
    /// # Errors
    /// The value is outside the profile.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, sj1::Error> {
        Ok(Self::checked(Value::from_json(json)?.canonical()))
    }

    fn checked(bytes: Vec<u8>) -> Self {
        let hash = payload_hash(&bytes);
        Self {
            text: String::from_utf8(bytes).expect("checked bytes are UTF-8"),
            hash,
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The canonical bytes as text, for a statement that casts text to JSONB.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical bytes as text, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }

    /// As a value of `serde_json`, for a JSONB column or an answer.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a payload is of the profile")]
    pub fn to_json(&self) -> serde_json::Value {
        sj1::parse(self.bytes())
            .expect("canonical bytes are of the profile")
            .to_json()
    }

    /// The hash that enters the chain: of the bytes, or the one that a stub names.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether this is the stub of a redacted payload.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        stub_hash(self.bytes()).is_some()
    }

    /// The stub that may stand in the place of this payload; the chain does not notice.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let text = format!("{{\"{}\":\"{}\"}}", sj1::REDACTED_KEY, self.hash);
        Self {
            text,
            hash: self.hash,
        }
    }
}

/// The hash by which canonical bytes enter the chain.
///
/// SHA-256 of the bytes, or, if the payload has exactly the one key `payload_sha256`, its value.
#[must_use]
pub fn payload_hash(canonical: &[u8]) -> Hash {
    stub_hash(canonical).unwrap_or_else(|| Hash::of(canonical))
}

/// The hash that a stub names, or nothing if the bytes are no stub.
pub(crate) fn stub_hash(canonical: &[u8]) -> Option<Hash> {
    let mut cursor = Cursor::new(canonical);
    cursor.expect(b"{\"payload_sha256\":").ok()?;
    let hash = cursor.hex().ok()?;
    cursor.expect(b"}").ok()?;
    cursor.end().ok()?;
    Some(Hash(hash))
}

/// A payload whose keys are fixed by its decision type.
pub trait TypedPayload: Sized + PartialEq {
    /// The decision that this payload belongs to.
    const DECISION_TYPE: DecisionType;

    /// Appends the canonical bytes.
    fn write_canonical(&self, out: &mut Vec<u8>);

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The bytes are not the canonical form of such a payload, or a value is out of its range.
    fn parse(canonical: &[u8]) -> Result<Self, sj1::Error>;

    /// Bytes and hash, ready to append.
    ///
    /// # Errors
    /// The values cannot be told in the profile: text with U+0000, an integer of 2^53 or more,
    /// weights that do not sum to 10^9, more than 16 KiB.
    fn to_payload(&self) -> Result<Payload, sj1::Error> {
        let mut bytes = Vec::with_capacity(224);
        self.write_canonical(&mut bytes);
        if bytes.len() > sj1::MAX_BYTES {
            return Err(sj1::Error {
                at: 0,
                what: "larger than 16 KiB",
            });
        }
        // Reading back is cheap and keeps a wrongly filled struct out of the trail for good.
        if Self::parse(&bytes)? != *self {
            return Err(sj1::Error {
                at: 0,
                what: "fields that the payload cannot tell",
            });
        }
        Ok(Payload::checked(bytes))
    }
}

/// One value for the whole experiment, or one per element where each element draws for itself.
///
/// `One` stands at the top level of a payload (modes `single` and `factorial`), `Many` in its
/// `elements` or `arms` list (mode `independent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerElement<T> {
    /// The one draw of modes `single` and `factorial`.
    One(T),
    /// One value per element, in element order.
    Many(Vec<T>),
}

impl<T> PerElement<T> {
    /// The values in element order; `One` counts as element 0.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Reads an index, which must be the expected one.
fn expect_index(cursor: &mut Cursor<'_>, index: usize) -> Result<(), sj1::Error> {
    if cursor.number::<usize>()? == index {
        Ok(())
    } else {
        cursor.fail("an index out of order")
    }
}

/// Appends an index into a list.
fn write_index(out: &mut Vec<u8>, index: usize) {
    sj1::write::uint(out, u64::try_from(index).expect("an index fits"));
}

/// Reads weights: as many as arms, together exactly 10^9.
fn read_weights(cursor: &mut Cursor<'_>, arms: usize) -> Result<Vec<u32>, sj1::Error> {
    let weights = cursor.array(|cursor, _| cursor.number::<u32>())?;
    if weights.len() != arms {
        return cursor.fail("not one weight per arm");
    }
    if weights.iter().map(|weight| u64::from(*weight)).sum::<u64>() != u64::from(PPB) {
        return cursor.fail("weights that do not sum to 10^9");
    }
    Ok(weights)
}

fn write_weights(out: &mut Vec<u8>, weights: &[u32]) {
    sj1::write::array(out, weights, |out, _, weight| {
        sj1::write::uint(out, u64::from(*weight))
    });
}

/// A closed set of words in a payload.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$vmeta:meta])* $variant:ident => $word:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
        }

        impl $name {
            /// The word in the payload.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
                match &*cursor.string()? {
                    $($word => Ok(Self::$variant),)+
                    _ => cursor.fail(concat!("not one of the words:" $(, " ", $word)+)),
                }
            }
        }
    };
}
use words;

#[cfg(test)]
mod tests;
