//! Verifying a trail in one pass, from a bundle or from the rows of a database.
//!
//! Every entry is checked in this order, and the first that is wrong ends the pass: its payload is
//! canonical; its sequence follows without a gap; it links to the hash before it and its own hash
//! is recomputed; `genesis` comes first and only there; its time does not go back; redactions and
//! restores are in order; and then, if asked for, the decision is replayed. Every checkpoint is
//! compared with the root at its size, and its signature is checked under keys that the *auditor*
//! holds.
//!
//! What this shows: that nobody altered, moved, inserted or removed an entry behind a signed
//! checkpoint, and that every decision followed the rule that the genesis entry announced. Behind
//! the last checkpoint a tail could be missing; [`Report::signed_size`] tells how far it reaches.
//! What no verifier can show: visitors that were invented, requests that were never recorded.

mod counts;
mod replay;
mod report;
mod visitors;

use std::collections::BTreeSet;

use uuid::Uuid;

pub use replay::{AllocationRule, ArmCount, MAX_COUNT_LAG, WEIGHT_TOLERANCE_PPB};
pub use report::{Failure, FailureKind, ReplayReport, Report, Total};

use crate::{
    DecisionType, DrawKey, EntryRef, Hash,
    checkpoint::{Checkpoint, NoteError, SignedCheckpoint, VerifyingKey},
    entry::entry_hash,
    genesis_hash,
    merkle::Frontier,
    payload::{Redaction, Restore, Seal, TypedPayload, payload_hash, stub_hash},
    sj1::{self, Value},
};
use replay::Replay;

/// What to verify beside the chain, and with what.
#[derive(Default)]
pub struct Options {
    /// Keys pinned by the auditor. If there are any, every checkpoint must be signed by one of
    /// them, and there must be a checkpoint. If there are none, no signature is checked.
    pub keys: Vec<VerifyingKey>,
    /// Checkpoints that the auditor kept; the trail must contain each of them as a prefix.
    pub known: Vec<Checkpoint>,
    /// Whether to replay decisions.
    pub replay: bool,
    /// The draw key, if the operator hands it over before the trail is sealed.
    pub draw_key: Option<DrawKey>,
    /// Recomputes weights from counts; without it the weights are taken as they are.
    pub rule: Option<Box<dyn AllocationRule>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("keys", &self.keys)
            .field("known", &self.known)
            .field("replay", &self.replay)
            .field("draw_key", &self.draw_key)
            .field("rule", &self.rule.is_some())
            .finish()
    }
}

/// A verification under way.
#[derive(Debug)]
pub struct Verifier {
    experiment_id: Uuid,
    keys: Vec<VerifyingKey>,
    /// By size, the smallest last.
    known: Vec<Checkpoint>,
    replay: Option<Replay>,
    hash: Hash,
    last_us: i64,
    frontier: Frontier,
    origin: String,
    incarnation: u32,
    /// Stubs whose redaction entry has not come yet.
    unexplained: BTreeSet<u64>,
    redactions: u64,
    checkpoints: u64,
    signatures: u64,
    signed_size: u64,
    abandoned: u64,
    /// The last of the abandoned checkpoints that the next entry must answer for.
    given_up: Option<Checkpoint>,
    revealed: Option<DrawKey>,
    sealed: bool,
}

impl Verifier {
    /// A verification that has seen nothing yet.
    #[must_use]
    pub fn new(experiment_id: Uuid, options: Options) -> Self {
        let Options {
            keys,
            mut known,
            replay,
            draw_key,
            rule,
        } = options;
        // A checkpoint of nothing says nothing.
        known.retain(|checkpoint| checkpoint.size > 0);
        known.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        Self {
            experiment_id,
            keys,
            known,
            replay: replay.then(|| Replay::new(experiment_id, draw_key, rule)),
            hash: genesis_hash(experiment_id),
            last_us: i64::MIN,
            frontier: Frontier::new(),
            origin: String::new(),
            incarnation: 1,
            unexplained: BTreeSet::new(),
            redactions: 0,
            checkpoints: 0,
            signatures: 0,
            signed_size: 0,
            abandoned: 0,
            given_up: None,
            revealed: None,
            sealed: false,
        }
    }

