//! What Stripe tells, in its shapes, in any order, any number of times.

use samplit_engine::{Error, Principal, StripeHook, Subscription, SubscriptionStatus as S};
use serde_json::Value as Json;
use time::macros::datetime;

use super::{Limits, NO_LIMITS, SECRET, Stage, word};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/stripe/", $name, ".json"))
    };
}

const CREATED: &str = fixture!("subscription_created");
const UPDATED: &str = fixture!("subscription_updated");
const DELETED: &str = fixture!("subscription_deleted");
const PAID: &str = fixture!("invoice_paid");
const FAILED: &str = fixture!("invoice_payment_failed");

const TEAM: Limits = Limits {
    active_experiments: Some(3),
    monthly_visitors: Some(10_000),
    seats: Some(5),
};

/// `Stripe-Signature` of `body` by `secret`, at a Unix second.
fn sign(secret: &str, body: &str, at: i64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let mac = ring::hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let mac: String = mac
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={at},v1={mac}")
}

/// An event with what is to be otherwise: pointers and values.
fn with(event: &str, changes: &[(&str, Json)]) -> String {
    let mut event: Json = serde_json::from_str(event).unwrap();
    for (pointer, value) in changes {
        let place = event.pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("{pointer}")) = value.clone();
    }
    event.to_string()
}

impl Stage {
    /// A stage with plans, and Stripe's customer.
    async fn with_plans() -> Self {
        let stage = Self::new().await;
        stage.plan("team", Some("price_team"), TEAM).await;
        stage.plan("pro", Some("price_pro"), NO_LIMITS).await;
        stage
    }

    async fn send(&self, body: &str, signature: &str) -> Result<(), Error> {
        let hook = StripeHook {
            signature,
            body: body.as_bytes(),
        };
        self.engine.stripe_hook(hook).await
    }

    /// Stripe tells, now.
    async fn tell(&self, event: &str) {
        let body = event.replace("{user}", &self.ana.user_id.unwrap().to_string());
        let signature = sign(SECRET, &body, self.now().unix_timestamp());
        self.send(&body, &signature).await.unwrap();
    }

    async fn of(&self, who: &Principal) -> Option<Subscription> {
        let of = self.engine.plan_use(who).await.unwrap();
        of.subscription
    }

    /// Plan and status of Ana's.
    async fn shown(&self) -> (String, S) {
        let of = self.of(&self.ana).await.expect("there is one");
        (of.plan, of.status)
    }
}

