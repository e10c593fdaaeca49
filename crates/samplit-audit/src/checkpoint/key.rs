//! The keys of checkpoints, in the text forms of Go's note package.
//!
//! ```text
//! <name>+<key id>+<base64 of 0x01 || public key>               handed to auditors
//! PRIVATE+KEY+<name>+<key id>+<base64 of 0x01 || seed>         kept by the operator
//! ```
//! The key id is the first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key), in 8 lower-case
//! hexadecimal digits.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::{SecureRandom, generate},
    signature::{Ed25519KeyPair, KeyPair},
};

use super::NoteError;
use crate::{Hash, hex};

/// The signature type of Ed25519 in a signed note.
const ED25519_TYPE: u8 = 1;
const PRIVATE: &str = "PRIVATE+KEY+";
/// The longest name of a key in bytes. Notes may hold lines of strangers with longer ones.
const MAX_NAME: usize = 255;

/// A public key that its holder trusts to sign checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifyingKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) || name.len() > MAX_NAME {
            return Err(NoteError::BadName);
        }
        let hash = Hash::of_parts(&[name.as_bytes(), b"\n", &[ED25519_TYPE], &public]);
        let [a, b, c, d, ..] = hash.0;
        Ok(Self {
            name: name.to_owned(),
            id: [a, b, c, d],
            public,
        })
    }

    /// The name that stands in signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id that stands in signature lines.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The public key of Ed25519.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.name, self.id, &self.public))
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, id, public) = parse(text).ok_or(NoteError::BadKey)?;
        let key = Self::new(name, public)?;
        if key.id == id {
            Ok(key)
        } else {
            Err(NoteError::BadKey)
        }
    }
}

/// A key that signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
    public: VerifyingKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// From a name and the 32 secret bytes of Ed25519.
    ///
    /// # Errors
    /// The name cannot stand in a note.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::BadSigner)?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| NoteError::BadSigner)?;
        Ok(Self {
            public: VerifyingKey::new(name, public)?,
            seed: *seed,
            pair,
        })
    }

    /// A new key.
    ///
    /// # Errors
    /// The name cannot stand in a note, or the random source failed.
    pub fn generate(name: &str, random: &dyn SecureRandom) -> Result<Self, NoteError> {
        let seed = generate(random).map_err(|_| NoteError::Random)?;
        Self::from_seed(name, &seed.expose())
    }

    /// The key that checks the signatures of this one, to be handed to auditors.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The secret text that [`FromStr`] reads: keep it where only the signer can read it.
    #[must_use]
    pub fn expose(&self) -> String {
        let VerifyingKey { name, id, .. } = &self.public;
        format!("{PRIVATE}{}", text(name, *id, &self.seed))
    }

    /// Key id and signature, as a signature line carries them.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut signature = self.public.id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        STANDARD.encode(signature)
    }
}

impl FromStr for Signer {
    type Err = NoteError;

    /// No error repeats the text.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let rest = text.strip_prefix(PRIVATE).ok_or(NoteError::BadSigner)?;
        let (name, id, seed) = parse(rest).ok_or(NoteError::BadSigner)?;
        let signer = Self::from_seed(name, &seed)?;
        if signer.public.id == id {
            Ok(signer)
        } else {
            Err(NoteError::BadSigner)
        }
    }
}

/// `<name>+<key id>+<base64 of 0x01 || key>`.
fn text(name: &str, id: [u8; 4], key: &[u8; 32]) -> String {
    let mut typed = vec![ED25519_TYPE];
    typed.extend_from_slice(key);
    format!("{name}+{}+{}", hex::string(&id), STANDARD.encode(typed))
}

/// What [`text`] wrote; whether the id fits is for the caller to see.
fn parse(text: &str) -> Option<(&str, [u8; 4], [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let decoded = STANDARD.decode(key).ok()?;
    let [ED25519_TYPE, key @ ..] = decoded.as_slice() else {
        return None;
    };
    Some((name, hex::decode(id.as_bytes())?, key.try_into().ok()?))
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|char: char| char == '+' || char.is_whitespace() || char.is_control())
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn keys_are_read_back_from_their_text() {
        let signer = Signer::generate("o.example", &SystemRandom::new()).unwrap();
        let public = signer.verifying_key();
        assert_eq!(public.to_string().parse().as_ref(), Ok(public));
        let again: Signer = signer.expose().parse().unwrap();
        assert_eq!(again.verifying_key(), public);
        assert_eq!(again.expose(), signer.expose());
    }

    /// The seed and public key of RFC 8032, section 7.1, test 1.
    #[test]
    fn the_text_is_that_of_the_note_package() {
        let seed = hex::decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let signer = Signer::from_seed("o.example", &seed.unwrap()).unwrap();
        assert_eq!(
            hex::string(signer.verifying_key().public()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let id = hex::string(&signer.verifying_key().id());
        assert_eq!(
            signer.expose(),
            format!("PRIVATE+KEY+o.example+{id}+AZ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g")
        );
        assert_eq!(
            signer.verifying_key().to_string(),
            format!("o.example+{id}+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea")
        );
    }

    #[test]
    fn malformed_keys_are_refused() {
        let key = signer("o.example", 1).verifying_key().to_string();
        for bad in [
            key.replace('+', "-"),
            key.replacen("o.", "p.", 1),
            format!("{key}AA"),
            signer("o.example", 1).expose(),
            "++".into(),
        ] {
            assert_eq!(bad.parse::<VerifyingKey>(), Err(NoteError::BadKey), "{bad}");
        }
        let secret = signer("o.example", 1).expose();
        for bad in [
            secret.replacen("PRIVATE", "private", 1),
            secret.replacen("o.", "p.", 1),
            format!("{secret}AA"),
            format!("{secret}\n"),
            key,
        ] {
            assert_eq!(bad.parse::<Signer>().err(), Some(NoteError::BadSigner));
        }
        let error = Signer::from_seed("with space", &[0; 32]).err();
        assert_eq!(error, Some(NoteError::BadName));
    }

    #[test]
    fn names_are_short_and_of_one_word() {
        let named = |name: &str| Signer::from_seed(name, &[1; 32]).map(drop);
        for good in ["o".repeat(255), "\u{fc}".repeat(127), "a-b_c.d/e:1".into()] {
            assert_eq!(named(&good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a+b",
            "a b",
            "a\tb",
            "a\u{2028}b",
            "a\u{9b}b",
            "a\x7f",
            &"o".repeat(256),
            &"\u{fc}".repeat(128),
            &"o".repeat(17 * 1024),
        ] {
            assert_eq!(named(bad), Err(NoteError::BadName), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_byte_of_the_seed() {
        let signer = signer("o.example", 1);
        let text = format!("{signer:?}");
        assert!(text.starts_with("Signer { public: VerifyingKey"), "{text}");
        assert!(text.ends_with(".. }") && !text.contains("seed"), "{text}");
    }
}
