//! Redactions and restores are owned up to.

use samplit_audit::{
    FailureKind, Hash, Pseudonym, TypedPayload,
    payload::{Mode, Redaction, Restore},
};

use crate::check::{MODES, begun, forged, refused};

#[test]
fn redactions_are_owned_up_to_and_hide_nothing_else() {
    let mut world = begun(Mode::Single);
    world.convert(0);
    world.assign("second");
    let sound = world.clone();

    let mut silent = sound.clone();
    silent.stub(2);
    silent.checkpoint();
    refused(silent.verify(), FailureKind::Integrity, 2);

    let mut needless = sound.clone();
    let sequence = needless.append(&Redaction {
        sequence: 2,
        reason: "none".into(),
    });
    needless.checkpoint();
    refused(needless.verify(), FailureKind::Integrity, sequence);

    let mut snapshot = sound.clone();
    snapshot.reallocate();
    let sequence = snapshot.head.size();
    snapshot.redact(sequence);
    snapshot.checkpoint();
    refused(snapshot.verify(), FailureKind::Integrity, sequence);

    // A conversion of a redacted assignment still counts; the counts stay exact in sum.
    let mut world = sound;
    world.redact(2);
    world.redact(3);
    world.assign("third");
    world.convert(2);
    world.reallocate();
    world.checkpoint();
    assert_eq!(world.verify().expect("sound").redactions, 2);
    forged(world.clone(), |world| {
        world.counts[0][0].n += 1;
        let forged = world.reallocation();
        world.append(&forged)
    });
    forged(world, |world| {
        let mut conversion = world.conversion(1);
        conversion.visitor = Pseudonym([5; 32]);
        world.append(&conversion)
    });
}

#[test]
fn a_conversion_may_name_a_redacted_assignment() {
    for mode in MODES {
        let mut world = begun(mode);
        world.redact(2);
        world.convert(0);
        world.reallocate();
        world.checkpoint();
        world.verify().expect("sound");
    }
}

#[test]
fn restores_answer_for_the_checkpoints_before_them() {
    let mut world = begun(Mode::Single);
    world.restore(2);
    world.assign("second");
    world.checkpoint();
    assert_eq!(world.verify().expect("sound").incarnation, 2);

    let mut silent = world.clone();
    silent.entries.remove(2);
    silent.entries[2].sequence_number = 3;
    silent.rechain();
    silent.notes.pop();
    silent.checkpoint();
    refused(silent.verify(), FailureKind::Integrity, 3);

    let mut other = begun(Mode::Single);
    other.restore(2);
    let restore = Restore {
        incarnation: 2,
        reason: String::new(),
        size: 3,
        root: Hash::of(b"lost"),
    };
    other.put(3, restore.to_payload().expect("of the profile"));
    other.rechain();
    other.checkpoint();
    refused(other.verify(), FailureKind::Integrity, 3);

    let mut skipped = begun(Mode::Single);
    let restore = Restore {
        incarnation: 3,
        reason: String::new(),
        size: 3,
        root: Hash::of(b"lost"),
    };
    skipped.append(&restore);
    skipped.checkpoint();
    refused(skipped.verify(), FailureKind::Integrity, 3);
}
