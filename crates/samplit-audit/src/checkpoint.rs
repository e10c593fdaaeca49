//! Signed checkpoints: the size and root of a trail as a C2SP signed note (c2sp.org/signed-note,
//! c2sp.org/tlog-checkpoint), kept where whoever writes the database cannot reach.
//!
//! ```text
//! <origin>
//! <size>
//! <base64 of the root>
//!
//! — <key name> <base64 of key id || Ed25519 signature>
//! ```
//! The signature is over the first three lines with their newlines. The key id is the first 4 bytes
//! of SHA-256(name || 0x0A || 0x01 || public key). A verifier key reads
//! `<name>+<key id in hex>+<base64 of 0x01 || public key>`.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::{Hash, hex};

/// The signature type of Ed25519 in a signed note.
const ED25519_TYPE: u8 = 1;
const MARK: &str = "\u{2014} ";
/// Far above what any witness set needs.
const MAX_SIGNATURES: usize = 100;

/// What is wrong with a note or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is not a signed checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The text is not a verifier key of Ed25519.
    #[error("not a verifier key of Ed25519")]
    BadKey,
    /// A name that cannot stand in a note: empty, or with white space or a plus sign.
    #[error("a key name is not empty and has no white space and no plus sign")]
    BadName,
    /// None of the keys that the reader trusts has signed.
    #[error("not signed by any of the trusted keys")]
    NotSigned,
    /// A trusted key's signature does not hold.
    #[error("the signature of a trusted key does not hold")]
    BadSignature,
}

/// The size and root of a trail at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The trail: the `origin` of its genesis entry.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Merkle root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: Hash(STANDARD.decode(root).ok()?.try_into().ok()?),
        };
        // One spelling: no leading zero or sign, no further line, an origin.
        (!origin.is_empty() && checkpoint.text() == text).then_some(checkpoint)
    }
}

/// A checkpoint with the signatures under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl SignedCheckpoint {
    /// Reads a note. The signatures are not checked yet.
    ///
    /// # Errors
    /// The text is not a signed checkpoint.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.chars().any(|char| char.is_control() && char != '\n') {
            return Err(NoteError::Malformed("a control character"));
        }
        let (text, signatures) = note
            .rsplit_once("\n\n")
            .ok_or(NoteError::Malformed("no signatures"))?;
        let text = &note[..=text.len()];
        let checkpoint = Checkpoint::parse(text)
            .ok_or(NoteError::Malformed("not the lines origin, size and root"))?;
        let signatures = signatures
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("the last line does not end"))?
            .split('\n')
            .map(|line| Signature::parse(line).ok_or(NoteError::Malformed("a signature line")))
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("too many signatures"));
        }
        Ok(Self {
            checkpoint,
            signatures,
        })
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many of the trusted keys have signed. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// None has, or a signature of one of them does not hold.
    pub fn verify(&self, trusted: &[VerifyingKey]) -> Result<usize, NoteError> {
        let text = self.checkpoint.text();
        let mut held = 0;
        for key in trusted {
            let mut own = self
                .signatures
                .iter()
                .filter(|signature| signature.key_id == key.id && signature.name == key.name)
                .peekable();
            held += usize::from(own.peek().is_some());
            for signature in own {
                UnparsedPublicKey::new(&ED25519, key.public)
                    .verify(text.as_bytes(), &signature.bytes)
                    .map_err(|_| NoteError::BadSignature)?;
            }
        }
        if held == 0 {
            Err(NoteError::NotSigned)
        } else {
            Ok(held)
        }
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (key_id, bytes) = decoded.split_first_chunk()?;
        (is_name(name) && !bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            bytes: bytes.to_vec(),
        })
    }
}

/// A public key that its holder trusts to sign checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifyingKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
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
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::string(&self.id),
            STANDARD.encode(key)
        )
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let decoded = STANDARD.decode(key).map_err(|_| NoteError::BadKey)?;
        let [ED25519_TYPE, public @ ..] = decoded.as_slice() else {
            return Err(NoteError::BadKey);
        };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::BadKey)?)?;
        if hex::decode(id.as_bytes()) == Some(key.id) {
            Ok(key)
        } else {
            Err(NoteError::BadKey)
        }
    }
}

