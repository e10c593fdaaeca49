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
//! The signatures, one line each, are over the first three lines with their newlines. Every key of
//! the operator signs every checkpoint, so a key is replaced by adding the new one, handing its
//! public half to auditors, and taking the old one out later.

mod key;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, UnparsedPublicKey};

pub use key::{Signer, VerifyingKey};

use crate::{Hash, bundle};
use key::is_name;

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
    /// The text is not a signing key. It is not repeated here.
    #[error("not a signing key of Ed25519: PRIVATE+KEY+<name>+<key id>+<base64>")]
    BadSigner,
    /// The random source gave no key.
    #[error("the random source failed")]
    Random,
    /// A name that cannot stand in a note: empty, longer than 255 bytes, or with white space, a control
    /// character or a plus sign.
    #[error("a key name has 1 to 255 bytes, no white space, no control character and no plus sign")]
    BadName,
    /// A note that is longer than a line of a bundle.
    #[error(
        "a note with all signatures does not fit into a line of a bundle: use fewer keys or shorter \
         names"
    )]
    TooLong,
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

    /// How many of the trusted keys have signed; a key that is given twice counts once. Signatures of
    /// other keys are passed over.
    ///
    /// # Errors
    /// None has, or a signature of one of them does not hold.
    pub fn verify(&self, trusted: &[VerifyingKey]) -> Result<usize, NoteError> {
        let text = self.checkpoint.text();
        let mut held = 0;
        for (index, key) in trusted.iter().enumerate() {
            if trusted[..index].contains(key) {
                continue;
            }
            let mut own = self
                .signatures
                .iter()
                .filter(|signature| signature.key_id == key.id() && signature.name == key.name())
                .peekable();
            held += usize::from(own.peek().is_some());
            for signature in own {
                UnparsedPublicKey::new(&ED25519, key.public())
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

/// A note of a checkpoint with one signature line per signer. Sign only what was committed.
///
/// # Errors
/// The origin cannot stand in a note (empty, or with a control character), or there is no signer or
/// more than a note, or a line of a bundle, can carry.
pub fn sign(checkpoint: &Checkpoint, signers: &[Signer]) -> Result<String, NoteError> {
    if checkpoint.origin.is_empty() || checkpoint.origin.chars().any(char::is_control) {
        return Err(NoteError::Malformed("the origin is not one line of text"));
    }
    if signers.is_empty() {
        return Err(NoteError::Malformed("no signatures"));
    }
    if signers.len() > MAX_SIGNATURES {
        return Err(NoteError::Malformed("too many signatures"));
    }
    let text = checkpoint.text();
    let mut note = format!("{text}\n");
    for signer in signers {
        let (name, signature) = (signer.verifying_key().name(), signer.sign(&text));
        note.push_str(&format!("{MARK}{name} {signature}\n"));
    }
    let mut line = Vec::with_capacity(2 * note.len());
    bundle::checkpoint(&mut line, &note);
    if line.len() > bundle::MAX_LINE {
        return Err(NoteError::TooLong);
    }
    Ok(note)
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
        let note = sign(&checkpoint, &[signer("o.example", 1)]).unwrap();
        (checkpoint, note)
    }

    #[test]
    fn a_note_is_read_back_and_verified_by_the_pinned_key_only() {
        let (checkpoint, note) = note();
        let signed = SignedCheckpoint::parse(&note).unwrap();
        assert_eq!(signed.checkpoint(), &checkpoint);
        let pinned = signer("o.example", 1).verifying_key().clone();
        let other = signer("o.example", 2).verifying_key().clone();
        let renamed = signer("p.example", 1).verifying_key().clone();
        assert_eq!(signed.verify(&[other.clone(), pinned.clone()]), Ok(1));
        assert_eq!(signed.verify(&[other, renamed]), Err(NoteError::NotSigned));
        assert_eq!(signed.verify(&[]), Err(NoteError::NotSigned));

        let witness = signer("witness", 3).verifying_key().clone();
        let both = sign(&checkpoint, &[signer("o.example", 1), signer("witness", 3)]).unwrap();
        assert!(both.starts_with(&note));
        let signed = SignedCheckpoint::parse(&both).unwrap();
        assert_eq!(signed.verify(&[pinned, witness.clone()]), Ok(2));
        assert_eq!(signed.verify(&[witness.clone(), witness.clone()]), Ok(1));
        assert_eq!(signed.verify(&[witness]), Ok(1));
    }

    #[test]
    fn what_is_signed_fits_into_a_bundle() {
        let (checkpoint, _) = note();
        let signers = |count: u8, length: usize| -> Vec<Signer> {
            let signer = |seed: u8| Signer::from_seed(&"o".repeat(length), &[seed; 32]).unwrap();
            (0..count).map(signer).collect()
        };
        let signed = sign(&checkpoint, &signers(48, 255)).unwrap();
        let mut line = Vec::new();
        bundle::checkpoint(&mut line, &signed);
        assert!(line.len() <= bundle::MAX_LINE && SignedCheckpoint::parse(&signed).is_ok());
        let too_long = sign(&checkpoint, &signers(49, 255));
        assert_eq!(too_long, Err(NoteError::TooLong));
        assert!(sign(&checkpoint, &signers(100, 20)).is_ok());
        assert!(sign(&checkpoint, &signers(101, 1)).is_err());
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
    fn malformed_notes_are_refused() {
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
        let (checkpoint, _) = self::note();
        let two_lines = Checkpoint {
            origin: "o\np".into(),
            ..checkpoint.clone()
        };
        let signer = [signer("o.example", 1)];
        assert!(sign(&two_lines, &signer).is_err());
        assert!(sign(&checkpoint, &[]).is_err());
    }
}
