//! Redacting payloads: what is refused, and that everything verifies afterwards.

use futures_util::{StreamExt as _, TryStreamExt as _};
use samplit_audit::{Options, bundle};
use samplit_engine::{BundleRange, Engine, Error, ErrorKind, ExperimentId, Principal};
use samplit_tests::{connect, database, draft, engine, start};

use crate::checkpoints::{bundle_of, visit};
use crate::{conversion, sound, visitor};

/// Reasons that are hard to quote.
const REASONS: [&str; 9] = [
    "as requested",
    "\"quoted\" and \\back\\slashed\\",
    "tab\tnewline\nreturn\rbackspace\u{8}feed\u{c}",
    "control \u{1}\u{1f}\u{7f}\u{80}\u{9f}",
    "emoji \u{1f5d1}\u{fe0f} and \u{1f469}\u{200d}\u{2696}\u{fe0f}",
    "line separators \u{2028}\u{2029}",
    "/slashes/ <tags> & 'quotes' $1 %s \\u0041",
    "\u{feff}\u{fffd}\u{10ffff}",
    " {\"reason\":\"nested\"} ",
];

#[tokio::test]
async fn every_reason_is_hashed_as_the_verifier_hashes_it() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let longest = "\u{1f5d1}".repeat(500);
    let reasons = REASONS.into_iter().chain([longest.as_str()]);
    for (number, reason) in reasons.enumerate() {
        let name = format!("v{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
        engine.convert(&me, id, conversion(&name)).await.unwrap();
        let entries = engine.trail(&me, id, 0, 1_000).await.unwrap();
        let decision = |kind: &str| {
            let found = entries
                .iter()
                .rfind(|entry| entry.decision_type.as_str() == kind);
            found.unwrap().sequence_number
        };
        // Assignments and conversions by turns; frontiers of all shapes.
        let of = decision(["assignment", "conversion"][number % 2]);
        let said = engine.redact(&me, id, of, reason).await.unwrap();
        let entry = engine.trail(&me, id, said - 1, 1).await.unwrap().remove(0);
        assert_eq!(entry.decision_data["reason"], reason);
        assert_eq!(entry.decision_data["sequence"], of);
        let report = sound(&engine, id).await;
        assert_eq!(report.redactions, number as u64 + 1, "{reason:?}");
    }
    // Elsewhere, too: from the file alone.
    let bundle = engine
        .bundle(&me, id, BundleRange::default())
        .await
        .unwrap();
    let lines: Vec<Vec<u8>> = bundle.lines.try_collect().await.unwrap();
    let options = Options {
        replay: true,
        ..Default::default()
    };
    let report = bundle::verify(lines.concat().as_slice(), options).unwrap();
    assert_eq!(report.redactions, 10);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_redacted_is_named() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    engine.assign(&me, id, visitor("v")).await.unwrap();
    let reader = Principal {
        scopes: vec![samplit_engine::Scope::Read],
        ..Principal::system()
    };
    let refused = engine.redact(&reader, id, 2, "because").await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Forbidden(_)));

    let long = "x".repeat(501);
    for (sequence, reason, expected) in [
        (1, "because", "/sequence_number not_redactable"),
        (9, "because", "/sequence_number unknown_value"),
        (0, "because", "/sequence_number unknown_value"),
        (u64::MAX, "because", "/sequence_number unknown_value"),
        (2, "", "/reason required"),
        (2, long.as_str(), "/reason too_long"),
        (2, "nul \0", "/reason nul_character"),
    ] {
        let refused = engine.redact(&me, id, sequence, reason).await.unwrap_err();
        let ErrorKind::Invalid(violations) = refused.kind() else {
            panic!("{refused:?}");
        };
        let violation = &violations.0[0];
        assert_eq!(
            format!("{} {}", violation.pointer, violation.code),
            expected
        );
    }
    assert_eq!(engine.redact(&me, id, 2, "because").await.unwrap(), 3);
    let refused = engine.redact(&me, id, 2, "again").await.unwrap_err();
    assert!(
        matches!(
            refused.kind(),
            ErrorKind::Conflict {
                code: "already_redacted",
                ..
            }
        ),
        "{refused:?}"
    );
    let refused = engine
        .redact(&me, id, 3, "the redaction")
        .await
        .unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Invalid(_)));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redactions_and_assignments_take_turns() {
    const VISITORS: usize = 600;
    const REDACTIONS: u64 = 20;
    let database = database().await;
    let engines = [
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let me = Principal::system();
    let id = start(&engines[0], draft(&[2])).await.id;
    for number in 0..REDACTIONS {
        engines[0]
            .assign(&me, id, visitor(format!("old {number}")))
            .await
            .unwrap();
    }
    let entries = engines[0].trail(&me, id, 1, 1_000).await.unwrap();
    let old: Vec<u64> = entries
        .iter()
        .filter(|entry| entry.decision_type.as_str() == "assignment")
        .map(|entry| entry.sequence_number)
        .collect();
    let mut tasks = Vec::new();
    for task in 0..12 {
        let engine = engines[task % 2].clone();
        tasks.push(tokio::spawn(async move {
            let me = Principal::system();
            for number in (0..VISITORS).filter(|number| number % 12 == task) {
                let name = format!("new {number}");
                engine.assign(&me, id, visitor(&name)).await.unwrap();
                if number % 5 == 0 {
                    engine.convert(&me, id, conversion(&name)).await.unwrap();
                }
            }
        }));
    }
    for engine in &engines {
        // Both want the same entries: one of them gets each.
        let (engine, old) = (engine.clone(), old.clone());
        tasks.push(tokio::spawn(async move {
            let me = Principal::system();
            for sequence in old {
                match engine.redact(&me, id, sequence, "a storm").await {
                    Ok(_) => {}
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Conflict { .. }),
                        "{error:?}"
                    ),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let report = sound(&engines[1], id).await;
    assert_eq!(report.redactions, REDACTIONS);
    let client = connect(database.url()).await;
    let rows: i64 = client
        .query_one("SELECT count(*) FROM assignments", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(rows, 600 + 20);
    for engine in engines {
        engine.shutdown().await;
    }
}

/// The smallest size that works, if this is why one was refused.
fn smallest_size(error: &Error) -> u64 {
    let ErrorKind::Invalid(violations) = error.kind() else {
        panic!("{error:?}");
    };
    let [violation] = violations.0.as_slice() else {
        panic!("{violations:?}");
    };
    assert_eq!(
        (violation.pointer.as_str(), violation.code),
        ("/size", "cuts_off_redaction")
    );
    let size = violation.detail.rsplit(' ').next().unwrap();
    size.parse().unwrap()
}

/// A part of a bundle, or the size that it should have been asked for.
async fn part(engine: &Engine, id: ExperimentId, after: u64, size: u64) -> Result<Vec<u8>, u64> {
    let range = BundleRange {
        after,
        size: Some(size),
    };
    match engine.bundle(&Principal::system(), id, range).await {
        Ok(bundle) => Ok(bundle.lines.try_concat().await.unwrap()),
        Err(error) => Err(smallest_size(&error)),
    }
}

fn verified(bundle: &[u8]) -> samplit_engine::Report {
    let options = Options {
        replay: true,
        ..Options::default()
    };
    bundle::verify(bundle, options).unwrap()
}

#[tokio::test]
async fn a_size_that_cuts_off_a_redaction_is_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..6).await;
    let redact = async |sequence| engine.redact(&me, id, sequence, "asked").await.unwrap();
    let before = engine.trail(&me, id, 0, 1_000).await.unwrap().len() as u64;
    let place = async |kind: &str, from: usize| {
        let entries = engine.trail(&me, id, 0, 1_000).await.unwrap();
        let found = entries
            .iter()
            .enumerate()
            .position(|(index, entry)| index >= from && entry.decision_type.as_str() == kind);
        found.unwrap() as u64 + 1
    };
    // The first redaction covers entry 2; the second one of an entry that came in between.
    let first = redact(2).await;
    assert_eq!(first, before + 1);
    visit(&engine, id, 10..11).await;
    let between = place("assignment", usize::try_from(first).unwrap()).await;
    visit(&engine, id, 11..12).await;
    let second = redact(between).await;
    visit(&engine, id, 12..15).await;
    let last = engine.trail(&me, id, 0, 1_000).await.unwrap().len() as u64;

    for size in 1..=last {
        let expected = match size {
            1 => Ok(()),
            // What redacts entry 2 is itself before the other entry that was redacted.
            size if size < first => Err(first),
            size if size < between => Ok(()),
            size if size < second => Err(second),
            _ => Ok(()),
        };
        match (part(&engine, id, 0, size).await, expected) {
            (Ok(whole), Ok(())) => assert_eq!(verified(&whole).entries, size),
            (Err(told), Err(expected)) => {
                assert_eq!(told, expected, "of {size}");
                let whole = part(&engine, id, 0, told).await.unwrap();
                assert_eq!(verified(&whole).entries, told);
            }
            (found, expected) => panic!("{size}: {expected:?}, {:?}", found.map(drop)),
        }
    }
    // One that reaches across all of them: every size from its entry on is behind it.
    let across = redact(3).await;
    let whole = async |size| part(&engine, id, 0, size).await.map(drop);
    assert_eq!(whole(2).await, Err(across));
    for size in [before, first, second, last] {
        assert_eq!(whole(size).await, Err(across), "of {size}");
    }
    // Whoever has that entry in full goes on at the size that it was of.
    assert_eq!(part(&engine, id, 3, second).await.map(drop), Ok(()));
    assert_eq!(part(&engine, id, 3, between).await.map(drop), Err(second));
    let all = bundle_of(&engine, id, BundleRange::default()).await;
    assert_eq!(verified(&all).redactions, 3);
    engine.shutdown().await;
}

/// A redaction strikes while a bundle is read: what arrived goes on, and verifies.
#[tokio::test]
async fn a_bundle_on_its_way_goes_on_after_a_redaction() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..120).await;
    let entries = engine.trail(&me, id, 0, 1_000).await.unwrap();
    let decided = |from: usize| {
        let mut behind = entries.iter().skip(from);
        let found = behind.find(|entry| entry.decision_type.as_str() == "assignment");
        found.unwrap().sequence_number
    };

    let whole = engine.bundle(&me, id, BundleRange::default());
    let whole = whole.await.unwrap();
    let size = whole.size;
    let mut lines = std::pin::pin!(whole.lines);
    let mut arrived = lines.next().await.unwrap().unwrap();
    // The first page is read, and then an entry of it and one behind it are redacted.
    arrived.extend(lines.next().await.unwrap().unwrap());
    let text = String::from_utf8(arrived.clone()).unwrap();
    let after = text.matches("\"kind\":\"entry\"").count() as u64;
    assert!(after > 10 && after + 10 < size, "{after} of {size}");
    let behind = decided(usize::try_from(after).unwrap() + 5);
    let said = engine.redact(&me, id, behind, "asked").await.unwrap();
    let ended = lines.next().await.unwrap().unwrap_err();
    assert!(
        matches!(
            ended.kind(),
            ErrorKind::Conflict {
                code: "redacted_meanwhile",
                ..
            }
        ),
        "{ended:?}"
    );
    let told = part(&engine, id, after, size).await.unwrap_err();
    assert_eq!(told, said);
    let rest = part(&engine, id, after, told).await.unwrap();
    let report = verified(&[arrived.clone(), rest].concat());
    assert_eq!((report.entries, report.redactions), (said, 1));

    // One that has arrived in full is no reason to stop.
    let whole = engine.bundle(&me, id, BundleRange::default());
    let whole = whole.await.unwrap();
    let mut lines = std::pin::pin!(whole.lines);
    let mut arrived = lines.next().await.unwrap().unwrap();
    arrived.extend(lines.next().await.unwrap().unwrap());
    engine.redact(&me, id, decided(1), "asked").await.unwrap();
    while let Some(more) = lines.next().await {
        arrived.extend(more.unwrap());
    }
    let report = verified(&arrived);
    assert_eq!((report.entries, report.redactions), (said, 1));
    sound(&engine, id).await;
    engine.shutdown().await;
}

/// Verifying in place is not confused by redactions that come while it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_is_sound_while_it_is_redacted() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..150).await;
    let entries = engine.trail(&me, id, 0, 1_000).await.unwrap();
    let redacting = tokio::spawn({
        let engine = engine.clone();
        async move {
            // From the end: what is read last is redacted first.
            for entry in entries.iter().rev() {
                if entry.decision_type.as_str() == "assignment" {
                    let of = entry.sequence_number;
                    engine
                        .redact(&Principal::system(), id, of, "asked")
                        .await
                        .unwrap();
                }
            }
        }
    });
    while !redacting.is_finished() {
        match engine.verify(&me, id).await {
            Ok(verdict) => drop(verdict.unwrap()),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Conflict { .. }),
                "{error:?}"
            ),
        }
    }
    redacting.await.unwrap();
    assert_eq!(sound(&engine, id).await.redactions, 150);
    engine.shutdown().await;
}