/// A key that signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
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
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::BadKey)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::BadKey)?;
        Ok(Self {
            pair,
            public: VerifyingKey::new(name, public)?,
        })
    }

    /// The key that checks the signatures of this one, to be handed to auditors.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The signed note. Sign only what was committed.
    ///
    /// # Errors
    /// The origin cannot stand in a note: empty, or with a control character.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<String, NoteError> {
        if checkpoint.origin.is_empty() || checkpoint.origin.chars().any(char::is_control) {
            return Err(NoteError::Malformed("the origin is not one line of text"));
        }
        let text = checkpoint.text();
        let mut signature = self.public.id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Ok(format!(
            "{text}\n{MARK}{} {}\n",
            self.public.name,
            STANDARD.encode(signature)
        ))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|char: char| char == '+' || char.is_whitespace() || char.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::from_seed(name, &[seed; 32]).unwrap()
    }

    fn note() -> (Checkpoint, String) {
        let checkpoint = Checkpoint {
            origin: "o.example/exp/1".into(),
            size: 12,
            root: Hash::of(b"root"),
        };
        let note = signer("o.example", 1).sign(&checkpoint).unwrap();
        (checkpoint, note)
    }

    #[test]
    fn a_note_is_read_back_and_verified_by_the_pinned_key_only() {
        let (checkpoint, note) = note();
        let signed = SignedCheckpoint::parse(&note).unwrap();
        assert_eq!(signed.checkpoint(), &checkpoint);
        let pinned = signer("o.example", 1).verifying_key().clone();
        assert_eq!(pinned.to_string().parse(), Ok(pinned.clone()));
        let other = signer("o.example", 2).verifying_key().clone();
        let renamed = signer("p.example", 1).verifying_key().clone();
        assert_eq!(signed.verify(&[other.clone(), pinned.clone()]), Ok(1));
        assert_eq!(signed.verify(&[other, renamed]), Err(NoteError::NotSigned));
        assert_eq!(signed.verify(&[]), Err(NoteError::NotSigned));

        let second = signer("witness", 3);
        let line = second.sign(&checkpoint).unwrap();
        let both = format!("{note}{}", line.rsplit_once("\n\n").unwrap().1);
        let signed = SignedCheckpoint::parse(&both).unwrap();
        assert_eq!(
            signed.verify(&[pinned, second.verifying_key().clone()]),
            Ok(2)
        );
    }

    #[test]
    fn every_altered_bit_of_a_note_is_noticed() {
        let (_, note) = note();
        let pinned = [signer("o.example", 1).verifying_key().clone()];
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut altered = note.clone().into_bytes();
                altered[at] ^= 1 << bit;
                let held = String::from_utf8(altered).is_ok_and(|altered| {
                    SignedCheckpoint::parse(&altered)
                        .is_ok_and(|signed| signed.verify(&pinned).is_ok())
                });
                assert!(!held, "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn malformed_notes_and_keys_are_refused() {
        let (_, note) = note();
        for bad in [
            note.replace("\n12\n", "\n012\n"),
            note.replace("\n12\n", "\n+12\n"),
            note.replace("\n\n", "\nextension\n\n"),
            note.replace("o.example/exp/1\n", "\n"),
            note.replace('\u{2014}', "-"),
            note.trim_end().to_owned(),
            note.split("\n\n").next().unwrap().to_owned(),
            String::new(),
        ] {
            assert!(
                matches!(SignedCheckpoint::parse(&bad), Err(NoteError::Malformed(_))),
                "{bad}"
            );
        }
        let key = signer("o.example", 1).verifying_key().to_string();
        for bad in [
            key.replace('+', "-"),
            key.replacen("o.", "p.", 1),
            format!("{key}AA"),
            "++".into(),
        ] {
            assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
        }
        assert!(Signer::from_seed("with space", &[0; 32]).is_err());
    }
}
