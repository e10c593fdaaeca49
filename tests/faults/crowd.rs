//! Too many at once: for the pool, for one visitor, for one conversion, after an outage.

use std::time::Duration;

use samplit_devpg::Mode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::history::{Attempt, History, Outcome, What};
use crate::load::Retry;
use crate::plan::Plan;
use crate::postgres::answers;
use crate::stage::{QUEUE, Setting, Stage};
use crate::vitals::ops;

/// How many ask for the same at once.
const CROWD: usize = 100;

const THREE: Setting = Setting {
    replicas: 3,
    max_connections: 10,
    proxied: false,
    queue: QUEUE,
};

pub(crate) async fn small_pool(plan: Plan) {
    let setting = Setting {
        replicas: 1,
        max_connections: 2,
        ..Setting::default()
    };
    let mut stage = Stage::set(plan, setting).await;
    let mut load = stage.load("load", 500, Retry::Connections);
    load.records(plan.pick(3_000, 30_000)).await;
    let (status, _) = ops(stage.replicas[0].ops, "/livez").await.unwrap();
    assert_eq!(status, 200);
    stage.remember(load.stop().await);
    let history = stage.history();
    let unanswered = history.count(|outcome| !outcome.is_answered());
    assert_eq!(
        unanswered, 0,
        "a small pool makes clients wait and turns nobody away"
    );
    stage.balance(&[]).await;
}

pub(crate) async fn same_visitor_at_once(plan: Plan) {
    let mut stage = Stage::set(plan, THREE).await;
    for round in 0..plan.pick(10, 200) {
        let visitor = format!("wanted-{round}");
        let history = at_once(&stage, &visitor, |_| What::Assign).await;
        let rows = history
            .attempts
            .iter()
            .map(|attempt| match &attempt.outcome {
                Outcome::Assigned { row, is_new } => (row, *is_new),
                other => panic!("{other:?}"),
            });
        let (rows, news): (Vec<_>, Vec<_>) = rows.unzip();
        assert!(
            rows.iter().all(|row| *row == rows[0]),
            "everybody is told the same"
        );
        // All that wait for one row in one process share the id of the request that made it.
        assert!(news.iter().any(|is_new| *is_new), "for somebody it is new");
        stage.remember(history);
    }
    stage.balance(&[]).await;
}

pub(crate) async fn same_conversion_at_once(plan: Plan) {
    let mut stage = Stage::set(plan, THREE).await;
    for round in 0..plan.pick(10, 200) {
        let visitor = format!("wanted-{round}");
        let mut client = Client::new(&stage.front);
        let outcome = client.ask(round % 3, &visitor, &What::Assign).await;
        assert!(outcome.is_acknowledged(), "{outcome:?}");
        stage.note(&visitor, What::Assign, outcome);
        // In turns the same event again and again, and as many different ones.
        let is_same = round % 2 == 0;
        let history = at_once(&stage, &visitor, |number| {
            What::Convert(if is_same {
                "event".to_owned()
            } else {
                format!("event-{number}")
            })
        })
        .await;
        let counted = history.count(|o| *o == Outcome::Converted { duplicate: false });
        let expected = if is_same { CROWD } else { 1 };
        assert_eq!(
            counted, expected,
            "a retry is told what the first try was told"
        );
        assert_eq!(history.count(Outcome::is_acknowledged), CROWD);
        stage.remember(history);
    }
    stage.balance(&[]).await;
}

fn one(visitor: &str, what: What, outcome: Outcome) -> History {
    let attempt = Attempt {
        visitor: visitor.to_owned(),
        what,
        outcome,
        knows_row: false,
    };
    History {
        attempts: vec![attempt],
        given_up: 0,
    }
}

/// Everybody asks for one visitor, over all replicas.
async fn at_once(stage: &Stage, visitor: &str, what: impl Fn(usize) -> What) -> History {
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let mut client = Client::new(&stage.front);
        let (visitor, what) = (visitor.to_owned(), what(number));
        let replica = number % stage.replicas.len();
        crowd.spawn(async move {
            let outcome = client.ask(replica, &visitor, &what).await;
            one(&visitor, what, outcome)
        });
    }
    let mut history = History::default();
    for each in crowd.join_all().await {
        history.extend(each);
    }
    history
}

pub(crate) async fn retry_storm(plan: Plan) {
    let mut stage = Stage::set(plan, Setting::default()).await;
    // Clients that know no pause.
    let mut load = stage.load("load", 200, Retry::Everything(1_000));
    load.records(500).await;
    stage.pg.stop(Mode::Immediate).await.unwrap();
    // The outage is the fault.
    sleep(Duration::from_secs(3)).await;
    stage.pg.restart().await.unwrap();
    answers(stage.pg).await;
    let recovery = load.recovers(&stage.all()).await;
    let until = Instant::now() + plan.pick(Duration::from_secs(5), Duration::from_secs(60));
    while Instant::now() < until {
        load.records(100).await;
        for replica in &stage.replicas {
            let (status, _) = ops(replica.ops, "/livez").await.unwrap();
            assert_eq!(status, 200);
        }
    }
    assert!(
        stage.breaker_openings().await > 0.0,
        "the outage opened a breaker"
    );
    stage.remember(load.stop().await);
    assert_eq!(
        stage.history().given_up,
        0,
        "everybody is answered in the end"
    );
    stage.balance(&[recovery]).await;
}
