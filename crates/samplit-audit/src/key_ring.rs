//! Values sealed at rest: AES-256-GCM under a ring of keys, bound to their place.
//!
//! `version(1) || key_id(4) || nonce(12) || ciphertext || tag(16)`, in TEXT columns in standard
//! base64. `key_id` is the first 4 bytes of SHA-256 of the key. The additional data is table, row
//! and column, each behind its length in 4 bytes, big-endian: a value that was moved does not open.
//! The first key of the ring seals, every key opens; to rotate, put a new key in front and seal
//! again whatever [`KeyRing::is_current`] does not accept.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::SecureRandom,
};

use crate::{Hash, hex};

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Where a sealed value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Table.
    pub table: &'a str,
    /// Id of the row, as text.
    pub row: &'a str,
    /// Column.
    pub column: &'a str,
}

impl Place<'_> {
    /// Each part behind its length, so that no two places read the same.
    fn aad(&self) -> Vec<u8> {
        let mut aad = Vec::new();
        for part in [self.table, self.row, self.column] {
            let length = u32::try_from(part.len()).expect("names are short");
            aad.extend_from_slice(&length.to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    }
}

/// The keys of a ring cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key at all.
    #[error("no key given")]
    Empty,
    /// A key is not 32 bytes of hexadecimal or base64. Its text is not repeated here.
    #[error("key {0} is not 32 bytes in hexadecimal or base64")]
    BadKey(usize),
}

/// A value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The random source gave no nonce.
    #[error("the random source failed")]
    Random,
    /// The bytes are not a sealed value of this version.
    #[error("not a sealed value")]
    Malformed,
    /// The ring does not have the key that sealed the value.
    #[error("sealed with a key that is not in the ring")]
    UnknownKey,
    /// The value was altered, or stood in another place when it was sealed.
    #[error("the sealed value does not open here")]
    DoesNotOpen,
}

struct RingKey {
    id: [u8; KEY_ID_LEN],
    key: LessSafeKey,
}

impl RingKey {
    fn new(bytes: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = Hash::of(bytes).0;
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key of AES-256");
        Self {
            id: [a, b, c, d],
            key: LessSafeKey::new(key),
        }
    }
}

/// Keys that seal and open values at rest.
pub struct KeyRing {
    keys: Vec<RingKey>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl KeyRing {
    /// From raw keys; the first one seals.
    ///
    /// # Errors
    /// There is no key.
    pub fn new(keys: &[[u8; 32]]) -> Result<Self, KeyRingError> {
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self {
            keys: keys.iter().map(RingKey::new).collect(),
        })
    }

    /// From text: keys of 64 hexadecimal digits or base64, set apart by commas or white space.
    ///
    /// # Errors
    /// There is no key, or one is not 32 bytes; it is named by its position from 1.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let keys = text
            .split(|char: char| char == ',' || char.is_whitespace())
            .filter(|word| !word.is_empty())
            .enumerate()
            .map(|(index, word)| parse_key(word).ok_or(KeyRingError::BadKey(index + 1)))
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(&keys)
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    /// The random source failed.
    #[expect(clippy::missing_panics_doc, reason = "no value here comes near 64 GiB")]
    pub fn seal(
        &self,
        place: Place<'_>,
        plain: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| SealError::Random)?;
        let first = &self.keys[0];
        let mut sealed = Vec::with_capacity(HEADER_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&first.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = first
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.aad()),
                &mut sealed[HEADER_LEN..],
            )
            .expect("far below the limit of 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a value in its place, with whichever key of the ring sealed it.
    ///
    /// # Errors
    /// The value is malformed, altered, moved, or sealed with a key that is not in the ring.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, rest) = split(sealed)?;
        let (nonce, body) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let mut body = body.to_vec();
        let mut known = false;
        // Two keys can share a short id, so every key of that id is tried.
        for key in self.keys.iter().filter(|key| key.id == id) {
            known = true;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let mut copy = body.clone();
            if let Ok(plain) = key
                .key
                .open_in_place(nonce, Aad::from(place.aad()), &mut copy)
            {
                body.truncate(plain.len());
                body.copy_from_slice(plain);
                return Ok(body);
            }
        }
        Err(if known {
            SealError::DoesNotOpen
        } else {
            SealError::UnknownKey
        })
    }

    /// Seals a value for a TEXT column.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_text(
        &self,
        place: Place<'_>,
        plain: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<String, SealError> {
        Ok(STANDARD.encode(self.seal(place, plain, random)?))
    }

    /// Opens a value of a TEXT column.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_text(&self, place: Place<'_>, sealed: &str) -> Result<Vec<u8>, SealError> {
        let sealed = STANDARD.decode(sealed).map_err(|_| SealError::Malformed)?;
        self.open(place, &sealed)
    }

    /// Whether the key that seals today sealed this value; if not, it is to be sealed again.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        split(sealed).is_ok_and(|(id, _)| id == self.keys[0].id)
    }
}

