//! What takes up one more of what is used up is refused, and nothing else is.

use samplit_engine::{NewUser, PlanDraft, Principal, Role, Status, Transition, UserChange};
use samplit_tests::{connect, draft, eventually};

use super::{Limits, NO_LIMITS, Stage, go, word};
use crate::{sound, visitor};

#[tokio::test]
async fn whoever_has_no_subscription_has_no_limits() {
    let stage = Stage::new().await;
    let of = stage.engine.plan_use(&stage.ana).await.unwrap();
    assert_eq!(
        (of.title.as_str(), of.subscription.clone()),
        ("Self-hosted", None)
    );
    assert_eq!((of.limits(), of.warnings.len()), (NO_LIMITS, 0));
    for _ in 0..3 {
        stage.started(&stage.ana, &[2]).await;
    }
    let of = stage.engine.plan_use(&stage.ana).await.unwrap();
    assert_eq!((of.usage.active_experiments, of.usage.seats), (3, 1));
    let of = stage.engine.plan_use(&stage.admin).await.unwrap();
    assert_eq!((of.usage.active_experiments, of.usage.seats), (0, 2));
    stage.end().await;
}

#[tokio::test]
async fn a_start_too_many_is_refused_and_what_runs_goes_on() {
    let stage = Stage::new().await;
    let (engine, ana) = (&stage.engine, &stage.ana);
    let running = stage.started(ana, &[2]).await;
    let second = stage.started(ana, &[2]).await;
    let limit = |experiments| Limits {
        active_experiments: Some(experiments),
        ..NO_LIMITS
    };
    // Fewer than there run already.
    stage.limit(ana, limit(1)).await;
    let third = stage.drafted(ana, &[2]).await;
    let refused = go(engine, ana, &third, Transition::Start).await;
    assert_eq!(word(&refused), "plan_limit");
    let after = engine.experiment(ana, third.id).await.unwrap();
    assert_eq!(after, third, "nothing of it is there");
    let heads = "SELECT count(*) FROM audit_heads WHERE experiment_id = $1";
    let heads = stage.client.query_one(heads, &[&third.id.0]).await.unwrap();
    assert_eq!(heads.get::<_, i64>(0), 0);
    assert_eq!(stage.noted(ana, "experiment.started").await.len(), 2);
    for experiment in [&running, &second] {
        let served = engine
            .assign(ana, experiment.id, visitor("v"))
            .await
            .unwrap();
        assert!(served.in_experiment && served.is_new);
        sound(engine, experiment.id).await;
    }

    // What rests takes up nothing, and cannot come back to a place that is taken.
    for experiment in [&running, &second] {
        go(engine, ana, experiment, Transition::Pause)
            .await
            .unwrap();
    }
    let started = go(engine, ana, &third, Transition::Start).await;
    assert_eq!(word(&started), "done");
    let back = go(engine, ana, &running, Transition::Resume).await;
    assert_eq!(word(&back), "plan_limit");
    let still = engine.experiment(ana, running.id).await.unwrap();
    assert_eq!(still.status, Status::Paused);

    // A larger plan has room at once, and so has nobody else's.
    stage.plan("limited", None, limit(2)).await;
    let back = go(engine, ana, &running, Transition::Resume).await;
    assert_eq!(word(&back), "done");
    stage.started(&stage.admin, &[2]).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_starts_at_once_one_gets_the_last_place() {
    let stage = Stage::new().await;
    let ana = &stage.ana;
    let one = Limits {
        active_experiments: Some(1),
        ..NO_LIMITS
    };
    stage.limit(ana, one).await;
    for round in 0..8 {
        let (a, b) = (
            stage.drafted(ana, &[2]).await,
            stage.drafted(ana, &[2]).await,
        );
        let (first, second) = tokio::join!(
            go(&stage.engine, ana, &a, Transition::Start),
            go(&stage.other, ana, &b, Transition::Start),
        );
        let mut words = [word(&first), word(&second)];
        words.sort_unstable();
        assert_eq!(words, ["done", "plan_limit"], "round {round}");
        let won = first.or(second).unwrap();
        go(&stage.engine, ana, &won, Transition::Complete)
            .await
            .unwrap();
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_lets_in_as_many_as_the_plan_has_seats() {
    let stage = Stage::new().await;
    // Somebody who is signed in, as no key lets anybody in.
    let signed_in = Principal {
        key: None,
        ..stage.admin.clone()
    };
    let (engine, admin) = (&stage.engine, &signed_in);
    let seats = Limits {
        seats: Some(3),
        ..NO_LIMITS
    };
    stage.limit(admin, seats).await;
    let new = |email: &str| NewUser {
        email: email.to_owned(),
        name: None,
        role: Role::Client,
    };
    // The admin and Ana are there, and one more may come.
    let (first, second) = tokio::join!(
        engine.invite(admin, new("bea@example.org")),
        stage.other.invite(admin, new("cleo@example.org")),
    );
    let mut words = [word(&first), word(&second)];
    words.sort_unstable();
    assert_eq!(words, ["done", "plan_limit"]);
    let (invited, _link) = first.or(second).unwrap();
    let change = async |disabled| {
        let change = UserChange {
            role: None,
            disabled: Some(disabled),
        };
        word(&engine.update_user(admin, invited.id, change, None).await)
    };
    assert_eq!(change(true).await, "done");
    let dora = engine.invite(admin, new("dora@example.org")).await;
    assert_eq!(word(&dora), "done");
    assert_eq!(change(false).await, "plan_limit");
    // Whoever runs the server has no plan.
    let me = Principal::system();
    let eva = engine.invite(&me, new("eva@example.org")).await;
    assert_eq!(word(&eva), "done");
    stage.end().await;
}

#[tokio::test]
async fn admins_keep_plans_and_say_who_is_on_which() {
    let stage = Stage::new().await;
    let (engine, admin, ana) = (&stage.engine, &stage.admin, &stage.ana);
    let ana_id = ana.user_id.unwrap();
    let draft = |price: Option<&str>| PlanDraft {
        title: "Team".to_owned(),
        limits: NO_LIMITS,
        provider_price_id: price.map(str::to_owned),
    };
    let by = async |who: &Principal, name: &str, price| {
        word(&engine.save_plan(who, name, draft(price)).await)
    };
    assert_eq!(by(ana, "team", None).await, "admin_only");
    assert_eq!(by(admin, "Team!", None).await, "invalid");
    assert_eq!(by(admin, "team", Some("price_1")).await, "done");
    assert_eq!(by(admin, "team", Some("price_1")).await, "done", "again");
    assert_eq!(by(admin, "pro", Some("price_1")).await, "price_taken");
    let names = engine.plans(admin).await.unwrap();
    let names: Vec<&str> = names.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, ["self_hosted", "team"]);

    let set = async |who: &Principal, user, plan: &str| {
        word(&engine.set_subscription(who, user, plan).await)
    };
    assert_eq!(set(ana, ana_id, "team").await, "admin_only");
    assert_eq!(set(admin, ana_id, "gold").await, "invalid");
    let nobody = uuid::Uuid::nil().into();
    assert_eq!(set(admin, nobody, "team").await, "user");
    assert_eq!(set(admin, ana_id, "team").await, "done");
    assert_eq!(set(admin, ana_id, "self_hosted").await, "done");
    assert_eq!(set(admin, ana_id, "team").await, "done");
    let page = samplit_engine::Page {
        cursor: None,
        limit: 10,
    };
    let all = engine.subscriptions(admin, &page).await.unwrap().data;
    let shown: Vec<_> = all
        .iter()
        .map(|(one, email)| (&*one.plan, &**email))
        .collect();
    assert_eq!(
        shown,
        [("team", "ana@example.org")],
        "one row, whatever was set"
    );
    assert_eq!(word(&engine.subscriptions(ana, &page).await), "admin_only");
    let told = stage.noted(ana, "subscription.set").await;
    let told: Vec<_> = told
        .iter()
        .map(|one| (&one["plan"], &one["plan_before"]))
        .collect();
    assert_eq!(told[2], (&"team".into(), &"self_hosted".into()));
    assert_eq!(told[0].1, &serde_json::Value::Null);
    stage.end().await;
}

/// Whoever is just being put on a plan while it changes has what it changes to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_put_on_a_plan_as_it_was() {
    let stage = Stage::new().await;
    let limit = |seats| Limits {
        seats: Some(seats),
        ..NO_LIMITS
    };
    stage.plan("team", None, limit(5)).await;
    stage.limit(&stage.ana, limit(1)).await;
    let watcher = connect(stage.database.url()).await;
    let waiting = async |expected: i64| {
        let count = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let found = watcher.query_one(count, &[]).await.unwrap();
        found.get::<_, i64>(0) >= expected
    };
    // Held where it has read the plan and not written yet.
    let hold = "BEGIN; SELECT FROM subscriptions FOR UPDATE";
    stage.client.batch_execute(hold).await.unwrap();
    let (engine, admin) = (stage.engine.clone(), stage.admin.clone());
    let ana = stage.ana.user_id.unwrap();
    let set = tokio::spawn(async move { engine.set_subscription(&admin, ana, "team").await });
    eventually(async || waiting(1).await).await;
    let (other, admin) = (stage.other.clone(), stage.admin.clone());
    let draft = PlanDraft {
        title: "Team".to_owned(),
        limits: limit(7),
        provider_price_id: None,
    };
    let save = tokio::spawn(async move { other.save_plan(&admin, "team", draft).await });
    eventually(async || save.is_finished() || waiting(2).await).await;
    stage.client.batch_execute("ROLLBACK").await.unwrap();
    set.await.unwrap().unwrap();
    save.await.unwrap().unwrap();
    let of = stage.engine.plan_use(&stage.ana).await.unwrap();
    assert_eq!(of.limits(), limit(7));
    stage.end().await;
}

#[tokio::test]
async fn an_experiment_of_nobody_has_no_plan() {
    let stage = Stage::new().await;
    let me = Principal::system();
    let made = stage
        .engine
        .create_experiment(&me, draft(&[2]))
        .await
        .unwrap();
    let started = go(&stage.engine, &me, &made, Transition::Start).await;
    assert_eq!(word(&started), "done");
    stage.end().await;
}