#[tokio::test]
async fn a_subscription_lives_as_stripe_says() {
    let stage = Stage::with_plans().await;
    stage.tell(CREATED).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Incomplete));
    stage.tell(PAID).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Active));
    stage.tell(UPDATED).await;
    let of = stage.of(&stage.ana).await.unwrap();
    assert_eq!(of.limits, TEAM);
    assert_eq!(
        of.current_period_end,
        Some(datetime!(2026-10-21 14:13:20 UTC))
    );
    assert_eq!(of.provider_customer_id.as_deref(), Some("cus_T4mQ2x"));
    stage.tell(FAILED).await;
    assert_eq!(stage.shown().await.1, S::PastDue);
    stage.tell(DELETED).await;
    let of = stage.of(&stage.ana).await.unwrap();
    assert_eq!(of.status, S::Canceled);
    assert_eq!(of.cancelled_at, Some(datetime!(2026-10-03 4:00 UTC)));
    // It says so and takes nothing away.
    assert_eq!(of.limits, TEAM);

    let noted = stage.noted(&stage.ana, "subscription.changed").await;
    let noted: Vec<&str> = noted
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect();
    assert_eq!(noted, ["incomplete", "active", "past_due", "canceled"]);
    let rows = "SELECT concat_ws(' ', to_jsonb(s), (SELECT string_agg(to_jsonb(e)::text, ' ') \
        FROM stripe_events e)) FROM subscriptions s";
    let rows: String = stage.client.query_one(rows, &[]).await.unwrap().get(0);
    for private in ["pm_1S8KqH", "ana@example.org", "Ulm", "4900"] {
        assert!(!rows.contains(private), "{private} is kept");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_message_is_believed_that_stripe_signed_now() {
    let stage = Stage::with_plans().await;
    let body = CREATED.replace("{user}", &stage.ana.user_id.unwrap().to_string());
    let now = stage.now().unix_timestamp();
    let good = sign(SECRET, &body, now);
    let (time, mac) = good.split_once(",v1=").unwrap();
    let changed = body.replacen("incomplete", "incompletf", 1);
    let zeros = "0".repeat(64);
    for (body, signature) in [
        (&body, String::new()),
        (&body, sign("whsec_other", &body, now)),
        (&changed, good.clone()),
        (&body, sign(SECRET, &body, now - 301)),
        (&body, sign(SECRET, &body, now + 301)),
        (&body, format!("{time},v1={zeros}")),
        (&body, format!("{time},v0={mac}")),
    ] {
        let refused = stage.send(body, &signature).await;
        assert_eq!(word(&refused), "bad_signature", "{signature}");
    }
    assert_eq!(stage.of(&stage.ana).await, None);
    let several = format!("{time},v1={zeros},v1={mac}");
    assert_eq!(word(&stage.send(&body, &several).await), "done");
    // Signed, and yet nothing that Stripe says.
    for nonsense in [
        "[]",
        "{}",
        "evt",
        r#"{"id":"evt_1","type":"invoice.paid","created":"now"}"#,
    ] {
        let told = stage
            .send(nonsense, &sign(SECRET, nonsense, now - 300))
            .await;
        assert_eq!(word(&told), "invalid", "{nonsense}");
    }
    stage.end().await;
}

#[tokio::test]
async fn without_a_secret_there_is_nobody_to_listen() {
    let stage = Stage::new().await;
    let engine = samplit_tests::engine(stage.database.url(), 7).await;
    let hook = StripeHook {
        signature: &sign(SECRET, "{}", stage.now().unix_timestamp()),
        body: b"{}",
    };
    assert_eq!(word(&engine.stripe_hook(hook).await), "path");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_counts_once_however_often_it_comes() {
    let stage = Stage::with_plans().await;
    stage.tell(CREATED).await;
    let body = UPDATED.replace("{user}", &stage.ana.user_id.unwrap().to_string());
    let signature = sign(SECRET, &body, stage.now().unix_timestamp());
    let hook = StripeHook {
        signature: &signature,
        body: body.as_bytes(),
    };
    // Two servers are told the same at the same time, and both say that they heard it.
    let (first, second) = tokio::join!(
        stage.engine.stripe_hook(hook),
        stage.other.stripe_hook(hook)
    );
    first.and(second).unwrap();
    let after = stage.of(&stage.ana).await.unwrap();
    assert_eq!(
        stage.noted(&stage.ana, "subscription.changed").await.len(),
        2
    );
    // What was known meanwhile is not forgotten for a repeat, even of the same time.
    stage
        .tell(&with(
            UPDATED,
            &[
                ("/id", "evt_later".into()),
                ("/data/object/items/data/0/price/id", "price_pro".into()),
            ],
        ))
        .await;
    assert_eq!(stage.shown().await.0, "pro");
    stage.send(&body, &signature).await.unwrap();
    assert_eq!(
        stage.shown().await.0,
        "pro",
        "a repeat undid what came later"
    );
    assert_ne!(stage.of(&stage.ana).await.unwrap(), after);
    let events = "SELECT count(*) FROM stripe_events";
    let events = stage.client.query_one(events, &[]).await.unwrap();
    assert_eq!(events.get::<_, i64>(0), 3);
    stage.end().await;
}

/// Two events of a subscription that nobody knows yet, at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_first_by_two_at_once_is_one_subscription() {
    let stage = Stage::with_plans().await;
    for round in 0..8 {
        let (sub, at) = (format!("sub_{round}"), stage.now().unix_timestamp());
        let bodies = [(CREATED, "c"), (UPDATED, "u")].map(|(event, kind)| {
            let event = event.replace("{user}", &stage.ana.user_id.unwrap().to_string());
            with(
                &event,
                &[
                    ("/id", format!("evt_{kind}{round}").into()),
                    ("/data/object/id", sub.clone().into()),
                ],
            )
        });
        let signatures = bodies.each_ref().map(|body| sign(SECRET, body, at));
        let hook = |index: usize| StripeHook {
            signature: &signatures[index],
            body: bodies[index].as_bytes(),
        };
        let (first, second) = tokio::join!(
            stage.engine.stripe_hook(hook(0)),
            stage.other.stripe_hook(hook(1)),
        );
        first.and(second).unwrap();
        let rows = "SELECT status FROM subscriptions WHERE provider_subscription_id = $1";
        let row = stage.client.query_one(rows, &[&sub]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "active", "round {round}");
    }
    stage.end().await;
}

#[tokio::test]
async fn what_comes_late_is_not_what_is_so() {
    let stage = Stage::with_plans().await;
    // The order of their making: created (0), updated and paid (5), another plan (6), failed, deleted.
    let switched = with(
        UPDATED,
        &[
            ("/id", "evt_switched".into()),
            ("/created", 1_790_000_006_i64.into()),
            ("/data/object/items/data/0/price/id", "price_pro".into()),
            ("/data/object/status", "past_due".into()),
        ],
    );
    // An invoice of a subscription that nobody knows says nothing.
    stage.tell(PAID).await;
    assert_eq!(stage.of(&stage.ana).await, None);
    stage.tell(UPDATED).await;
    stage.tell(CREATED).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Active));
    // That it was paid later than it was switched does not make the switch unheard.
    let paid = with(
        PAID,
        &[
            ("/id", "evt_paid_again".into()),
            ("/created", 1_790_000_007_i64.into()),
        ],
    );
    stage.tell(&paid).await;
    stage.tell(&switched).await;
    assert_eq!(stage.shown().await, ("pro".to_owned(), S::Active));
    // What is over stays over, also where the end comes before what was said last.
    stage.tell(FAILED).await;
    stage.tell(DELETED).await;
    assert_eq!(stage.shown().await.1, S::Canceled);
    let revived = with(
        UPDATED,
        &[
            ("/id", "evt_revived".into()),
            ("/created", 1_799_000_000_i64.into()),
        ],
    );
    stage.tell(&revived).await;
    assert_eq!(stage.shown().await.1, S::Canceled);
    stage.end().await;
}

