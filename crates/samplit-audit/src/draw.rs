//! One uniform per visitor, replayable in any language, and the pseudonym it is drawn for.
//!
//! Both keys are random, 32 bytes, one of each per experiment. The draw is keyed by the visitor and
//! not by the sequence: one visitor is one draw whatever the order, retry or replica.

use std::{fmt, str::FromStr};

use ring::{
    error::Unspecified,
    hmac,
    rand::{SecureRandom, generate},
};
use uuid::Uuid;

use crate::{Hash, NotHex, hex, payload::PPB, sj1::write};

/// What the trail knows of a visitor: a keyed hash, not linkable without the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym(pub [u8; 32]);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::string(&self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({self})")
    }
}

impl FromStr for Pseudonym {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        hex::decode(text.as_bytes()).map(Self).ok_or(NotHex)
    }
}

/// The key of pseudonyms. Never revealed; once it is destroyed, no pseudonym can be linked.
#[derive(Clone)]
pub struct PidKey {
    bytes: [u8; 32],
    mac: hmac::Key,
}

/// The key of draws. Committed to in the genesis entry, revealed in the seal.
#[derive(Clone)]
pub struct DrawKey {
    bytes: [u8; 32],
    mac: hmac::Key,
}

macro_rules! key {
    ($name:ident) => {
        impl $name {
            /// From 32 random bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self {
                    bytes,
                    mac: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
                }
            }

            /// A new key.
            ///
            /// # Errors
            /// The random source failed.
            pub fn generate(random: &dyn SecureRandom) -> Result<Self, Unspecified> {
                Ok(Self::from_bytes(generate(random)?.expose()))
            }

            /// The 32 bytes, to be sealed at rest.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                &self.bytes
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
key!(PidKey);
key!(DrawKey);

impl PidKey {
    /// The pseudonym of a visitor in an experiment.
    #[must_use]
    pub fn pseudonym(&self, experiment_id: Uuid, visitor: &str) -> Pseudonym {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(b"samplit-audit/pid/v1\n");
        context.update(
            experiment_id
                .hyphenated()
                .encode_lower(&mut [0; 36])
                .as_bytes(),
        );
        context.update(b"\n");
        context.update(visitor.as_bytes());
        Pseudonym(finish(context))
    }
}

impl DrawKey {
    /// The uniform 64 bits of a visitor's draw; `index` is 0 for the first element, 1 for the next.
    #[must_use]
    pub fn draw(&self, experiment_id: Uuid, visitor: Pseudonym, index: u16) -> u64 {
        let mut text = [0_u8; 64];
        for (two, byte) in text.chunks_exact_mut(2).zip(visitor.0) {
            two.copy_from_slice(&hex::pair(byte));
        }
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(b"samplit-audit/draw/v1\n");
        context.update(
            experiment_id
                .hyphenated()
                .encode_lower(&mut [0; 36])
                .as_bytes(),
        );
        context.update(b"\n");
        context.update(&text);
        context.update(b"\n");
        context.update(write::decimal(&mut [0; 20], u64::from(index)));
        context.update(b"\n");
        let [a, b, c, d, e, f, g, h, ..] = finish(context);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The commitment that the genesis entry carries.
    #[must_use]
    pub fn commitment(&self, experiment_id: Uuid) -> Hash {
        let mut id = [0_u8; 36];
        let id = experiment_id.hyphenated().encode_lower(&mut id).as_bytes();
        Hash::of_parts(&[b"samplit-audit/draw-key/v1\n", id, b"\n", &self.bytes])
    }
}

fn finish(context: hmac::Context) -> [u8; 32] {
    context
        .sign()
        .as_ref()
        .try_into()
        .expect("HMAC-SHA256 gives 32 bytes")
}

/// A draw in parts per billion, `floor(u64 * 10^9 / 2^64)`.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "the product is less than 10^9 * 2^64"
)]
pub fn scale(u64: u64) -> u32 {
    let product = u128::from(u64) * u128::from(PPB);
    u32::try_from(product >> 64).expect("less than 10^9")
}

/// The first arm whose cumulative weight exceeds the draw; nothing if the weights sum to less.
#[must_use]
pub fn choose(weights_ppb: &[u32], r_ppb: u32) -> Option<usize> {
    let mut cumulative = 0_u64;
    weights_ppb.iter().position(|weight| {
        cumulative += u64::from(*weight);
        u64::from(r_ppb) < cumulative
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale_choose_arms_with_weight() {
        assert_eq!(scale(0), 0);
        assert_eq!(scale(u64::MAX), PPB - 1);
        assert_eq!(choose(&[0, 400_000_000, 0, 600_000_000], 0), Some(1));
        assert_eq!(
            choose(&[0, 400_000_000, 0, 600_000_000], 399_999_999),
            Some(1)
        );
        assert_eq!(
            choose(&[0, 400_000_000, 0, 600_000_000], 400_000_000),
            Some(3)
        );
        assert_eq!(choose(&[0, 400_000_000, 0, 600_000_000], PPB - 1), Some(3));
        assert_eq!(choose(&[1], 1), None);
    }

    #[test]
    fn debug_shows_no_byte_of_a_key() {
        let text = format!(
            "{:?} {:?}",
            DrawKey::from_bytes([7; 32]),
            PidKey::from_bytes([7; 32])
        );
        assert_eq!(text, "DrawKey { .. } PidKey { .. }");
    }
}
