//! The first steps of an account: moved by what happened, never back.

use std::sync::Arc;

use samplit_domain::{Clock as _, ManualClock, OnboardingStep as S, from_micros};
use samplit_engine::{
    Engine, EngineConfig, InstallationDraft, NewApiKey, Principal, Role, Scope, Transition,
};
use samplit_tests::{connect, database, draft, engine_with};
use time::Duration;

async fn account(engine: &Engine, email: &str, role: Role) -> Principal {
    let new = NewApiKey {
        email: email.to_owned(),
        role,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(new).await.unwrap();
    engine.authenticate(&key.token).await.unwrap()
}

#[tokio::test]
async fn steps_are_done_by_doing_them_and_stay_done() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = engine_with(database.url(), config).await;
    let client = connect(database.url()).await;
    let ana = account(&engine, "ana@example.org", Role::Client).await;
    let bea = account(&engine, "bea@example.org", Role::Client).await;
    // The database has a clock of its own.
    let long_ago = "UPDATE users SET created_at = '2026-09-01Z'";
    client.batch_execute(long_ago).await.unwrap();
    let step = async |who: &Principal| engine.onboarding(who).await.unwrap().step();
    assert_eq!(step(&ana).await, S::Install);

    let site = InstallationDraft::new("Shop", "shop.example.org");
    let site = engine.create_installation(&ana, &site).await.unwrap();
    let installed_at = clock.now();
    assert_eq!(step(&ana).await, S::Verify);
    assert_eq!(step(&bea).await, S::Install, "what others do moves nobody");
    clock.advance(Duration::HOUR);
    let verified = engine.installation_verified(&ana, site.id, "shop.example.org");
    verified.await.unwrap();
    assert_eq!(step(&ana).await, S::CreateExperiment);
    let made = engine.create_experiment(&ana, draft(&[2])).await.unwrap();
    assert_eq!(step(&ana).await, S::Complete);
    assert_eq!(engine.onboarding(&ana).await.unwrap().completed_at, None);

    // The site and its proof go, and the steps stay with their times.
    let gone = "UPDATE platform_installations SET user_id = NULL";
    client.batch_execute(gone).await.unwrap();
    let now = engine.onboarding(&ana).await.unwrap();
    assert_eq!(now.step(), S::Complete);
    assert_eq!(now.done[&S::Install], installed_at);
    assert_eq!(now.done[&S::Verify], installed_at + Duration::HOUR);

    clock.advance(Duration::DAY);
    let (start, winner) = (Transition::Start, Default::default());
    engine
        .transition(&ana, made.id, start, winner, None)
        .await
        .unwrap();
    let now = engine.onboarding(&ana).await.unwrap();
    assert_eq!((now.next(), now.completed_at), (None, Some(clock.now())));
    let stored = "SELECT step, completed_at, completed_steps->>'install' FROM user_onboarding \
        WHERE user_id = $1";
    let stored = client.query_one(stored, &[&ana.user_id.unwrap().0]).await;
    let stored = stored.unwrap();
    assert_eq!(stored.get::<_, &str>(0), "complete");
    assert_eq!(
        stored.get::<_, Option<time::OffsetDateTime>>(1),
        now.completed_at
    );
    assert_eq!(stored.get::<_, &str>(2), "2026-09-21T14:13:20Z");

    // An admin has come as far as the server has.
    let admin = account(&engine, "admin@example.org", Role::Admin).await;
    assert_eq!(step(&admin).await, S::Complete);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_is_put_away_and_comes_back_and_each_is_noted_once() {
    let database = database().await;
    let engine = samplit_tests::engine(database.url(), 1).await;
    let client = connect(database.url()).await;
    let ana = account(&engine, "ana@example.org", Role::Client).await;
    // Whoever looks at the same time does not take it out again.
    let (away, _, _) = tokio::join!(
        engine.dismiss_onboarding(&ana, true),
        engine.onboarding(&ana),
        engine.onboarding(&ana),
    );
    let away = away.unwrap();
    assert!(!away.is_open() && away.dismissed_at.is_some());
    let still = engine.onboarding(&ana).await.unwrap();
    assert_eq!(still.dismissed_at, away.dismissed_at);
    let again = engine.dismiss_onboarding(&ana, true).await.unwrap();
    assert_eq!(again.dismissed_at, away.dismissed_at);
    for _ in 0..2 {
        assert!(
            engine
                .dismiss_onboarding(&ana, false)
                .await
                .unwrap()
                .is_open()
        );
    }
    let noted = "SELECT action FROM activity_log WHERE action LIKE 'onboarding.%' ORDER BY ctid";
    let noted = client.query(noted, &[]).await.unwrap();
    let noted: Vec<&str> = noted.iter().map(|row| row.get(0)).collect();
    assert_eq!(noted, ["onboarding.dismissed", "onboarding.reopened"]);
    engine.shutdown().await;
}
