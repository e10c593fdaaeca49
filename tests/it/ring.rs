//! A start with keys that do not open everything that runs.

use std::sync::Arc;

use samplit_audit::KeyRing;
use samplit_engine::{Engine, EngineConfig, ErrorKind, Principal, Transition};
use samplit_store::Database;
use samplit_tests::{config, database, draft, engine_with, settings, start, step};

use crate::visitor;

fn with(seed: u64, keys: &[[u8; 32]]) -> EngineConfig {
    EngineConfig {
        keys: Arc::new(KeyRing::new(keys).unwrap()),
        ..config(seed)
    }
}

#[tokio::test]
async fn a_lost_key_takes_its_own_experiments_down_and_a_wrong_ring_does_not_start() {
    let database = database().await;
    let me = Principal::system();
    let (old, new, wrong) = ([1; 32], [2; 32], [3; 32]);
    let engine = engine_with(database.url(), with(1, &[old])).await;
    let lost = start(&engine, draft(&[2])).await;
    step(&engine, &lost, Transition::Pause).await;
    engine.shutdown().await;
    let begin = async |seed, keys: &[[u8; 32]]| {
        let store = Database::connect(settings(database.url())).await.unwrap();
        Engine::start(store, with(seed, keys)).await
    };
    let is_missing = |refused: Result<Engine, samplit_engine::Error>| {
        let refused = refused.err().map(|error| error.kind().clone());
        matches!(
            refused,
            Some(ErrorKind::Conflict {
                code: "key_missing",
                ..
            })
        )
    };
    // The only one that runs.
    assert!(is_missing(begin(2, &[new]).await));

    let engine = begin(3, &[new, old]).await.unwrap();
    let kept = start(&engine, draft(&[2])).await.id;
    engine.shutdown().await;
    let engine = begin(4, &[new]).await.unwrap();
    let served = engine.assign(&me, kept, visitor("v")).await.unwrap();
    assert!(served.is_new && served.in_experiment);
    assert!(engine.assign(&me, lost.id, visitor("v")).await.is_err());
    engine.shutdown().await;
    assert!(is_missing(begin(5, &[wrong]).await));
}
