//! Trails that were altered, cut, spelled otherwise or rewritten are refused, and the entry is named.

use samplit_audit::{Entry, FailureKind, Hash, Options, Payload, bundle, payload::Mode};
use uuid::Uuid;

use crate::check::{refused, small};
use crate::support::{World, strict};

/// What cannot be read is no verdict: the trail may be sound.
#[test]
fn a_file_that_cannot_be_read_is_not_called_malformed() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::IsADirectory.into())
        }
    }
    let sound = small().bundle();
    for length in [0, sound.len() / 2] {
        let input = std::io::Read::chain(&sound[..length], Broken);
        let result = bundle::verify(std::io::BufReader::new(input), strict());
        refused(result, FailureKind::Unread, None);
    }
    assert_eq!(FailureKind::Unread.exit_code(), 74);
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
