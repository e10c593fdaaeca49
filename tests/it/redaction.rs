//! Redacting payloads: what is refused, and that everything verifies afterwards.

use futures_util::TryStreamExt as _;
use samplit_engine::{BundleRange, ErrorKind, Principal};
use samplit_tests::{connect, database, draft, engine, start};

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
    let options = samplit_audit::Options {
        replay: true,
        ..Default::default()
    };
    let report = samplit_audit::bundle::verify(lines.concat().as_slice(), options).unwrap();
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
