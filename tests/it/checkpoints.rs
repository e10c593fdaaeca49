//! Checkpoints: signed once per size, of committed heads that extend one another, and brought out.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use samplit_audit::{Options, bundle};
use samplit_engine::{
    BundleRange, CheckpointSink, Engine, EngineConfig, ErrorKind, ExperimentId, Principal, Report,
    Signer, StoredCheckpoint, VerifyingKey,
};
use samplit_tests::{config, connect, database, draft, engine, engine_with, eventually, start};
use tokio::sync::mpsc;

use crate::{conversion, visitor};

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::from_seed(&format!("key-{seed}.example"), &[seed; 32]).unwrap()
}

/// A configuration that signs, but only when asked.
pub(crate) fn signing(seed: u64, keys: &[u8]) -> EngineConfig {
    EngineConfig {
        signers: keys.iter().map(|key| signer(*key)).collect(),
        checkpoint_every: Duration::from_secs(3_600),
        ..config(seed)
    }
}

/// The same with a directory.
pub(crate) fn exporting(seed: u64, directory: &Path) -> EngineConfig {
    EngineConfig {
        checkpoint_directory: Some(directory.to_owned()),
        ..signing(seed, &[1])
    }
}

pub(crate) async fn visit(engine: &Engine, id: ExperimentId, numbers: std::ops::Range<usize>) {
    let me = Principal::system();
    for number in numbers {
        let name = format!("visitor-{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
        if number % 3 == 0 {
            engine.convert(&me, id, conversion(&name)).await.unwrap();
        }
    }
}

/// The whole bundle, or the part of it behind an entry.
pub(crate) async fn bundle_of(engine: &Engine, id: ExperimentId, range: BundleRange) -> Vec<u8> {
    let bundle = engine
        .bundle(&Principal::system(), id, range)
        .await
        .unwrap();
    bundle.lines.try_concat().await.unwrap()
}

/// What an auditor finds who holds keys and the bundle and trusts nobody.
pub(crate) async fn audit(engine: &Engine, id: ExperimentId, keys: &[u8]) -> Report {
    let lines = bundle_of(engine, id, BundleRange::default()).await;
    let keys: Vec<VerifyingKey> = keys
        .iter()
        .map(|key| signer(*key).verifying_key().clone())
        .collect();
    let options = Options {
        keys,
        replay: true,
        ..Options::default()
    };
    bundle::verify(lines.as_slice(), options).unwrap()
}

/// A sink that refuses until told otherwise, and says what arrives.
#[derive(Debug)]
struct Sink {
    refuses: AtomicBool,
    arrived: mpsc::UnboundedSender<StoredCheckpoint>,
}

impl CheckpointSink for Sink {
    fn publish<'a>(
        &'a self,
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Box<dyn Error + Send + Sync>>> {
        Box::pin(async move {
            if self.refuses.load(Ordering::SeqCst) {
                return Err("refused".into());
            }
            self.arrived.send(checkpoint.clone())?;
            Ok(())
        })
    }
}

fn sink(refuses: bool) -> (Arc<Sink>, mpsc::UnboundedReceiver<StoredCheckpoint>) {
    let (arrived, receiver) = mpsc::unbounded_channel();
    let refuses = AtomicBool::new(refuses);
    (Arc::new(Sink { refuses, arrived }), receiver)
}

#[tokio::test]
async fn a_trail_that_grew_is_signed_and_brought_out_by_itself() {
    let database = database().await;
    let directory = tempfile::tempdir().unwrap();
    let (sink, mut arrived) = sink(true);
    let config = EngineConfig {
        checkpoint_every: Duration::from_millis(20),
        checkpoint_sinks: vec![Arc::clone(&sink) as _],
        ..exporting(1, directory.path())
    };
    let engine = engine_with(database.url(), config).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..10).await;
    let size = 1 + engine.trail(&me, id, 1, 1_000).await.unwrap().len() as u64;
    eventually(async || {
        let checkpoint = engine.checkpoint(&me, id).await;
        checkpoint.is_ok_and(|checkpoint| checkpoint.size == size)
    })
    .await;
    let checkpoint = engine.checkpoint(&me, id).await.unwrap();
    let file = directory.path().join(format!("{id}/1-{size}.note"));
    eventually(async || file.exists()).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), checkpoint.note);

    // Refused so far, and nothing new to sign: only a retry can bring it.
    sink.refuses.store(false, Ordering::SeqCst);
    assert_eq!(arrived.recv().await, Some(checkpoint));
    let report = engine.verify(&me, id).await.unwrap().unwrap();
    assert!(report.checkpoints >= 1 && report.signed_size == size);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_that_sign_at_once_sign_one_thing() {
    let database = database().await;
    let first = engine_with(database.url(), signing(1, &[1])).await;
    // Its signature differs, so that one can tell whose note was kept.
    let second = engine_with(database.url(), signing(2, &[2])).await;
    let me = Principal::system();
    let id = start(&first, draft(&[2])).await.id;
    for round in 0..20 {
        visit(&first, id, round * 3..round * 3 + 3).await;
        let (one, other) = tokio::join!(
            first.sign_checkpoint(&me, id),
            second.sign_checkpoint(&me, id)
        );
        assert_eq!(one.unwrap(), other.unwrap());
    }
    let report = first.verify(&me, id).await.unwrap().unwrap();
    assert_eq!(report.checkpoints, 20);
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn what_was_signed_and_not_brought_out_is_brought_out_after_a_restart() {
    let database = database().await;
    let me = Principal::system();
    // Killed between storing and exporting: nothing left the process.
    let killed = engine_with(database.url(), signing(1, &[1])).await;
    let id = start(&killed, draft(&[2])).await.id;
    visit(&killed, id, 0..5).await;
    let signed = killed.sign_checkpoint(&me, id).await.unwrap();
    killed.shutdown().await;

    let directory = tempfile::tempdir().unwrap();
    let (sink, mut arrived) = sink(false);
    let config = EngineConfig {
        checkpoint_sinks: vec![sink],
        ..exporting(2, directory.path())
    };
    let engine = engine_with(database.url(), config).await;
    assert_eq!(arrived.recv().await.unwrap(), signed);
    let file = directory
        .path()
        .join(format!("{id}/1-{}.note", signed.size));
    assert_eq!(std::fs::read_to_string(file).unwrap(), signed.note);
    engine.shutdown().await;
}

#[tokio::test]
async fn keys_are_replaced_with_an_overlap() {
    let database = database().await;
    let me = Principal::system();
    let old = engine_with(database.url(), signing(1, &[1])).await;
    let id = start(&old, draft(&[2])).await.id;
    visit(&old, id, 0..3).await;
    old.sign_checkpoint(&me, id).await.unwrap();
    old.shutdown().await;

    let both = engine_with(database.url(), signing(2, &[1, 2])).await;
    assert_eq!(both.verifying_keys().len(), 2);
    visit(&both, id, 3..6).await;
    both.sign_checkpoint(&me, id).await.unwrap();
    assert_eq!(audit(&both, id, &[1]).await.signatures, 2);
    assert_eq!(audit(&both, id, &[1, 2]).await.signatures, 3);
    both.shutdown().await;

    let new = engine_with(database.url(), signing(3, &[2])).await;
    visit(&new, id, 6..9).await;
    new.sign_checkpoint(&me, id).await.unwrap();
    // Who pins both keys accepts all; in place, the engine looks for its own signatures only.
    assert_eq!(audit(&new, id, &[1, 2]).await.signatures, 4);
    let report = new.verify(&me, id).await.unwrap().unwrap();
    assert_eq!((report.checkpoints, report.signatures), (3, 2));
    new.shutdown().await;
}

#[tokio::test]
async fn a_trail_that_does_not_extend_its_checkpoint_is_held() {
    let database = database().await;
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..5).await;
    engine.sign_checkpoint(&me, id).await.unwrap();
    visit(&engine, id, 5..8).await;
    // Somebody with all rights rewrites an entry behind the checkpoint.
    let superuser = connect(database.url()).await;
    superuser
        .batch_execute(&format!(
            "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL; \
             UPDATE algorithm_audit_trail SET current_hash = md5('x') || md5('y') \
             WHERE experiment_id = '{id}' AND sequence_number = ( \
             SELECT size - 1 FROM audit_heads WHERE experiment_id = '{id}')"
        ))
        .await
        .unwrap();
    let refused = engine.sign_checkpoint(&me, id).await.unwrap_err();
    assert!(
        matches!(refused.kind(), ErrorKind::OnHold { .. }),
        "{refused}"
    );
    let refused = engine.convert(&me, id, conversion("visitor-1")).await;
    assert!(matches!(
        refused.unwrap_err().kind(),
        ErrorKind::OnHold { .. }
    ));
    // It was altered, not set back: there is nothing to acknowledge, least of all here.
    let refused = engine
        .acknowledge_restore(&me, id, "mine", &[])
        .await
        .unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_directory",
            ..
        }
    ));
    engine.shutdown().await;
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let refused = engine.sign_checkpoint(&me, id).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_signing_key",
            ..
        }
    ));
    let none = engine.checkpoint(&me, id).await.unwrap_err();
    assert_eq!(none.kind(), &ErrorKind::NotFound("checkpoint"));
    engine.shutdown().await;
}
