//! Sound trails verify, whole and row by row.

use samplit_audit::{Entry, Options, Payload, Verifier, bundle, payload::Mode};

use crate::check::MODES;
use crate::support::{EXPERIMENT, Note, World, strict};

#[test]
fn full_trails_verify_in_every_mode() {
    for mode in MODES {
        let world = World::full(mode);
        let report = world.verify().expect("sound");
        assert_eq!(report.entries, world.head.size());
        assert_eq!(
            (report.head, report.root),
            (world.head.hash(), world.head.root())
        );
        assert_eq!(
            (report.redactions, report.incarnation, report.abandoned),
            (2, 2, 1)
        );
        assert_eq!((report.checkpoints, report.signatures), (3, 4));
        assert_eq!(report.signed_size, report.entries);
        assert!(report.sealed);
        let replay = report.replay.expect("replayed");
        let elements = if mode == Mode::Independent { 2 } else { 1 };
        assert_eq!(replay.assignments, 21 * elements - 1);
        assert_eq!(replay.draws, replay.assignments);
        assert_eq!(
            (replay.conversions, replay.reallocations, replay.weights),
            (4, 3, 3)
        );
        let sum: u64 = replay.totals.iter().flatten().map(|total| total.n).sum();
        assert_eq!(sum, replay.assignments);
    }
}

#[test]
fn the_same_trail_verifies_from_rows_and_without_replay_or_keys() {
    let world = World::full(Mode::Single);
    let from_bundle = world.verify().expect("sound");
    let mut verifier = Verifier::new(EXPERIMENT, strict());
    for (before, entry) in (0..).zip(&world.entries) {
        push_notes(&mut verifier, &world, before);
        let row = Payload::from_json(&entry.payload.to_json()).expect("of the profile");
        let entry = Entry {
            payload: row,
            ..entry.clone()
        };
        verifier.push_entry(&entry.as_ref()).expect("sound");
    }
    push_notes(&mut verifier, &world, world.head.size());
    assert_eq!(verifier.finish().expect("sound"), from_bundle);

    let plain = bundle::verify(world.bundle().as_slice(), Options::default()).expect("sound");
    assert_eq!(
        (plain.signatures, plain.signed_size, plain.replay),
        (0, 0, None)
    );
    assert_eq!(plain.root, from_bundle.root);
}

fn push_notes(verifier: &mut Verifier, world: &World, size: u64) {
    for (_, note) in world.notes.iter().filter(|(at, _)| *at == size) {
        match note {
            Note::Checkpoint(note) => verifier.push_checkpoint(note).expect("sound"),
            Note::Abandoned(note) => verifier.push_abandoned(note).expect("sound"),
        }
    }
}

#[test]
fn the_head_never_goes_back_in_time() {
    let mut world = World::new(Mode::Single);
    let last = world.head.last_us();
    world.now_us -= 100;
    world.assign("first");
    assert_eq!(world.head.last_us(), last);
    assert_eq!(world.entries[1].created_at_us, last);
    world.checkpoint();
    world.verify().expect("sound");
}

#[test]
fn options_show_no_key() {
    let shown = format!("{:?} {:?}", strict(), Verifier::new(EXPERIMENT, strict()));
    assert!(
        !shown.contains("7, 7") && !shown.contains("0707"),
        "{shown}"
    );
}
