//! A funnel of five steps and 100,000 visitors who drop out, come back late, and see two variants: what the
//! results say is what a plain count of the rows says, and what the visitors really did.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};
use samplit_domain::{Installation, ManualClock, VariantId, from_micros};
use samplit_engine::{Engine, EngineConfig, EventOutcome, Strategy};
use samplit_tests::{config, connect, database, engine_with};
use time::Duration;
use tokio::task::JoinSet;

use crate::funnel_journeys::{activate, did, id, see, shop, visit};
use crate::pages::{account, install, on_page, run};

const VISITORS: usize = 100_000;

/// How long a tick is, in minutes.
const TICK: u32 = 20;

/// Ticks in the window of the funnel.
const WINDOW: usize = 168 * 3;

/// When the results are looked at: some have had their time by then, some have not.
const END: usize = WINDOW + 72;

/// In which ticks visitors come in.
const COMING: usize = 144;

/// Somebody on the way.
#[derive(Debug)]
struct Visitor {
    variant: Option<VariantId>,
    /// In which ticks the steps were reached.
    reached: Vec<usize>,
    rng: ChaCha12Rng,
}

impl Visitor {
    /// In which tick the next step is tried. `is_control` visitors give up more often.
    fn next(&mut self, is_control: bool) -> Option<usize> {
        const STAY: [f64; 4] = [0.62, 0.8, 0.55, 0.7];
        let stay = STAY.get(self.reached.len() - 1)? - if is_control { 0.1 } else { 0.0 };
        if !self.rng.random_bool(stay) {
            return None;
        }
        let pause = if self.rng.random_bool(0.03) {
            // Somebody who comes back when it is about over.
            self.rng.random_range(WINDOW - 40..WINDOW + 10)
        } else {
            let few = self.rng.random_range(0..6_usize);
            few * self.rng.random_range(0..4_usize)
        };
        Some(self.reached.last()? + pause)
    }

    fn name(number: usize) -> String {
        format!("visitor-{number}")
    }
}

/// Does the next step of a visitor; gives the variant that was shown on the first page.
async fn act(
    engine: &Engine,
    site: &Installation,
    number: usize,
    step: usize,
    is_over: bool,
) -> Option<VariantId> {
    let name = Visitor::name(number);
    match step {
        0 => {
            let shown = see(engine, site, &name, "/").await;
            return Some(shown.experiments[0].variants[0]);
        }
        2 => {
            see(engine, site, &name, "/pricing").await;
        }
        step => {
            let event = [did(id(7, step as u128 + 1).0)];
            let visit = visit(&name, "https://shop.test/");
            let outcomes = engine.page_events(site, &visit, &event).await.unwrap();
            let is_right = match outcomes[0] {
                EventOutcome::Recorded => !is_over,
                EventOutcome::NotReached => is_over,
                _ => false,
            };
            assert!(is_right, "{name} {step} {is_over} {outcomes:?}");
        }
    }
    None
}

