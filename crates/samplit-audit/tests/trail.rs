//! Whole trails: what is sound verifies, and whatever is done to a trail is named.

#[expect(dead_code, reason = "receipts are tested elsewhere")]
mod support;

use proptest::prelude::*;
use samplit_audit::{
    Checkpoint, DrawKey, Entry, Failure, FailureKind, Hash, Options, Payload, PerElement,
    Pseudonym, Report, Signer, TypedPayload, Verifier, bundle, checkpoint, choose,
    payload::{Carried, Conversion, Mode, Redaction, Restore},
    scale,
};
use support::{EXPERIMENT, LAG_US, Note, World, signer, strict};
use uuid::Uuid;

const MODES: [Mode; 3] = [Mode::Single, Mode::Independent, Mode::Factorial];

#[track_caller]
fn refused(result: Result<Report, Failure>, kind: FailureKind, sequence: impl Into<Option<u64>>) {
    let failure = result.expect_err("not refused");
    assert_eq!(
        (failure.kind, failure.sequence),
        (kind, sequence.into()),
        "{failure}"
    );
}

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

/// A short sealed trail with a signed checkpoint over all of it.
fn small() -> World {
    let mut world = World::new(Mode::Single);
    for number in 0..3 {
        world.assign(&format!("visitor-{number}"));
    }
    world.convert(1);
    world.reallocate();
    world.seal();
    world.checkpoint();
    world
}

#[test]
fn every_flipped_bit_is_refused() {
    let sound = small().bundle();
    bundle::verify(sound.as_slice(), strict()).expect("sound");
    let mut altered = sound;
    for at in 0..altered.len() {
        for bit in 0..8 {
            altered[at] ^= 1 << bit;
            let result = bundle::verify(altered.as_slice(), strict());
            assert!(result.is_err(), "byte {at}, bit {bit}");
            altered[at] ^= 1 << bit;
        }
    }
}

#[test]
fn every_cut_and_every_missing_or_doubled_line_is_refused() {
    let sound = World::full(Mode::Single).bundle();
    let lines: Vec<&[u8]> = sound.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let without = [&lines[..at], &lines[at + 1..]].concat().concat();
        // A note can go missing, which who kept it sees, or stand there twice, which means nothing.
        let is_note = lines[at].starts_with(b"{\"kind\":");
        let result = bundle::verify(without.as_slice(), strict());
        assert_eq!(result.is_ok(), is_note, "line {at} missing");
        let doubled = [&lines[..=at], &lines[at..]].concat().concat();
        let result = bundle::verify(doubled.as_slice(), strict());
        assert_eq!(result.is_ok(), is_note, "line {at} doubled");
        if at > 0 {
            let mut swapped = lines.clone();
            swapped.swap(at - 1, at);
            let swapped = bundle::verify(swapped.concat().as_slice(), strict());
            assert!(swapped.is_err(), "line {at} moved up");
        }
    }
    for length in (0..sound.len()).step_by(7) {
        let result = bundle::verify(&sound[..length], strict());
        assert!(result.is_err(), "cut at {length}");
    }
}

#[test]
fn another_spelling_of_the_same_values_is_malformed() {
    let text = String::from_utf8(small().bundle()).expect("text");
    for (from, to) in [
        ("\n", "\r\n"),
        ("\":", "\": "),
        ("\"kind\":\"entry\",", ""),
        ("checkout", "\\u0063heckout"),
        ("\"version\":1", "\"version\":2"),
        ("\"version\":1", "\"version\":01"),
        ("o.example/exp", "o.example\\/exp"),
        ("{\"count\"", "\n{\"count\""),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        refused(
            bundle::verify(altered.as_bytes(), Options::default()),
            FailureKind::Malformed,
            None,
        );
    }
    let long = format!("{{\"alg\":\"{}\"", "x".repeat(bundle::MAX_LINE));
    refused(
        bundle::verify(long.as_bytes(), strict()),
        FailureKind::Malformed,
        None,
    );
    refused(
        bundle::verify(&b""[..], strict()),
        FailureKind::Malformed,
        None,
    );
}

