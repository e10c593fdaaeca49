//! Reading and verifying a receipt.

use uuid::Uuid;

use super::{ProvedEntry, ReceiptAssignment, ReceiptConversion, ReceiptReport, VERSION};
use crate::{
    DecisionType, EntryRef, Hash, Pseudonym, TypedPayload,
    checkpoint::{Checkpoint, SignedCheckpoint, VerifyingKey},
    envelope, merkle,
    payload::{ALGORITHM, Assignment, Conversion, stub_hash},
    sj1::{Error, cursor::Cursor},
    verify::{Failure, FailureKind},
};

/// What to verify beside the proofs.
#[derive(Clone, Debug, Default)]
pub struct ReceiptOptions {
    /// Keys pinned by the auditor. If there are any, one of them must have signed the checkpoint.
    /// If there are none, no signature is checked.
    pub keys: Vec<VerifyingKey>,
    /// The visitor that the receipt must be about.
    pub visitor: Option<Pseudonym>,
}

/// Verifies a receipt: one line with its line feed.
///
/// # Errors
/// The first thing that is wrong: the form, then entry by entry its hash, its place in the tree and
/// its visitor, then the signatures.
pub fn verify(bytes: &[u8], options: &ReceiptOptions) -> Result<ReceiptReport, Failure> {
    let receipt = read(bytes).map_err(|error| malformed(None, &error))?;
    let signed = SignedCheckpoint::parse(&receipt.note)
        .map_err(|error| failure(FailureKind::Malformed, None, error.to_string()))?;
    let checkpoint = signed.checkpoint();
    let mut report = ReceiptReport {
        experiment_id: receipt.experiment_id,
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root,
        visitor: None,
        assignments: Vec::new(),
        conversions: Vec::new(),
        redactions: 0,
        signatures: 0,
    };
    let mut entries = Entries {
        visitor: options.visitor,
        seen: false,
        last: 0,
        assignments: Vec::new(),
    };
    for proved in &receipt.entries {
        in_tree(proved, checkpoint)?;
        entries.take(&proved.entry, &mut report)?;
    }
    if entries.last == 0 {
        let what = "the receipt has no entry";
        return Err(failure(FailureKind::Malformed, None, what));
    }
    if options.visitor.is_some() && !entries.seen {
        let what = "names no visitor: every payload is redacted";
        return Err(failure(FailureKind::Integrity, None, what));
    }
    if entries.seen {
        report.visitor = entries.visitor.map(|visitor| visitor.to_string());
    }
    if !options.keys.is_empty() {
        let held = signed
            .verify(&options.keys)
            .map_err(|error| failure(FailureKind::Signature, None, error.to_string()))?;
        report.signatures = held;
    }
    Ok(report)
}

fn failure(kind: FailureKind, sequence: Option<u64>, what: impl Into<String>) -> Failure {
    Failure {
        kind,
        sequence,
        what: what.into(),
    }
}

fn malformed(sequence: Option<u64>, error: &Error) -> Failure {
    failure(FailureKind::Malformed, sequence, error.to_string())
}

struct Receipt<'a> {
    experiment_id: Uuid,
    entries: Vec<ProvedEntry<'a>>,
    note: String,
}

fn read(bytes: &[u8]) -> Result<Receipt<'_>, Error> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Error {
            at: error.valid_up_to(),
            what: "not UTF-8",
        });
    }
    let mut cursor = Cursor::new(bytes);
    cursor.expect(b"{\"alg\":")?;
    if cursor.string()? != ALGORITHM {
        return cursor.fail("not the algorithm samplit-audit-v1");
    }
    cursor.expect(b",\"entries\":")?;
    let mut entries = cursor.array(|cursor, _| read_entry(cursor))?;
    cursor.expect(b",\"experiment_id\":")?;
    let experiment_id = cursor.uuid()?;
    cursor.expect(b",\"kind\":\"receipt\",\"note\":")?;
    let note = cursor.string()?.into_owned();
    cursor.expect(b",\"version\":")?;
    if cursor.number::<u64>()? != VERSION {
        return cursor.fail("an unknown version of the layout");
    }
    cursor.expect(b"}\n")?;
    cursor.end()?;
    for proved in &mut entries {
        proved.entry.experiment_id = experiment_id;
    }
    Ok(Receipt {
        experiment_id,
        entries,
        note,
    })
}