fn split(sealed: &[u8]) -> Result<([u8; KEY_ID_LEN], &[u8]), SealError> {
    match sealed {
        [VERSION, rest @ ..] => rest
            .split_first_chunk()
            .map(|(id, rest)| (*id, rest))
            .ok_or(SealError::Malformed),
        _ => Err(SealError::Malformed),
    }
}

fn parse_key(word: &str) -> Option<[u8; 32]> {
    if word.len() == 64 {
        return hex::decode(word.to_ascii_lowercase().as_bytes());
    }
    STANDARD.decode(word).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    const HERE: Place<'_> = Place {
        table: "experiment_keys",
        row: "7",
        column: "draw_key_sealed",
    };

    #[test]
    fn a_value_opens_in_its_place_only() {
        let ring = KeyRing::new(&[[1; 32]]).unwrap();
        let sealed = ring.seal(HERE, b"secret", &SystemRandom::new()).unwrap();
        assert_eq!(sealed.len(), 1 + 4 + 12 + 6 + 16);
        assert_eq!(sealed[1..5], Hash::of(&[1; 32]).0[..4]);
        assert_eq!(ring.open(HERE, &sealed).unwrap(), b"secret");
        for moved in [
            Place {
                table: "experiment_key",
                ..HERE
            },
            Place { row: "8", ..HERE },
            Place {
                column: "pid_key_sealed",
                ..HERE
            },
            Place {
                table: "experiment_keys7",
                row: "",
                ..HERE
            },
        ] {
            assert_eq!(ring.open(moved, &sealed), Err(SealError::DoesNotOpen));
        }
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(ring.open(HERE, &altered).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(
                ring.open(HERE, &sealed[..length]).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn rotation_opens_the_old_and_seals_with_the_new() {
        let old = KeyRing::new(&[[1; 32]]).unwrap();
        let rotated = KeyRing::new(&[[2; 32], [1; 32]]).unwrap();
        let new = KeyRing::new(&[[2; 32]]).unwrap();
        let random = SystemRandom::new();
        let sealed = old.seal(HERE, b"secret", &random).unwrap();
        assert!(old.is_current(&sealed) && !rotated.is_current(&sealed));
        assert_eq!(new.open(HERE, &sealed), Err(SealError::UnknownKey));
        let plain = rotated.open(HERE, &sealed).unwrap();
        let again = rotated.seal_text(HERE, &plain, &random).unwrap();
        assert_eq!(new.open_text(HERE, &again).unwrap(), b"secret");
    }

    #[test]
    fn keys_are_read_from_hexadecimal_and_base64() {
        let text = format!("{}\n{}, ", "01".repeat(32), STANDARD.encode([2_u8; 32]));
        let ring = KeyRing::parse(&text).unwrap();
        assert_eq!(ring.keys.len(), 2);
        let same = KeyRing::new(&[[1; 32], [2; 32]]).unwrap();
        assert!(ring.keys.iter().zip(&same.keys).all(|(a, b)| a.id == b.id));
        assert_eq!(KeyRing::parse(" ,").unwrap_err(), KeyRingError::Empty);
        assert_eq!(KeyRing::parse("AQID").unwrap_err(), KeyRingError::BadKey(1));
        assert_eq!(format!("{ring:?}"), "KeyRing { keys: 2, .. }");
    }
}