#[tokio::test]
async fn of_one_second_the_beginning_undoes_nothing() {
    let stage = Stage::with_plans().await;
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (round, order) in orders.into_iter().enumerate() {
        let sub = format!("sub_{round}");
        let named = |kind: &str, place: &'static str| {
            [
                ("/id", Json::from(format!("evt_{kind}{round}"))),
                ("/created", 1_790_000_005_i64.into()),
                (place, sub.clone().into()),
            ]
        };
        let created = with(CREATED, &named("created", "/data/object/id"));
        let updated = with(UPDATED, &named("updated", "/data/object/id"));
        let price = "/data/object/items/data/0/price/id";
        let updated = with(&updated, &[(price, "price_pro".into())]);
        let of = "/data/object/parent/subscription_details/subscription";
        let paid = with(PAID, &named("paid", of));
        let events = [created, updated, paid];
        for index in order {
            stage.tell(&events[index]).await;
        }
        let row = "SELECT concat_ws(' ', plan, status) FROM subscriptions \
            WHERE provider_subscription_id = $1";
        let row = stage.client.query_one(row, &[&sub]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "pro active", "{order:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn what_came_too_early_counts_when_it_is_sent_again() {
    let stage = Stage::new().await;
    let noted = async || {
        let events = "SELECT count(*) FROM stripe_events";
        let events = stage.client.query_one(events, &[]).await.unwrap();
        events.get::<_, i64>(0)
    };
    stage.tell(CREATED).await;
    stage.tell(PAID).await;
    assert_eq!(noted().await, 0);
    stage.plan("team", Some("price_team"), TEAM).await;
    stage.tell(CREATED).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Incomplete));
    stage.tell(PAID).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Active));
    // The price of a plan that is not there yet.
    let switched = with(
        UPDATED,
        &[
            ("/created", 1_790_000_006_i64.into()),
            ("/data/object/items/data/0/price/id", "price_pro".into()),
        ],
    );
    stage.tell(&switched).await;
    assert_eq!(stage.shown().await.0, "team");
    assert_eq!(noted().await, 2);
    stage.plan("pro", Some("price_pro"), NO_LIMITS).await;
    stage.tell(&switched).await;
    assert_eq!(stage.shown().await, ("pro".to_owned(), S::Active));
    assert_eq!(noted().await, 3);
    stage.end().await;
}

