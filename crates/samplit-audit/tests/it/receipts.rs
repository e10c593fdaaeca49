//! Receipts: what is in the trail is proved, and whatever is done to a receipt is named.

use crate::support::{EXPERIMENT, World, verifying_key};
use samplit_audit::{
    Failure, FailureKind, Pseudonym, Signer,
    payload::{Conversion, Mode},
    receipt::{self, ProvedEntry, ReceiptOptions, ReceiptReport},
};

fn pinned() -> ReceiptOptions {
    ReceiptOptions {
        keys: vec![verifying_key()],
        visitor: None,
    }
}

/// Twenty visitors, of whom some converted; a checkpoint; one more visitor.
fn world(mode: Mode) -> World {
    let mut world = World::new(mode);
    for number in 0..20 {
        world.assign(&format!("visitor-{number}"));
    }
    world.convert(3);
    world.convert(7);
    world.checkpoint();
    world
}

fn receipt(world: &World, index: usize) -> Vec<u8> {
    world.receipt(&world.entries_of(index))
}

fn verify(bytes: &[u8]) -> Result<ReceiptReport, Failure> {
    receipt::verify(bytes, &pinned())
}

#[track_caller]
fn refused(bytes: &[u8], options: &ReceiptOptions, kind: FailureKind) {
    let failure = receipt::verify(bytes, options).expect_err("not refused");
    assert_eq!(failure.kind, kind, "{failure}");
}

#[test]
fn a_receipt_tells_what_a_visitor_was_given_and_did() {
    for (mode, elements) in [
        (Mode::Single, 1),
        (Mode::Independent, 2),
        (Mode::Factorial, 1),
    ] {
        let world = world(mode);
        let visitor = &world.visitors[3];
        let options = ReceiptOptions {
            visitor: Some(visitor.pseudonym),
            ..pinned()
        };
        let report = receipt::verify(&receipt(&world, 3), &options).expect("sound");
        assert_eq!(report.experiment_id, EXPERIMENT);
        assert_eq!(report.origin, world.genesis.origin);
        assert_eq!(
            (report.size, report.root),
            (world.head.size(), world.head.root())
        );
        assert_eq!(report.visitor, Some(visitor.pseudonym.to_string()));
        assert_eq!(report.assignments.len(), elements);
        let arms = report.assignments.iter().map(|given| given.arm);
        assert!(arms.eq(visitor.arms.iter().copied()));
        assert_eq!(report.assignments[0].sequence, visitor.first_seq);
        assert_eq!(report.conversions.len(), 1);
        assert_eq!((report.redactions, report.signatures), (0, 1));

        let silent = verify(&receipt(&world, 4)).expect("sound");
        assert!(silent.conversions.is_empty());
    }
}

#[test]
fn every_altered_bit_of_a_receipt_is_noticed() {
    let sound = receipt(&world(Mode::Independent), 3);
    assert!(verify(&sound).is_ok());
    let mut altered = sound.clone();
    for at in 0..sound.len() {
        for bit in 0..8 {
            altered[at] ^= 1 << bit;
            assert!(verify(&altered).is_err(), "byte {at}, bit {bit}");
            altered[at] = sound[at];
        }
    }
    for length in 0..sound.len() {
        refused(&sound[..length], &pinned(), FailureKind::Malformed);
    }
    let twice = [sound.as_slice(), &sound].concat();
    refused(&twice, &pinned(), FailureKind::Malformed);
}

#[test]
fn a_receipt_of_somebody_else_is_refused() {
    let world = world(Mode::Single);
    let options = ReceiptOptions {
        visitor: Some(world.visitors[5].pseudonym),
        ..pinned()
    };
    refused(&receipt(&world, 3), &options, FailureKind::Integrity);
    let two = [world.visitors[3].first_seq, world.visitors[4].first_seq];
    refused(&world.receipt(&two), &pinned(), FailureKind::Integrity);
}