/// The experiment is named behind the entries, so its id is filled in later.
fn read_entry<'a>(cursor: &mut Cursor<'a>) -> Result<ProvedEntry<'a>, Error> {
    cursor.expect(envelope::FIRST_KEY)?;
    let (entry, proof) = envelope::read(cursor, Uuid::nil(), b"", |cursor| {
        cursor.expect(b"\"proof\":")?;
        let proof = cursor.array(|cursor, _| cursor.hex().map(Hash))?;
        cursor.expect(b",")?;
        Ok(proof)
    })?;
    Ok(ProvedEntry { entry, proof })
}

/// The entry has the hash of its content, and that hash is in the tree.
fn in_tree(proved: &ProvedEntry<'_>, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let ProvedEntry { entry, proof } = proved;
    let integrity = |what: &str| {
        let sequence = Some(entry.sequence_number);
        Err(failure(FailureKind::Integrity, sequence, what))
    };
    if entry.compute_hash() != entry.current_hash {
        return integrity("was altered: its hash is not that of its content");
    }
    let included = entry.sequence_number.checked_sub(1).is_some_and(|index| {
        merkle::verify_inclusion(
            index,
            checkpoint.size,
            entry.current_hash,
            proof,
            checkpoint.root,
        )
    });
    if included {
        Ok(())
    } else {
        integrity("is not in the tree of the checkpoint")
    }
}

/// What the entries before said.
struct Entries {
    /// Whom the receipt must be about, once that is known.
    visitor: Option<Pseudonym>,
    /// Whether an entry named the visitor.
    seen: bool,
    /// Sequence of the last entry.
    last: u64,
    /// Sequences of the assignments, redacted ones included.
    assignments: Vec<u64>,
}

impl Entries {
    fn take(&mut self, entry: &EntryRef<'_>, report: &mut ReceiptReport) -> Result<(), Failure> {
        let sequence = entry.sequence_number;
        let wrong = |kind, what: &str| failure(kind, Some(sequence), what);
        if sequence <= self.last {
            let what = "does not come after the entry before it";
            return Err(wrong(FailureKind::Malformed, what));
        }
        self.last = sequence;
        let redacted = stub_hash(entry.payload).is_some();
        report.redactions += u64::from(redacted);
        let visitor = match entry.decision_type {
            DecisionType::Assignment => {
                self.assignments.push(sequence);
                if redacted {
                    return Ok(());
                }
                let assignment: Assignment = typed(entry)?;
                report.assignments.push(ReceiptAssignment {
                    sequence,
                    created_at_us: entry.created_at_us,
                    element: assignment.element,
                    arm: assignment.arm,
                });
                assignment.visitor
            }
            DecisionType::Conversion if redacted => return Ok(()),
            DecisionType::Conversion => {
                let conversion: Conversion = typed(entry)?;
                let named = conversion.assignment_seq;
                let older = named == 0 && self.assignments.is_empty();
                if !older && !self.assignments.contains(&named) {
                    let what = "names an assignment that is not in the receipt";
                    return Err(wrong(FailureKind::Replay, what));
                }
                report.conversions.push(ReceiptConversion {
                    sequence,
                    created_at_us: entry.created_at_us,
                    goal: conversion.goal,
                    value: conversion.value,
                });
                conversion.visitor
            }
            DecisionType::Genesis
            | DecisionType::Reallocation
            | DecisionType::Seal
            | DecisionType::Redaction
            | DecisionType::Restore => {
                let what = "is neither an assignment nor a conversion";
                return Err(wrong(FailureKind::Malformed, what));
            }
        };
        if *self.visitor.get_or_insert(visitor) != visitor {
            return Err(wrong(FailureKind::Integrity, "is about another visitor"));
        }
        self.seen = true;
        Ok(())
    }
}

fn typed<T: TypedPayload>(entry: &EntryRef<'_>) -> Result<T, Failure> {
    T::parse(entry.payload).map_err(|error| malformed(Some(entry.sequence_number), &error))
}
