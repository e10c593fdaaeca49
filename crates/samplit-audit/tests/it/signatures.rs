//! Checkpoints count under pinned keys only.

use samplit_audit::{Checkpoint, FailureKind, Options, Signer, bundle, checkpoint};

use crate::check::{refused, small};
use crate::support::{Note, signer, strict};

#[test]
fn signatures_of_others_do_not_count() {
    let world = small();
    let other = Signer::from_seed("o.example", &[1; 32]).expect("a name");
    let pinned = Options {
        keys: vec![other.verifying_key().clone()],
        ..strict()
    };
    let size = world.head.size();
    refused(
        bundle::verify(world.bundle().as_slice(), pinned),
        FailureKind::Signature,
        size,
    );

    let mut unsigned = small();
    unsigned.notes.clear();
    refused(unsigned.verify(), FailureKind::Signature, size);

    let mut forged = small();
    let Note::Checkpoint(note) = forged.notes[0].1.clone() else {
        panic!("a checkpoint")
    };
    let other = checkpoint::sign(&forged.checkpoint_now(), &[other]).expect("an origin");
    let (text, line) = (
        note.split("\n\n").next().expect("text"),
        other.split("— ").nth(1).expect("line"),
    );
    // The pinned key's id in front of another key's signature.
    let id = note
        .split("— ")
        .nth(1)
        .expect("line")
        .split(' ')
        .nth(1)
        .expect("signature");
    let line = format!(
        "o.example {}{}",
        &id[..5],
        &line.split(' ').nth(1).expect("signature")[5..]
    );
    forged.notes[0].1 = Note::Checkpoint(format!("{text}\n\n— {line}"));
    refused(forged.verify(), FailureKind::Signature, size);

    let mut foreign = small();
    let checkpoint = Checkpoint {
        origin: "o.example/exp/other".into(),
        ..foreign.checkpoint_now()
    };
    foreign.notes[0].1 =
        Note::Checkpoint(checkpoint::sign(&checkpoint, &[signer()]).expect("an origin"));
    refused(foreign.verify(), FailureKind::Integrity, size);
}
