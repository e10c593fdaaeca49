//! What is used is what a plain count says, by the month, and warned of once.

use samplit_domain::{Experiment, month_of};
use samplit_engine::{Principal, Transition};
use serde_json::json;
use time::{Duration, macros::datetime};

use super::{Limits, NO_LIMITS, Stage, go};
use crate::{conversion, visitor};

impl Stage {
    /// New visitors of an experiment, by names that nobody had before.
    async fn visit(&self, experiment: &Experiment, names: std::ops::Range<usize>) {
        let me = Principal::system();
        let visits = names.map(|number| {
            let visitor = visitor(format!("visitor-{number}"));
            self.engine.assign(&me, experiment.id, visitor)
        });
        for visit in futures_util::future::join_all(visits).await {
            assert!(visit.unwrap().is_new);
        }
    }

    /// The visitors of the month, as the engine says, which has to be what a plain count says.
    async fn visitors(&self, who: &Principal) -> u64 {
        let said = self.engine.plan_use(who).await.unwrap();
        let count = "SELECT count(*) FROM assignments a JOIN experiments e ON e.id = a.experiment_id \
            WHERE e.user_id = $1 AND a.assigned_at >= $2";
        let (user, month) = (who.user_id.unwrap().0, month_of(self.now()));
        assert_eq!(said.month, month);
        let counted = self
            .client
            .query_one(count, &[&user, &month])
            .await
            .unwrap();
        let counted: i64 = counted.get(0);
        assert_eq!(said.usage.monthly_visitors, u64::try_from(counted).unwrap());
        said.usage.monthly_visitors
    }

    async fn baselines(&self) -> i64 {
        let count = "SELECT count(*) FROM usage_baselines";
        self.client.query_one(count, &[]).await.unwrap().get(0)
    }

