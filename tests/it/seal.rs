//! The end of a trail: what counts is before the seal, and nothing follows it.

use std::sync::Arc;
use std::time::Duration;

use samplit_domain::{ManualClock, from_micros};
use samplit_engine::{BundleRange, DecisionType, EngineConfig, ErrorKind, Principal, Transition};
use samplit_tests::{database, draft, engine_with, eventually, start, step};

use crate::checkpoints::{audit, bundle_of, signing, visit};
use crate::{conversion, visitor};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_conversion_that_was_acknowledged_is_before_the_seal() {
    const VISITORS: usize = 400;
    let database = database().await;
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    let other = engine_with(database.url(), signing(2, &[1])).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[3])).await;
    let id = experiment.id;
    for number in 0..VISITORS {
        let name = format!("v{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
    }
    step(&engine, &experiment, Transition::Complete).await;
    let refused = engine.seal(&me, id, false).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "window_open",
            ..
        }
    ));

    let storm: Vec<_> = (0..VISITORS)
        .map(|number| {
            let engine = if number % 2 == 0 {
                engine.clone()
            } else {
                other.clone()
            };
            tokio::spawn(async move {
                let me = Principal::system();
                match engine
                    .convert(&me, id, conversion(format!("v{number}")))
                    .await
                {
                    Ok(converted) => !converted.duplicate,
                    Err(error) => {
                        assert_eq!(error.kind(), &ErrorKind::WindowClosed);
                        false
                    }
                }
            })
        })
        .collect();
    let sealing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.seal(&Principal::system(), id, true).await }
    });
    let mut counted = 0;
    for conversion in storm {
        counted += u64::from(conversion.await.unwrap());
    }
    sealing.await.unwrap().unwrap();
    let late = other.convert(&me, id, conversion("v0")).await;
    assert!(matches!(late, Ok(found) if found.duplicate) || counted < VISITORS as u64);

    // Sealing again changes nothing, and neither does what comes late.
    let sealed = engine.checkpoint(&me, id).await.unwrap();
    engine.seal(&me, id, false).await.unwrap();
    assert_eq!(engine.sign_checkpoint(&me, id).await.unwrap(), sealed);
    let last = engine.trail(&me, id, sealed.size - 1, 10).await.unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].decision_type, DecisionType::Seal);

    let report = audit(&engine, id, &[1]).await;
    assert!(report.sealed && report.signed_size == report.entries);
    let replay = report.replay.unwrap();
    assert_eq!(
        (replay.conversions, replay.draws),
        (counted, VISITORS as u64)
    );
    assert!(engine.verify(&me, id).await.unwrap().unwrap().sealed);
    engine.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn an_experiment_is_sealed_by_itself_once_its_window_is_over() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        clock: Arc::clone(&clock) as _,
        checkpoint_every: Duration::from_millis(20),
        ..signing(1, &[1])
    };
    let engine = engine_with(database.url(), config).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2, 2])).await;
    let id = experiment.id;
    visit(&engine, id, 0..10).await;
    let refused = engine.draw_key(&me, id).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "not_completed",
            ..
        }
    ));
    let refused = engine.seal(&me, id, true).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "not_completed",
            ..
        }
    ));
    step(&engine, &experiment, Transition::Complete).await;
    let key = engine.draw_key(&me, id).await.unwrap();

    let window = experiment.allocation.attribution_window_seconds;
    clock.advance(time::Duration::seconds(i64::try_from(window).unwrap() - 1));
    engine
        .convert(&me, id, conversion("visitor-1"))
        .await
        .unwrap();
    let before = bundle_of(&engine, id, BundleRange::default()).await;
    assert!(
        !String::from_utf8(before)
            .unwrap()
            .contains("\"kind\":\"reveal\"")
    );
    clock.advance(time::Duration::seconds(2));
    eventually(async || {
        let checkpoint = engine.checkpoint(&me, id).await;
        let verdict = engine.verify(&me, id).await.unwrap().unwrap();
        verdict.sealed && checkpoint.is_ok_and(|checkpoint| checkpoint.size == verdict.entries)
    })
    .await;
    let report = audit(&engine, id, &[1]).await;
    assert!(report.sealed);
    let lines = String::from_utf8(bundle_of(&engine, id, BundleRange::default()).await).unwrap();
    let revealed: String = key
        .expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let second = lines.lines().nth(1).unwrap();
    assert_eq!(
        second,
        format!("{{\"draw_key_hex\":\"{revealed}\",\"kind\":\"reveal\"}}")
    );

    let late = engine
        .convert(&me, id, conversion("visitor-2"))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), &ErrorKind::WindowClosed);
    // Cut before the seal, a bundle does not reveal.
    let cut = BundleRange {
        after: 0,
        size: Some(report.entries - 1),
    };
    let cut = String::from_utf8(bundle_of(&engine, id, cut).await).unwrap();
    assert!(!cut.contains("\"kind\":\"reveal\""));
    engine.shutdown().await;
}