#[tokio::test]
async fn versions_of_the_api_before_2025_say_the_same() {
    let stage = Stage::with_plans().await;
    stage.tell(fixture!("subscription_updated_2024")).await;
    let of = stage.of(&stage.ana).await.unwrap();
    assert_eq!((of.status, of.limits), (S::Active, TEAM));
    assert_eq!(of.current_period_start, Some(stage.now()));
    assert_eq!(
        of.current_period_end,
        Some(datetime!(2026-10-21 14:13:20 UTC))
    );
    stage.tell(fixture!("invoice_payment_failed_2024")).await;
    assert_eq!(stage.shown().await.1, S::PastDue);
    stage.end().await;
}

#[tokio::test]
async fn what_is_none_of_ours_does_nothing() {
    let stage = Stage::with_plans().await;
    stage.tell(fixture!("customer_updated")).await;
    let metadata = "/data/object/metadata/user_id";
    let price = "/data/object/items/data/0/price/id";
    for (number, changes) in [
        (metadata, Json::from("0197f0a0-0000-7000-8000-000000000001")),
        (metadata, "somebody".into()),
        ("/data/object/metadata", Json::Null),
        (price, "price_of_another_product".into()),
        ("/data/object/status", "dormant".into()),
    ]
    .into_iter()
    .enumerate()
    {
        let id = ("/id", Json::from(format!("evt_{number}")));
        stage.tell(&with(CREATED, &[id, changes])).await;
    }
    let rows = "SELECT count(*) FROM subscriptions";
    let rows = stage.client.query_one(rows, &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);

    // Of one that is ours, a price that nobody knows leaves the plan as it is, and a customer who was here
    // before is known again.
    stage.tell(CREATED).await;
    let unknown = [
        ("/id", "evt_unknown".into()),
        (price, "price_unknown".into()),
    ];
    stage.tell(&with(UPDATED, &unknown)).await;
    assert_eq!(stage.shown().await, ("team".to_owned(), S::Active));
    stage.tell(DELETED).await;
    stage.clock.advance(time::Duration::DAY);
    let again = [
        ("/id", "evt_again".into()),
        ("/data/object/id", "sub_again".into()),
        ("/data/object/metadata", Json::Null),
        (price, "price_pro".into()),
    ];
    stage.tell(&with(UPDATED, &again)).await;
    assert_eq!(stage.shown().await, ("pro".to_owned(), S::Active));
    stage.end().await;
}

#[tokio::test]
async fn what_stripe_keeps_no_hand_changes_and_what_it_ends_a_hand_may() {
    let stage = Stage::with_plans().await;
    let (ana, admin) = (stage.ana.user_id.unwrap(), &stage.admin);
    let set = async |plan: &str| word(&stage.engine.set_subscription(admin, ana, plan).await);
    assert_eq!(set("pro").await, "done");
    stage.clock.advance(time::Duration::MINUTE);
    stage.tell(UPDATED).await;
    assert_eq!(stage.shown().await.0, "team", "what is paid for counts");
    assert_eq!(set("pro").await, "managed_by_stripe");
    stage.tell(DELETED).await;
    assert_eq!(stage.shown().await, ("pro".to_owned(), S::Active));
    assert_eq!(set("self_hosted").await, "done");
    assert_eq!(stage.shown().await.0, "self_hosted");
    stage.end().await;
}
