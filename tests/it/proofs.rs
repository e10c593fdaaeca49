//! Proofs that leave the house: inclusion, consistency, receipts, and bundles in parts.

use samplit_audit::merkle::{verify_consistency, verify_inclusion};
use samplit_audit::receipt::{self, ReceiptOptions};
use samplit_audit::{Options, bundle};
use samplit_engine::{BundleRange, ErrorKind, Principal, Transition};
use samplit_tests::{connect, database, draft, engine, engine_with, start, step};

use crate::checkpoints::{bundle_of, signer, signing, visit};
use crate::{conversion, visitor};

#[tokio::test]
async fn proofs_hold_whatever_of_the_tree_is_in_memory() {
    let database = database().await;
    let me = Principal::system();
    let first = engine_with(database.url(), signing(1, &[1])).await;
    let id = start(&first, draft(&[2])).await.id;
    visit(&first, id, 0..900).await;
    let early = first.sign_checkpoint(&me, id).await.unwrap();
    visit(&first, id, 900..1_900).await;
    let late = first.sign_checkpoint(&me, id).await.unwrap();
    visit(&first, id, 1_900..1_910).await;
    assert!(
        early.size > 1_024 && late.size > 2_048,
        "more than a block each"
    );

    let fresh = engine(database.url(), 2).await;
    for engine in [&fresh, &first] {
        let proof = engine
            .consistency_proof(&me, id, early.size, None)
            .await
            .unwrap();
        assert_eq!(
            (proof.first_root, proof.second_root),
            (early.root, late.root)
        );
        assert_eq!(proof.second, late.size);
        assert!(verify_consistency(
            early.size,
            early.root,
            late.size,
            late.root,
            &proof.proof
        ));
        for sequence in [1, 2, 1_024, 1_025, early.size, late.size] {
            let proof = engine
                .inclusion_proof(&me, id, sequence, None)
                .await
                .unwrap();
            assert_eq!((proof.size, proof.root), (late.size, late.root));
            let index = sequence - 1;
            assert!(verify_inclusion(
                index,
                late.size,
                proof.leaf,
                &proof.proof,
                late.root
            ));
        }
        // Sizes that nobody signed; and behind the last checkpoint, all there is.
        let proof = engine
            .consistency_proof(&me, id, 7, Some(1_500))
            .await
            .unwrap();
        assert!(verify_consistency(
            7,
            proof.first_root,
            1_500,
            proof.second_root,
            &proof.proof
        ));
        let proof = engine
            .inclusion_proof(&me, id, late.size + 1, None)
            .await
            .unwrap();
        assert!(proof.size > late.size);
        for (sequence, size) in [
            (0, Some(5)),
            (6, Some(5)),
            (1, Some(proof.size + 1)),
            (1, Some(0)),
        ] {
            let refused = engine
                .inclusion_proof(&me, id, sequence, size)
                .await
                .unwrap_err();
            assert!(
                matches!(refused.kind(), ErrorKind::Invalid(_)),
                "{sequence} {size:?}"
            );
        }
    }

    // A tree in memory that is not that of the trail is noticed: nothing false is handed out.
    let superuser = connect(database.url()).await;
    superuser
        .batch_execute(&format!(
            "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL; \
             UPDATE algorithm_audit_trail SET current_hash = md5('x') || md5('y') \
             WHERE experiment_id = '{id}' AND sequence_number = 3"
        ))
        .await
        .unwrap();
    let refused = first.inclusion_proof(&me, id, 3, None).await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Internal);
    first.shutdown().await;
    fresh.shutdown().await;
}

#[tokio::test]
async fn a_receipt_needs_nobody_to_be_verified() {
    let database = database().await;
    let me = Principal::system();
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    let experiment = start(&engine, draft(&[2, 3])).await;
    let id = experiment.id;
    visit(&engine, id, 0..5).await;
    engine.assign(&me, id, visitor("you")).await.unwrap();
    let options = || ReceiptOptions {
        keys: vec![signer(1).verifying_key().clone()],
        ..ReceiptOptions::default()
    };
    let before = engine.receipt(&me, id, "you").await.unwrap();
    let report = receipt::verify(&before, &options()).unwrap();
    assert_eq!((report.assignments.len(), report.conversions.len()), (2, 0));

    engine.convert(&me, id, conversion("you")).await.unwrap();
    // The conversion is behind the checkpoint: it is signed for the sake of the receipt.
    let after = engine.receipt(&me, id, "you").await.unwrap();
    let report = receipt::verify(&after, &options()).unwrap();
    assert_eq!((report.assignments.len(), report.conversions.len()), (2, 1));
    assert_eq!(engine.receipt(&me, id, "you").await.unwrap(), after);
    let nobody = engine.receipt(&me, id, "nobody").await.unwrap_err();
    assert_eq!(nobody.kind(), &ErrorKind::NotFound("visitor"));

    // Without the pseudonym key, too.
    step(&engine, &experiment, Transition::Complete).await;
    step(&engine, &experiment, Transition::Archive).await;
    let superuser = connect(database.url()).await;
    superuser
        .execute("UPDATE experiment_keys SET pid_key_sealed = NULL", &[])
        .await
        .unwrap();
    let keyless = samplit_tests::engine(database.url(), 2).await;
    assert_eq!(keyless.receipt(&me, id, "you").await.unwrap(), after);
    engine.shutdown().await;
    keyless.shutdown().await;
}