#[test]
fn rows_that_were_edited_moved_removed_or_inserted_are_named() {
    type Tamper = fn(&mut Vec<Entry>);
    let cases: [(&str, Tamper, u64); 8] = [
        (
            "payload",
            |entries| {
                let text = entries[4].payload.as_str().replace("checkout", "checkin");
                entries[4].payload = Payload::from_text(text.as_bytes()).expect("of the profile");
            },
            5,
        ),
        ("time", |entries| entries[2].created_at_us += 1, 3),
        ("id", |entries| entries[2].id = Uuid::nil(), 3),
        ("hash", |entries| entries[2].current_hash = Hash::of(b""), 3),
        ("swap", |entries| entries.swap(1, 2), 2),
        ("remove", |entries| drop(entries.remove(2)), 3),
        (
            "remove and renumber",
            |entries| {
                entries.remove(2);
                (1..)
                    .zip(entries)
                    .for_each(|(number, entry)| entry.sequence_number = number);
            },
            3,
        ),
        (
            "insert",
            |entries| {
                let copy = Entry {
                    sequence_number: 4,
                    ..entries[2].clone()
                };
                entries.insert(3, copy);
            },
            4,
        ),
    ];
    for (name, tamper, sequence) in cases {
        let mut world = small();
        tamper(&mut world.entries);
        let failure = world.verify().expect_err(name);
        assert_eq!(
            (failure.kind, failure.sequence),
            (FailureKind::Integrity, Some(sequence)),
            "{name}: {failure}"
        );
    }
}

#[test]
fn a_rewrite_with_a_right_chain_meets_the_checkpoint() {
    let mut world = small();
    let text = world.entries[4]
        .payload
        .as_str()
        .replace("checkout", "checkin");
    world.put(
        5,
        Payload::from_text(text.as_bytes()).expect("of the profile"),
    );
    world.rechain();
    refused(world.verify(), FailureKind::Integrity, world.head.size());

    // Without the checkpoint in the file, the one that the auditor kept still tells.
    let kept = small().checkpoint_now();
    world.notes.clear();
    let unsigned = || Options {
        keys: Vec::new(),
        ..strict()
    };
    assert!(bundle::verify(world.bundle().as_slice(), unsigned()).is_ok());
    let known = Options {
        known: vec![kept.clone()],
        ..unsigned()
    };
    refused(
        bundle::verify(world.bundle().as_slice(), known),
        FailureKind::Integrity,
        kept.size,
    );

    let mut cut = small();
    cut.entries.pop();
    cut.sealed = false;
    cut.notes.clear();
    let known = Options {
        known: vec![kept],
        ..unsigned()
    };
    refused(
        bundle::verify(cut.bundle().as_slice(), known),
        FailureKind::Integrity,
        cut.head.size() - 1,
    );
    assert!(bundle::verify(cut.bundle().as_slice(), unsigned()).is_ok());
}

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