    fn advance_to(&self, at: time::OffsetDateTime) {
        self.clock.advance(at - self.now());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_visitors_of_a_month_are_those_of_a_plain_count() {
    let stage = Stage::new().await;
    let (engine, ana) = (&stage.engine, &stage.ana);
    stage.advance_to(datetime!(2026-09-30 23:50 UTC));
    let one = stage.started(ana, &[2]).await;
    let several = stage.started(ana, &[2, 3]).await;
    let foreign = stage.started(&stage.admin, &[2]).await;
    assert_eq!(stage.visitors(ana).await, 0);
    stage.visit(&one, 0..30).await;
    stage.visit(&several, 0..20).await;
    stage.visit(&foreign, 0..9).await;
    engine
        .convert(ana, one.id, conversion("visitor-0"))
        .await
        .unwrap();
    assert_eq!(stage.visitors(ana).await, 50);

    // The month begins anew, and it is not sure yet that all of the old one are written down.
    let baselines = stage.baselines().await;
    stage.advance_to(datetime!(2026-10-01 0:00 UTC));
    assert_eq!(stage.visitors(ana).await, 0);
    stage.visit(&one, 30..35).await;
    stage.advance_to(datetime!(2026-10-01 0:00:59 UTC));
    assert_eq!(stage.visitors(ana).await, 5);
    assert_eq!(stage.baselines().await, baselines);
    stage.advance_to(datetime!(2026-10-01 0:01:01 UTC));
    assert_eq!(stage.visitors(ana).await, 5);
    assert_eq!(stage.baselines().await, baselines + 2);

    // What began, rests, or ended in the month counts, and who was erased does, too.
    let fresh = stage.started(ana, &[3]).await;
    stage.visit(&fresh, 0..4).await;
    stage.visit(&several, 20..27).await;
    engine.erase_visitor(ana, "visitor-2").await.unwrap();
    assert_eq!(stage.visitors(ana).await, 16);
    go(engine, ana, &several, Transition::Complete)
        .await
        .unwrap();
    go(engine, ana, &fresh, Transition::Pause).await.unwrap();
    assert_eq!(stage.visitors(ana).await, 16);
    assert_eq!(stage.visitors(&stage.admin).await, 0);

    // Of what ended before it nothing is looked at.
    stage.advance_to(datetime!(2026-11-15 12:00 UTC));
    assert_eq!(stage.visitors(ana).await, 0);
    stage.visit(&one, 35..37).await;
    assert_eq!(stage.visitors(ana).await, 2);
    let of_november = "SELECT count(*) FROM usage_baselines WHERE month = '2026-11-01Z' \
        AND experiment_id = $1";
    let of_november = stage.client.query_one(of_november, &[&several.id.0]).await;
    assert_eq!(of_november.unwrap().get::<_, i64>(0), 0);
    stage.end().await;
}

/// A baseline that was found from counters that were wrong goes with them.
#[tokio::test]
async fn counters_that_are_corrected_leave_the_use_right() {
    let stage = Stage::new().await;
    let (engine, ana) = (&stage.engine, &stage.ana);
    let running = stage.started(ana, &[2]).await;
    stage.visit(&running, 0..10).await;
    let count = "UPDATE element_variants SET total_allocations = total_allocations + 100";
    stage.client.execute(count, &[]).await.unwrap();
    stage.advance_to(datetime!(2026-10-02 0:00 UTC));
    assert_eq!(stage.visitors(ana).await, 0);
    stage.visit(&running, 10..13).await;
    assert_eq!(stage.visitors(ana).await, 3);
    // Between the correction and a look at it the use is not below zero.
    let correct = "UPDATE element_variants SET total_allocations = total_allocations - 100";
    stage.client.execute(correct, &[]).await.unwrap();
    let said = engine.plan_use(ana).await.unwrap();
    assert_eq!(said.usage.monthly_visitors, 0);
    stage.client.execute(count, &[]).await.unwrap();
    let repaired = engine.repair().await.unwrap();
    assert!(!repaired.made.is_empty(), "{repaired:?}");
    assert_eq!(stage.visitors(ana).await, 3);
    stage.end().await;
}

/// Once the baselines are there, no row of a visitor is read.
#[tokio::test]
async fn no_visitor_is_read_to_count_them() {
    let stage = Stage::new().await;
    let running = stage.started(&stage.ana, &[2]).await;
    stage.visit(&running, 0..10).await;
    stage.clock.advance(Duration::days(31));
    assert_eq!(stage.visitors(&stage.ana).await, 0);
    let statements = samplit_store::statements();
    let count = statements.iter().find(|one| one.name == "COUNT_VISITORS");
    let explain = format!(
        "PREPARE asked AS {}; EXPLAIN (ANALYZE, COSTS OFF) EXECUTE asked('{}', '{}')",
        count.unwrap().sql,
        stage.ana.user_id.unwrap(),
        "2026-10-01Z",
    );
    let plan = stage.client.simple_query(&explain).await.unwrap();
    let lines = plan.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let of_visitors: Vec<&str> = lines
        .filter(|line| line.contains(" on assignments"))
        .collect();
    assert!(!of_visitors.is_empty());
    for line in of_visitors {
        assert!(line.contains("never executed"), "{line}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_level_of_a_limit_is_noted_once_a_month() {
    let stage = Stage::new().await;
    let ana = &stage.ana;
    let limits = Limits {
        monthly_visitors: Some(10),
        active_experiments: Some(2),
        ..NO_LIMITS
    };
    stage.limit(ana, limits).await;
    let running = stage.started(ana, &[2]).await;
    // What somebody wrote by hand, and cannot be read, is nobody else's trouble.
    let odd = "INSERT INTO subscriptions (user_id, status, max_seats) VALUES ($1, 'odd', -1)";
    let admin = stage.admin.user_id.unwrap().0;
    stage.client.execute(odd, &[&admin]).await.unwrap();
    let look = async || {
        // As several servers do.
        let (first, second) = tokio::join!(
            stage.engine.note_plan_limits(),
            stage.other.note_plan_limits()
        );
        first.and(second).unwrap();
        let noted = stage.noted(ana, "plan.limit_near").await;
        let short = |one: &serde_json::Value| json!([one["limit"], one["percent"], one["used"]]);
        noted.iter().map(short).collect::<Vec<_>>()
    };
    stage.visit(&running, 0..7).await;
    assert!(look().await.is_empty());
    stage.visit(&running, 7..8).await;
    let near = json!(["monthly_visitors", 80, 8]);
    assert_eq!(look().await, std::slice::from_ref(&near));
    stage.visit(&running, 8..9).await;
    assert_eq!(look().await, std::slice::from_ref(&near));
    stage.visit(&running, 9..15).await;
    stage.started(ana, &[2]).await;
    let reached = [
        near,
        json!(["active_experiments", 100, 2]),
        json!(["monthly_visitors", 100, 15]),
    ];
    assert_eq!(look().await, reached);
    assert_eq!(look().await, reached);
    let warned = stage.engine.plan_warnings(ana).await.unwrap();
    assert_eq!(warned.len(), 2);
    // Visitors are served whatever they count to.
    stage.visit(&running, 15..20).await;

    stage.clock.advance(Duration::days(10));
    let october = look().await;
    assert_eq!(october.len(), 4, "{october:?}");
    assert_eq!(october[3], json!(["active_experiments", 100, 2]));
    // An account that nobody comes in with is not looked at.
    assert_eq!(stage.noted(&stage.admin, "plan.limit_near").await.len(), 0);
    stage.end().await;
}