fn median(mut pauses: Vec<usize>) -> Option<f64> {
    pauses.sort_unstable();
    let (low, high) = (
        pauses.get((pauses.len().max(1) - 1) / 2)?,
        pauses[pauses.len() / 2],
    );
    let both = u32::try_from(low + high).unwrap();
    Some(f64::from(both) / 2.0 * f64::from(TICK * 60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_visitors_are_counted_as_they_went() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(1)
    };
    let engine = engine_with(database.url(), config).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = Arc::new(install(&engine, &owner).await);
    let mut draft = on_page("headline");
    draft.strategy = Strategy::Fixed;
    let experiment = run(&engine, &owner, draft).await;
    let control = experiment.elements[0].variants[0].id;
    let mut canvas = shop(7);
    canvas.nodes[0].experiment_id = Some(experiment.id);
    let funnel = activate(&engine, &owner, canvas).await;

    let mut seeds = ChaCha12Rng::seed_from_u64(20_260_102);
    let mut plans = BTreeMap::<usize, Vec<usize>>::new();
    let mut visitors: Vec<Visitor> = (0..VISITORS)
        .map(|number| {
            plans
                .entry(seeds.random_range(0..COMING))
                .or_default()
                .push(number);
            Visitor {
                variant: None,
                reached: Vec::new(),
                rng: ChaCha12Rng::seed_from_u64(seeds.random()),
            }
        })
        .collect();
    for tick in 0..END {
        // What comes of a tick may be of the same one.
        while let Some(acting) = plans.remove(&tick) {
            let mut tasks = JoinSet::new();
            let acting = acting.into_iter().map(|number| {
                let visitor = &visitors[number];
                let is_over = visitor
                    .reached
                    .first()
                    .is_some_and(|first| tick - first >= WINDOW);
                (number, visitor.reached.len(), is_over)
            });
            for (number, step, is_over) in acting {
                let (engine, site) = (engine.clone(), Arc::clone(&site));
                tasks.spawn(async move {
                    let variant = act(&engine, &site, number, step, is_over).await;
                    (number, is_over, variant)
                });
            }
            let mut done = tasks.join_all().await;
            done.sort_unstable_by_key(|(number, ..)| *number);
            for (number, is_over, variant) in done {
                let visitor = &mut visitors[number];
                visitor.variant = visitor.variant.or(variant);
                if is_over {
                    continue;
                }
                visitor.reached.push(tick);
                let is_control = visitor.variant == Some(control);
                if let Some(next) = visitor.next(is_control) {
                    plans.entry(next).or_default().push(number);
                }
            }
        }
        clock.advance(Duration::minutes(TICK.into()));
    }

    let results = engine
        .funnel_results(&owner, funnel.id, None)
        .await
        .unwrap();
    let by = engine
        .funnel_results(&owner, funnel.id, Some(experiment.id))
        .await
        .unwrap();
    assert_eq!(results.entered, VISITORS as u64);
    let client = connect(database.url()).await;

    // As the visitors went.
    let is_over = |visitor: &Visitor| END - visitor.reached[0] >= WINDOW;
    for (step, told) in results.steps.iter().enumerate() {
        let here = || {
            visitors
                .iter()
                .filter(|visitor| visitor.reached.len() > step)
        };
        let count = |is_so: &dyn Fn(&Visitor) -> bool| here().filter(|v| is_so(v)).count() as u64;
        let last = |visitor: &Visitor| step < 4 && visitor.reached.len() == step + 1;
        assert_eq!(told.reached, count(&|_| true), "{step}");
        assert_eq!(told.dropped, count(&|v| last(v) && is_over(v)), "{step}");
        assert_eq!(
            told.in_progress,
            count(&|v| last(v) && !is_over(v)),
            "{step}"
        );
        let pauses = here()
            .filter(|_| step > 0)
            .map(|v| v.reached[step] - v.reached[step - 1]);
        assert_eq!(told.median_seconds, median(pauses.collect()), "{step}");
        for reach in &by.steps[step].by_variant {
            let of_it = |v: &Visitor| v.variant == Some(reach.variant_id);
            assert_eq!(reach.reached, count(&of_it), "{step}");
            assert_eq!(
                reach.converted,
                count(&|v| of_it(v) && v.reached.len() == 5),
                "{step}"
            );
        }
        assert_eq!(by.steps[step].by_variant.len(), 2);
    }
    let sum = |part: fn(&samplit_engine::FunnelStepResults) -> u64| {
        results.steps.iter().map(part).sum::<u64>()
    };
    assert_eq!(sum(|step| step.dropped), results.abandoned);
    assert_eq!(sum(|step| step.in_progress), results.in_progress);
    assert_eq!(results.converted, results.steps[4].reached);
    assert!(
        results.converted > 5_000 && results.in_progress > 1_000 && results.abandoned > 20_000,
        "{results:?}"
    );
    let late = visitors
        .iter()
        .filter(|v| v.reached.windows(2).any(|pair| pair[1] - pair[0] > 400));
    assert!(late.count() > 100);

    // By a plain count of the rows.
    let plain = "WITH ways AS (
            SELECT s.node_id, v.converted_at IS NULL AND s.position = max(s.position) OVER journey AS is_last,
                v.entered_at <= $2 AS is_over,
                extract(epoch FROM s.reached_at - lag(s.reached_at) OVER journey)::float8 AS seconds
            FROM funnel_steps s JOIN funnel_visits v ON v.id = s.visit_id
            WINDOW journey AS (PARTITION BY s.visit_id ORDER BY s.reached_at, s.position
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)),
        medians AS (
            SELECT node_id, array_agg(seconds ORDER BY seconds) AS sorted FROM ways
            WHERE seconds IS NOT NULL GROUP BY node_id)
        SELECT count(*), count(*) FILTER (WHERE is_last AND is_over), count(*) FILTER (WHERE is_last AND NOT is_over),
            (SELECT (sorted[(cardinality(sorted) + 1) / 2] + sorted[cardinality(sorted) / 2 + 1]) / 2
                FROM medians m WHERE m.node_id = w.node_id)
        FROM ways w WHERE node_id::text = $1 GROUP BY node_id";
    let over = results.as_of - Duration::hours(168);
    for step in &results.steps {
        let row = client
            .query_one(plain, &[&step.node_id.to_string(), &over])
            .await
            .unwrap();
        let number = |at: usize| row.get::<_, i64>(at).cast_unsigned();
        assert_eq!(
            (step.reached, step.dropped, step.in_progress),
            (number(0), number(1), number(2))
        );
        assert_eq!(step.median_seconds, row.get::<_, Option<f64>>(3));
    }
    let variants =
        "SELECT a.variant_id::text, count(*) FILTER (WHERE s.node_id::text = $1) FROM assignments a
        JOIN funnel_visits v ON v.user_identifier = a.user_identifier
        JOIN funnel_steps s ON s.visit_id = v.id GROUP BY 1";
    for step in &by.steps {
        let rows = client
            .query(variants, &[&step.node_id.to_string()])
            .await
            .unwrap();
        let rows = rows.iter().map(|row| {
            (
                row.get::<_, String>(0),
                row.get::<_, i64>(1).cast_unsigned(),
            )
        });
        let told = step
            .by_variant
            .iter()
            .map(|reach| (reach.variant_id.to_string(), reach.reached));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), rows.collect());
    }
    engine.shutdown().await;
}