#[test]
fn entries_that_do_not_belong_into_a_receipt_are_refused() {
    let world = world(Mode::Single);
    let first = world.visitors[3].first_seq;
    for (sequences, kind) in [
        (vec![], FailureKind::Malformed),
        (vec![1], FailureKind::Malformed),
        (vec![first, first], FailureKind::Malformed),
        (
            world.entries_of(3).into_iter().rev().collect(),
            FailureKind::Replay,
        ),
        // The conversion alone: it names an assignment that is kept back.
        (world.entries_of(3)[1..].to_vec(), FailureKind::Replay),
    ] {
        refused(&world.receipt(&sequences), &pinned(), kind);
    }
}

#[test]
fn a_proof_holds_for_its_entry_in_its_tree_only() {
    let mut world = world(Mode::Single);
    let entry = |world: &World, sequence: u64| {
        let index = usize::try_from(sequence).expect("small") - 1;
        world.entries[index].clone()
    };
    let (first, other) = (world.visitors[3].first_seq, world.visitors[4].first_seq);
    let moved = entry(&world, first);
    let proved = ProvedEntry {
        entry: moved.as_ref(),
        proof: world.inclusion(other),
    };
    let bytes = receipt::write(EXPERIMENT, &[proved], &world.note());
    refused(&bytes, &pinned(), FailureKind::Integrity);

    // An entry behind the checkpoint.
    world.assign("late");
    let late = entry(&world, world.head.size());
    let proved = ProvedEntry {
        entry: late.as_ref(),
        proof: world.inclusion(late.sequence_number),
    };
    let bytes = receipt::write(EXPERIMENT, &[proved], &world.note());
    refused(&bytes, &pinned(), FailureKind::Integrity);
}

#[test]
fn a_redacted_payload_still_has_its_place() {
    let mut world = world(Mode::Single);
    let visitor = world.visitors[3].clone();
    let sequences = world.entries_of(3);
    world.stub(visitor.first_seq);
    let report = verify(&world.receipt(&sequences)).expect("sound");
    assert_eq!((report.redactions, report.assignments.len()), (1, 0));
    assert_eq!(report.visitor, Some(visitor.pseudonym.to_string()));

    world.stub(sequences[1]);
    let bytes = world.receipt(&sequences);
    let report = verify(&bytes).expect("sound");
    assert_eq!((report.redactions, report.visitor), (2, None));
    let options = ReceiptOptions {
        visitor: Some(visitor.pseudonym),
        ..pinned()
    };
    refused(&bytes, &options, FailureKind::Integrity);
}

#[test]
fn a_visitor_older_than_the_trail_has_a_conversion_only() {
    let mut world = world(Mode::Single);
    let older = Pseudonym([5; 32]);
    let conversion = Conversion {
        visitor: older,
        assignment_seq: 0,
        ..world.conversion(3)
    };
    let sequence = world.append(&conversion);
    world.checkpoint();
    let report = verify(&world.receipt(&[sequence])).expect("sound");
    assert_eq!(report.conversions.len(), 1);

    // Who has an assignment in the trail is not older than it.
    let conversion = Conversion {
        assignment_seq: 0,
        ..world.conversion(4)
    };
    let sequence = world.append(&conversion);
    world.checkpoint();
    let sequences = [world.visitors[4].first_seq, sequence];
    refused(&world.receipt(&sequences), &pinned(), FailureKind::Replay);
}

#[test]
fn signatures_count_only_under_pinned_keys() {
    let bytes = receipt(&world(Mode::Single), 3);
    let other = Signer::from_seed("o.example", &[1; 32]).expect("a name");
    let options = ReceiptOptions {
        keys: vec![other.verifying_key().clone()],
        visitor: None,
    };
    refused(&bytes, &options, FailureKind::Signature);
    let report = receipt::verify(&bytes, &ReceiptOptions::default()).expect("sound");
    assert_eq!(report.signatures, 0);
}