    /// The experiment whose trail this is.
    #[must_use]
    pub fn experiment_id(&self) -> Uuid {
        self.experiment_id
    }

    /// Number of entries seen.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Whether a seal entry was seen.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Gives the draw key of a sealed trail, before its first entry.
    ///
    /// # Errors
    /// Entries were seen already, or the operator handed over another key.
    pub fn reveal(&mut self, draw_key: &DrawKey) -> Result<(), Failure> {
        if self.size() > 0 {
            return Err(self.fail(FailureKind::Malformed, "the draw key comes after entries"));
        }
        self.revealed = Some(draw_key.clone());
        match self.replay.as_mut().map(|replay| replay.reveal(draw_key)) {
            Some(Err(what)) => Err(self.fail(FailureKind::Replay, what)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Verifies the next entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn push_entry(&mut self, entry: &EntryRef<'_>) -> Result<(), Failure> {
        sj1::check(entry.payload).map_err(|error| Failure {
            kind: FailureKind::Malformed,
            sequence: Some(entry.sequence_number),
            what: format!("the payload is not canonical, {error}"),
        })?;
        self.push_checked(entry)
    }

    /// As [`push_entry`](Self::push_entry), for a payload that is known to be canonical.
    pub(crate) fn push_checked(&mut self, entry: &EntryRef<'_>) -> Result<(), Failure> {
        let wrong = |kind, what: String| Failure {
            kind,
            sequence: Some(self.size() + 1),
            what,
        };
        let integrity = |what: &str| Err(wrong(FailureKind::Integrity, what.to_owned()));
        if entry.experiment_id != self.experiment_id {
            return integrity("belongs to another experiment");
        }
        if entry.sequence_number != self.size() + 1 {
            let what = format!(
                "is missing; the entry found here has number {}",
                entry.sequence_number
            );
            return Err(wrong(FailureKind::Integrity, what));
        }
        if entry.previous_hash != self.hash {
            return integrity("does not link to the entry before it");
        }
        let stub = stub_hash(entry.payload);
        let current_hash = entry_hash(
            self.experiment_id,
            entry.sequence_number,
            self.hash,
            entry.id,
            entry.decision_type,
            entry.created_at_us,
            stub.unwrap_or_else(|| payload_hash(entry.payload)),
        );
        if entry.current_hash != current_hash {
            return integrity("was altered: its hash is not that of its content");
        }
        if (entry.decision_type == DecisionType::Genesis) != (entry.sequence_number == 1) {
            return integrity("is out of place: genesis is the first entry and only the first");
        }
        if entry.created_at_us < self.last_us {
            return integrity("is earlier than the entry before it");
        }
        self.hash = current_hash;
        self.last_us = entry.created_at_us;
        self.frontier.push(current_hash);
        self.account(entry, stub.is_some())?;
        self.compare_known()?;
        match self
            .replay
            .as_mut()
            .map(|replay| replay.entry(entry, stub.is_some()))
        {
            Some(Err((kind, what))) => Err(self.fail(kind, what)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Compares a checkpoint of exactly the entries seen so far, and checks its signatures.
    ///
    /// # Errors
    /// It is malformed, of another trail or of another history, or not signed by a pinned key.
    pub fn push_checkpoint(&mut self, note: &str) -> Result<(), Failure> {
        let signed = self.read_note(note)?;
        let checkpoint = signed.checkpoint();
        if self.given_up.is_some() {
            return Err(self.fail(
                FailureKind::Malformed,
                "an abandoned checkpoint does not stand right before its restore",
            ));
        }
        if checkpoint.size < self.size() {
            return Err(self.fail(
                FailureKind::Malformed,
                "a checkpoint stands behind the entry of its size",
            ));
        }
        if checkpoint.size > self.size() {
            let what = format!(
                "entries are missing: a checkpoint of {} entries",
                checkpoint.size
            );
            return Err(self.fail(FailureKind::Integrity, what));
        }
        if checkpoint.root != self.frontier.root() {
            return Err(self.fail(
                FailureKind::Integrity,
                "a checkpoint shows another history up to here",
            ));
        }
        self.checkpoints += 1;
        if self.check_signatures(&signed)? {
            self.signed_size = self.size();
        }
        Ok(())
    }

    /// Takes note of a checkpoint that the next entry, a `restore`, gives up.
    ///
    /// # Errors
    /// It is malformed, of another trail, out of order, or not signed by a pinned key.
    pub fn push_abandoned(&mut self, note: &str) -> Result<(), Failure> {
        let signed = self.read_note(note)?;
        let checkpoint = signed.checkpoint().clone();
        if self
            .given_up
            .as_ref()
            .is_some_and(|last| last.size > checkpoint.size)
        {
            return Err(self.fail(
                FailureKind::Malformed,
                "abandoned checkpoints are not in order of size",
            ));
        }
        self.check_signatures(&signed)?;
        self.abandoned += 1;
        self.given_up = Some(checkpoint);
        Ok(())
    }

    /// Ends the verification.
    ///
    /// # Errors
    /// Something is missing: entries that a kept checkpoint covers, a redaction entry, a restore
    /// entry, or, with pinned keys, any checkpoint at all.
    pub fn finish(self) -> Result<Report, Failure> {
        if self.size() == 0 {
            return Err(self.fail(FailureKind::Integrity, "the trail is empty"));
        }
        if let Some(known) = self.known.last() {
            let what = format!(
                "entries are missing: a kept checkpoint has {} entries",
                known.size
            );
            return Err(self.fail(FailureKind::Integrity, what));
        }
        if let Some(sequence) = self.unexplained.first() {
            return Err(Failure {
                kind: FailureKind::Integrity,
                sequence: Some(*sequence),
                what: "was redacted without a redaction entry".into(),
            });
        }
        if self.given_up.is_some() {
            return Err(self.fail(
                FailureKind::Integrity,
                "a checkpoint was given up without a restore entry",
            ));
        }
        if !self.keys.is_empty() && self.checkpoints == 0 {
            return Err(self.fail(
                FailureKind::Signature,
                "no checkpoint is signed by a pinned key",
            ));
        }
        Ok(Report {
            experiment_id: self.experiment_id,
            entries: self.size(),
            head: self.hash,
            root: self.frontier.root(),
            last_us: self.last_us,
            sealed: self.sealed,
            incarnation: self.incarnation,
            redactions: self.redactions,
            checkpoints: self.checkpoints,
            abandoned: self.abandoned,
            signatures: self.signatures,
            signed_size: self.signed_size,
            replay: self.replay.map(Replay::report),
        })
    }

    /// A failure at the last entry seen.
    pub(crate) fn fail(&self, kind: FailureKind, what: impl Into<String>) -> Failure {
        let sequence = Some(self.size()).filter(|size| *size > 0);
        Failure {
            kind,
            sequence,
            what: what.into(),
        }
    }

    /// Compares the checkpoints that the auditor kept.
    fn compare_known(&mut self) -> Result<(), Failure> {
        while let Some(known) = self
            .known
            .pop_if(|known| known.size <= self.frontier.size())
        {
            if (known.root, known.origin) != (self.frontier.root(), self.origin.clone()) {
                return Err(self.fail(
                    FailureKind::Integrity,
                    "a kept checkpoint shows another history up to here",
                ));
            }
        }
        Ok(())
    }

    /// Genesis, seal, redactions and restores: what concerns the trail and not the decisions.
    fn account(&mut self, entry: &EntryRef<'_>, stub: bool) -> Result<(), Failure> {
        if stub {
            if !matches!(
                entry.decision_type,
                DecisionType::Assignment | DecisionType::Conversion
            ) {
                return Err(self.fail(
                    FailureKind::Integrity,
                    "is redacted, but only assignments and conversions may be",
                ));
            }
            self.unexplained.insert(entry.sequence_number);
            self.redactions += 1;
        }
        if self.given_up.is_some() && entry.decision_type != DecisionType::Restore {
            return Err(self.fail(
                FailureKind::Integrity,
                "should be the restore that gives up the checkpoints before it",
            ));
        }
        let malformed = |error: sj1::Error| Failure {
            kind: FailureKind::Malformed,
            sequence: Some(entry.sequence_number),
            what: format!("is not a {} of the format, {error}", entry.decision_type),
        };
        match entry.decision_type {
            DecisionType::Genesis => {
                let Value::Object(mut fields) = sj1::parse(entry.payload).map_err(malformed)?
                else {
                    return Err(self.fail(FailureKind::Malformed, "is not an object"));
                };
                let Some(Value::String(origin)) = fields.remove("origin") else {
                    return Err(self.fail(FailureKind::Malformed, "names no origin"));
                };
                self.origin = origin;
            }
            DecisionType::Redaction => {
                let redaction = Redaction::parse(entry.payload).map_err(malformed)?;
                if !self.unexplained.remove(&redaction.sequence) {
                    let what = format!(
                        "redacts entry {}, whose payload is there",
                        redaction.sequence
                    );
                    return Err(self.fail(FailureKind::Integrity, what));
                }
            }
            DecisionType::Restore => {
                let restore = Restore::parse(entry.payload).map_err(malformed)?;
                if restore.incarnation != self.incarnation + 1 {
                    return Err(self.fail(FailureKind::Integrity, "is not the next incarnation"));
                }
                self.incarnation = restore.incarnation;
                let given_up = self.given_up.take();
                if given_up
                    .is_some_and(|last| (last.size, last.root) != (restore.size, restore.root))
                {
                    return Err(self.fail(
                        FailureKind::Integrity,
                        "gives up another checkpoint than the last one before it",
                    ));
                }
            }
            DecisionType::Seal => {
                let seal = Seal::parse(entry.payload).map_err(malformed)?;
                if self
                    .revealed
                    .as_ref()
                    .is_some_and(|key| *key.expose() != seal.draw_key)
                {
                    return Err(self.fail(
                        FailureKind::Integrity,
                        "seals another draw key than the revealed one",
                    ));
                }
                self.sealed = true;
            }
            DecisionType::Assignment | DecisionType::Conversion | DecisionType::Reallocation => {}
        }
        Ok(())
    }

    fn read_note(&self, note: &str) -> Result<SignedCheckpoint, Failure> {
        let signed = SignedCheckpoint::parse(note)
            .map_err(|error| self.fail(FailureKind::Malformed, error.to_string()))?;
        if signed.checkpoint().origin == self.origin {
            Ok(signed)
        } else {
            Err(self.fail(FailureKind::Integrity, "a checkpoint of another trail"))
        }
    }

    /// Whether signatures were checked; without pinned keys they are not.
    fn check_signatures(&mut self, signed: &SignedCheckpoint) -> Result<bool, Failure> {
        if self.keys.is_empty() {
            return Ok(false);
        }
        match signed.verify(&self.keys) {
            Ok(held) => {
                self.signatures += u64::try_from(held).expect("few keys");
                Ok(true)
            }
            Err(error @ NoteError::NotSigned) => Err(self.fail(
                FailureKind::Signature,
                format!("a checkpoint here is {error}"),
            )),
            Err(error) => Err(self.fail(FailureKind::Signature, error.to_string())),
        }
    }
}