/// Draws of their own for every element: an entry each, one behind the other, in the order of the
/// elements.
#[tokio::test]
async fn a_receipt_over_several_elements_names_every_draw() {
    let database = database().await;
    let me = Principal::system();
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    for elements in [&[2, 3, 2][..], &[3, 2]] {
        let id = start(&engine, draft(elements)).await.id;
        visit(&engine, id, 0..9).await;
        let options = ReceiptOptions {
            keys: vec![signer(1).verifying_key().clone()],
            ..ReceiptOptions::default()
        };
        for number in 0..9 {
            let name = format!("visitor-{number}");
            let written = engine.receipt(&me, id, &name).await.unwrap();
            let report = receipt::verify(&written, &options).unwrap();
            let seen = engine.assign(&me, id, visitor(&name)).await.unwrap();
            let elements = seen.experiment.elements.iter();
            let shown: Vec<_> = elements
                .zip(seen.variants.iter())
                .map(|(element, id)| element.variants.iter().position(|v| v.id == *id).unwrap())
                .collect();
            let drawn: Vec<_> = report
                .assignments
                .iter()
                .map(|entry| usize::from(entry.arm))
                .collect();
            assert_eq!(drawn, shown, "{name}");
            let sequences: Vec<_> = report
                .assignments
                .iter()
                .map(|entry| entry.sequence)
                .collect();
            let first = sequences[0];
            assert!(
                sequences
                    .iter()
                    .copied()
                    .eq(first..first + shown.len() as u64)
            );
            let converted = usize::from(number % 3 == 0);
            assert_eq!(report.conversions.len(), converted, "{name}");
        }
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn who_has_no_key_waits_for_somebody_who_has() {
    let database = database().await;
    let me = Principal::system();
    let engine = engine(database.url(), 1).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..2).await;
    let refused = engine.receipt(&me, id, "visitor-0").await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "not_yet_signed",
            ..
        }
    ));
    engine.shutdown().await;
}

#[tokio::test]
async fn the_parts_of_a_bundle_make_up_the_whole() {
    let database = database().await;
    let me = Principal::system();
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    let experiment = start(&engine, draft(&[2])).await;
    let id = experiment.id;
    for batch in 0..6 {
        visit(&engine, id, batch * 40..batch * 40 + 40).await;
        engine.sign_checkpoint(&me, id).await.unwrap();
    }
    step(&engine, &experiment, Transition::Complete).await;
    engine.seal(&me, id, true).await.unwrap();

    let size = engine.checkpoint(&me, id).await.unwrap().size;
    let all = BundleRange {
        after: 0,
        size: Some(size),
    };
    let whole = bundle_of(&engine, id, all).await;
    assert_eq!(bundle_of(&engine, id, BundleRange::default()).await, whole);
    let text = String::from_utf8(whole.clone()).unwrap();
    let mut behind = 0;
    let mut entries = 0;
    for line in text.lines() {
        behind += line.len() + 1;
        if !line.contains("\"kind\":\"entry\"") {
            continue;
        }
        entries += 1;
        let rest = BundleRange {
            after: entries,
            size: Some(size),
        };
        assert_eq!(
            bundle_of(&engine, id, rest).await,
            whole[behind..],
            "behind {entries}"
        );
    }
    assert_eq!(entries, size);
    assert_eq!(
        text.lines()
            .filter(|line| line.contains("\"checkpoint\""))
            .count(),
        7
    );

    // What was signed in the meantime does not change what an older size gives.
    let options = Options {
        keys: vec![signer(1).verifying_key().clone()],
        replay: true,
        ..Options::default()
    };
    let report = bundle::verify(whole.as_slice(), options).unwrap();
    assert_eq!((report.entries, report.checkpoints), (size, 7));
    let beyond = BundleRange {
        after: 0,
        size: Some(size + 1),
    };
    let Err(refused) = engine.bundle(&me, id, beyond).await else {
        panic!("there is no such entry");
    };
    assert!(matches!(refused.kind(), ErrorKind::Invalid(_)));
    engine.shutdown().await;
}