#[test]
fn a_right_chain_of_wrong_entries_is_named() {
    // The last entry goes back in time; its hash is right.
    let mut early = World::new(Mode::Single);
    early.assign("first");
    early.assign("second");
    let last = early.entries.last_mut().expect("entries");
    last.created_at_us -= 2;
    last.current_hash = last.as_ref().compute_hash();
    let unsigned = || Options {
        keys: Vec::new(),
        ..strict()
    };
    let result = bundle::verify(early.bundle().as_slice(), unsigned());
    refused(result, FailureKind::Integrity, 3);

    let mut twice = World::new(Mode::Single);
    let genesis = twice.genesis.clone();
    twice.append(&genesis);
    refused(
        bundle::verify(twice.bundle().as_slice(), unsigned()),
        FailureKind::Integrity,
        2,
    );

    let mut headless = World::new(Mode::Single);
    headless.assign("first");
    headless.entries.remove(0);
    headless.rechain();
    for options in [unsigned(), Options::default()] {
        let result = bundle::verify(headless.bundle().as_slice(), options);
        refused(result, FailureKind::Integrity, 1);
    }

    // Without replay, too, the revealed key is the sealed one.
    let text = String::from_utf8(small().bundle()).expect("text");
    let other = text.replacen("\"07", "\"08", 1);
    let result = bundle::verify(other.as_bytes(), Options::default());
    refused(result, FailureKind::Integrity, 7);
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

/// A world in which one visitor is assigned and one more would be next.
fn begun(mode: Mode) -> World {
    let mut world = World::new(mode);
    world.assign("first");
    world
}

/// Forges an entry in a right chain and expects replay to name it.
#[track_caller]
fn forged(mut world: World, forge: impl FnOnce(&mut World) -> u64) {
    let sequence = forge(&mut world);
    world.checkpoint();
    refused(world.verify(), FailureKind::Replay, sequence);
}

#[test]
fn forged_assignments_are_named() {
    for mode in [Mode::Single, Mode::Independent] {
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.arm = 1 - decision.arm;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.r_ppb -= 1;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.snapshot_seq = 2;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let decision = world.decide("first", 0);
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.element = if decision.element.is_some() {
                None
            } else {
                Some(0)
            };
            world.append(&decision)
        });
    }
    forged(begun(Mode::Independent), |world| {
        let mut decision = world.decide("second", 1);
        decision.element = Some(2);
        world.append(&decision)
    });
    // A draw that was picked to suit: consistent in itself, but not that of the key.
    let picked = |world: &mut World| {
        let mut decision = world.decide("second", 0);
        decision.u64 = !decision.u64;
        decision.r_ppb = scale(decision.u64);
        let arm = choose(&world.weights[0], decision.r_ppb).expect("an arm");
        decision.arm = u16::try_from(arm).expect("few arms");
        world.append(&decision)
    };
    forged(begun(Mode::Single), picked);
    let mut world = begun(Mode::Single);
    picked(&mut world);
    world.checkpoint();
    let without_key = || Options {
        draw_key: None,
        ..strict()
    };
    let report = bundle::verify(world.bundle().as_slice(), without_key()).expect("not seen");
    assert_eq!(report.replay.expect("replayed").draws, 0);
    // The seal reveals the key, and with it the forgery.
    let arm = usize::from(world.decide("second", 0).arm ^ 1);
    world.counts[0][arm].n += 1;
    world.seal();
    refused(
        bundle::verify(world.bundle().as_slice(), without_key()),
        FailureKind::Replay,
        3,
    );
}

#[test]
fn a_snapshot_may_be_used_for_a_while_after_the_next() {
    for late in [0, 1] {
        let mut world = begun(Mode::Single);
        world.reallocate();
        let since = world.now_us;
        let decision = samplit_audit::payload::Assignment {
            snapshot_seq: 1,
            ..world.decide("second", 0)
        };
        world.now_us = since + i64::try_from(LAG_US).expect("small") + late - 1;
        let sequence = world.append(&decision);
        world.checkpoint();
        if late == 0 {
            world.verify().expect("within the lag");
        } else {
            refused(world.verify(), FailureKind::Replay, sequence);
        }
    }
}

#[test]
fn forged_conversions_are_named() {
    for mode in MODES {
        let altered = |alter: fn(&mut Conversion)| {
            forged(begun(mode), |world| {
                let mut conversion = world.conversion(0);
                alter(&mut conversion);
                world.append(&conversion)
            });
        };
        altered(|conversion| conversion.visitor = Pseudonym([3; 32]));
        altered(|conversion| conversion.assignment_seq = 1);
        altered(|conversion| conversion.assignment_seq = 0);
        altered(|conversion| match &mut conversion.arms {
            PerElement::One(arm) => *arm = 1 - (*arm).min(1),
            PerElement::Many(arms) => arms[0] = 1 - arms[0],
        });
        altered(|conversion| match &mut conversion.arms {
            PerElement::One(arm) => *arm = 9,
            PerElement::Many(arms) => arms.push(0),
        });
        altered(|conversion| {
            conversion.arms = match &conversion.arms {
                PerElement::One(arm) => PerElement::Many(vec![*arm]),
                PerElement::Many(arms) => PerElement::One(arms[0]),
            }
        });
        forged(begun(mode), |world| {
            world.convert(0);
            let again = world.conversion(0);
            world.append(&again)
        });
    }
}

#[test]
fn forged_reallocations_and_seals_are_named() {
    fn block(
        world: &World,
        alter: impl FnOnce(&mut samplit_audit::payload::Block),
    ) -> samplit_audit::payload::Reallocation {
        let mut reallocation = world.reallocation();
        match &mut reallocation.elements {
            PerElement::One(block) => alter(block),
            PerElement::Many(blocks) => alter(&mut blocks[1]),
        }
        reallocation
    }
    for mode in MODES {
        let miscounted = |world: &mut World| {
            let forged = block(world, |block| {
                block.arms[0].n += 1;
                block.arms[0].beta += 1.0;
            });
            world.append(&forged)
        };
        forged(begun(mode), miscounted);
        forged(begun(mode), |world| {
            let forged = block(world, |block| {
                block.weights_ppb[0] += 2_000;
                block.weights_ppb[1] -= 2_000;
            });
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let forged = block(world, |block| block.arms[1].alpha += 0.5);
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let mut forged = world.reallocation();
            forged.upto_seq += 1;
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            world.reallocate();
            world.assign("second");
            let mut forged = world.reallocation();
            forged.upto_seq = 1;
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let mut seal = world.seal_payload();
            match &mut seal.elements {
                PerElement::One(counts) => counts[1].s += 1,
                PerElement::Many(elements) => elements[1][1].s += 1,
            }
            world.sealed = true;
            world.append(&seal)
        });
        forged(begun(mode), |world| {
            world.seal();
            let decision = world.decide("second", 0);
            world.append(&decision)
        });
    }
    // Within the tolerance of a recomputed weight.
    let mut world = begun(Mode::Single);
    let near = block(&world, |block| {
        block.weights_ppb[0] += 1_000;
        block.weights_ppb[1] -= 1_000;
    });
    world.append(&near);
    world.checkpoint();
    world.verify().expect("sound");
}

#[test]
fn counts_may_lag_behind_the_reallocation() {
    let mut world = begun(Mode::Independent);
    world.convert(0);
    let earlier = world.reallocation();
    world.assign("second");
    world.snapshot_seq = world.append(&earlier);
    world.weights = earlier
        .elements
        .as_slice()
        .iter()
        .map(|b| b.weights_ppb.clone())
        .collect();
    world.assign("third");
    world.reallocate();
    world.checkpoint();
    world.verify().expect("sound");
}

#[test]
fn another_draw_key_than_the_committed_one_is_named() {
    let world = small();
    let other = Options {
        draw_key: Some(DrawKey::from_bytes([1; 32])),
        ..strict()
    };
    refused(
        bundle::verify(world.bundle().as_slice(), other),
        FailureKind::Replay,
        None,
    );
    let mut open = World::new(Mode::Single);
    open.checkpoint();
    let other = Options {
        draw_key: Some(DrawKey::from_bytes([1; 32])),
        ..strict()
    };
    refused(
        bundle::verify(open.bundle().as_slice(), other),
        FailureKind::Replay,
        1,
    );
    forged(begun(Mode::Single), |world| {
        let mut seal = world.seal_payload();
        seal.draw_key = [1; 32];
        world.append(&seal)
    });
    // A sealed trail without its reveal line, and the other way round.
    let mut hidden = small();
    hidden.sealed = false;
    refused(hidden.verify(), FailureKind::Malformed, None);
    let mut early = begun(Mode::Single);
    early.checkpoint();
    early.sealed = true;
    refused(early.verify(), FailureKind::Malformed, None);
}

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

#[test]
fn counts_carried_over_are_the_base_of_every_recount() {
    let carried = vec![Carried {
        element: 0,
        arm: 1,
        n: 50,
        s: 4,
    }];
    let mut world = World::with(Mode::Single, carried);
    world.assign("first");
    let old = Conversion {
        visitor: Pseudonym([1; 32]),
        assignment_seq: 0,
        arms: PerElement::One(1),
        goal: "signup".into(),
        value: 1.0,
    };
    world.append(&old);
    world.counts[0][1].s += 1;
    world.reallocate();
    world.checkpoint();
    let report = world.verify().expect("sound");
    let totals = report.replay.expect("replayed").totals;
    assert_eq!((totals[0][1].s, totals[0][0].n + totals[0][1].n), (5, 51));
    forged(world, |world| world.append(&old));
}

#[derive(Clone, Debug)]
enum Op {
    Assign,
    Convert(prop::sample::Index),
    Reallocate,
    Checkpoint,
    Redact(prop::sample::Index),
    Restore,
    Wait(u16),
    Toggle(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => Just(Op::Assign),
        4 => any::<prop::sample::Index>().prop_map(Op::Convert),
        2 => Just(Op::Reallocate),
        2 => Just(Op::Checkpoint),
        1 => any::<prop::sample::Index>().prop_map(Op::Redact),
        1 => Just(Op::Restore),
        1 => any::<u16>().prop_map(Op::Wait),
        1 => any::<bool>().prop_map(Op::Toggle),
    ]
}

/// Plays operations as a true engine would.
fn play(mode: Mode, ops: &[Op], seal: bool) -> World {
    let mut world = World::new(mode);
    let mut open = Vec::new();
    let mut redacted = vec![1];
    for op in ops {
        match op {
            Op::Assign => {
                open.push(world.visitors.len());
                world.assign(&format!("visitor-{}", world.visitors.len()));
            }
            Op::Convert(index) if !open.is_empty() => {
                world.convert(open.swap_remove(index.index(open.len())));
            }
            Op::Reallocate => world.reallocate(),
            Op::Checkpoint => world.checkpoint(),
            Op::Redact(index) => {
                let sequence = u64::try_from(index.index(world.entries.len())).expect("small") + 1;
                let kind = world.entries[index.index(world.entries.len())]
                    .decision_type
                    .as_str();
                if ["assignment", "conversion"].contains(&kind) && !redacted.contains(&sequence) {
                    redacted.push(sequence);
                    world.redact(sequence);
                }
            }
            Op::Restore => world.restore(1),
            Op::Wait(us) => world.now_us += i64::from(*us),
            Op::Toggle(active) => world.active[0][1] = *active,
            Op::Convert(_) => {}
        }
    }
    if seal {
        world.seal();
    }
    world.checkpoint();
    world
}

proptest! {
    #[test]
    fn random_histories_verify(
        mode in prop::sample::select(&MODES[..]),
        ops in prop::collection::vec(op(), 0..60),
        seal in any::<bool>(),
    ) {
        let world = play(mode, &ops, seal);
        let report = world.verify().map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        prop_assert_eq!(report.root, world.head.root());
        let totals = report.replay.expect("replayed").totals;
        let same = totals.iter().zip(&world.counts).all(|(totals, counts)| {
            totals.iter().zip(counts).all(|(total, count)| (total.n, total.s) == (count.n, count.s))
        });
        prop_assert_eq!(report.redactions == 0, same);
    }

    /// One byte changed anywhere in a random history.
    #[test]
    fn random_edits_are_refused(
        mode in prop::sample::select(&MODES[..]),
        ops in prop::collection::vec(op(), 0..30),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = play(mode, &ops, true).bundle();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert!(bundle::verify(bytes.as_slice(), strict()).is_err());
    }
}

#[test]
fn options_show_no_key() {
    let shown = format!("{:?} {:?}", strict(), Verifier::new(EXPERIMENT, strict()));
    assert!(
        !shown.contains("7, 7") && !shown.contains("0707"),
        "{shown}"
    );
}
