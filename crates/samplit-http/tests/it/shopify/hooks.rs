//! What a shop tells, and who is believed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_with_its_value() {
    let stage = stage().await;
    stage.connect().await;
    stage
        .experiment(json!([{"name": "sale", "kind": "value"}]))
        .await;
    let order = fixture!("orders_create");
    let of_test = order.replace("\"test\": false", "\"test\": true");
    assert_eq!(
        stage.tell("orders/create", "d0", &of_test).await.summary(),
        "200"
    );
    assert_eq!(stage.value().await, None);
    let forged = stage
        .tell_signed("orders/create", "d1", order, "AAAA")
        .await;
    assert_eq!(forged.summary(), "401 bad_signature");
    assert_eq!(stage.value().await, None);
    // The first delivery, a repeat of it, and another delivery of the same order at another price.
    let dearer = order.replace("398.00", "999.00");
    for (delivery, body) in [("d1", order), ("d1", order), ("d2", &dearer)] {
        assert_eq!(
            stage.tell("orders/create", delivery, body).await.summary(),
            "200"
        );
        assert_eq!(stage.value().await, Some(398.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_of_clicks_is_none_of_an_order() {
    let stage = stage().await;
    stage.connect().await;
    let click = json!({"type": "click", "selector": {"type": "css", "value": "#buy"}});
    stage
        .experiment(json!([{"name": "click", "trigger": click}]))
        .await;
    stage
        .tell("orders/create", "d1", fixture!("orders_create"))
        .await;
    assert_eq!(stage.value().await, None);
    let purchase = json!({"type": "event", "name": "purchase"});
    stage
        .experiment(json!([{"name": "sale", "kind": "value", "trigger": purchase}]))
        .await;
    stage
        .tell("orders/create", "d2", fixture!("orders_create"))
        .await;
    assert_eq!(stage.value().await, Some(398.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_privacy_laws_ask_for_is_done() {
    let stage = stage().await;
    stage.connect().await;
    stage
        .experiment(json!([{"name": "sale", "kind": "value"}]))
        .await;
    stage
        .tell("orders/create", "d1", fixture!("orders_create"))
        .await;
    let told = stage.tell(
        "customers/data_request",
        "d2",
        fixture!("customers_data_request"),
    );
    assert_eq!(told.await.summary(), "200");
    let told = stage
        .tell("customers/redact", "d3", fixture!("customers_redact"))
        .await;
    assert_eq!(told.summary(), "200");
    let client = samplit_tests::connect(stage.database.url()).await;
    let sql = "SELECT user_identifier FROM assignments";
    let visitor: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(visitor.starts_with("erased:"), "{visitor}");
    stage.clock.advance(Duration::hours(48));
    let told = stage
        .tell("shop/redact", "d4", fixture!("shop_redact"))
        .await;
    assert_eq!(told.summary(), "200");
    assert_eq!(stage.oauth_data().await, None);
    let nobody = stage.tell_signed("shop/redact", "d5", "{}", "").await;
    assert_eq!(nobody.summary(), "401 bad_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_told_late_does_not_end_what_came_after() {
    let stage = stage().await;
    stage.connect().await;
    let now = stage.clock.now().unix_timestamp();
    let of_shop = fixture!("shop_redact");
    // The clock began at 2026-09-21T14:13:20Z.
    assert_eq!(now, 1_790_000_000);
    for (delivery, topic, triggered_at, expected) in [
        ("d1", "app/uninstalled", "2026-09-21T14:13:19.5Z", "active"),
        ("d2", "shop/redact", "2026-09-23T14:13:19Z", "active"),
        (
            "d3",
            "app/uninstalled",
            "2026-09-21T14:13:20Z",
            "uninstalled",
        ),
    ] {
        let mac = STANDARD.encode(mac(of_shop.as_bytes()));
        let request = stage.hook(HOOKS, topic, delivery, &mac);
        let request = request.header("x-shopify-triggered-at", triggered_at);
        let told = stage
            .server
            .send(request.body(Full::from(of_shop)).unwrap())
            .await;
        assert_eq!(told.summary(), "200");
        assert_eq!(stage.installation().await["status"], expected, "{delivery}");
    }
}

/// A delivery that does not say when it was told could be one from before the grant.

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_believed_only_with_its_time() {
    let stage = stage().await;
    stage.connect().await;
    for (topic, body) in [
        ("app/uninstalled", fixture!("app_uninstalled")),
        ("shop/redact", fixture!("shop_redact")),
    ] {
        for triggered_at in ["", "yesterday"] {
            let mac = STANDARD.encode(mac(body.as_bytes()));
            let request = stage.hook(HOOKS, topic, "d1", &mac);
            let request = match triggered_at {
                "" => request,
                text => request.header("x-shopify-triggered-at", text),
            };
            let told = stage.server.send(request.body(Full::from(body)).unwrap());
            assert_eq!(
                told.await.summary(),
                "401 bad_signature",
                "{topic} {triggered_at}"
            );
        }
    }
    assert_eq!(stage.installation().await["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_about_the_shop_that_it_was_signed_for() {
    let stage = stage().await;
    stage.connect().await;
    let query = "code=c0de&shop=other.myshopify.com&state=s&timestamp=1";
    let of_another = r#"{"id": 1, "myshopify_domain": "other.myshopify.com"}"#;
    for (delivery, body) in [("x1", query), ("x2", of_another), ("x3", "[]")] {
        let mac = STANDARD.encode(mac(body.as_bytes()));
        let told = stage
            .tell_signed("app/uninstalled", delivery, body, &mac)
            .await;
        assert_eq!(told.summary(), "401 bad_signature", "{body}");
    }
    assert_eq!(stage.installation().await["status"], "active");
}

/// Only its grant makes an installation that of a shop, and nothing but the end takes it away.

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_only_for_the_shop_that_was_asked_for_it() {
    let stage = stage().await;
    let site = stage.connect().await;
    let sale = json!([{"name": "sale", "kind": "value"}]);
    stage.experiment(sale).await;
    let order = fixture!("orders_create");
    let own = stage.shop.hook.lock().clone();
    let of_another = format!("{HOOKS}/hk_{}", "A".repeat(43));
    for (delivery, path) in [
        ("x1", HOOKS),
        ("x2", &of_another),
        ("x3", &own[..own.len() - 1]),
    ] {
        for topic in ["orders/create", "app/uninstalled"] {
            let delivery = format!("{delivery} {topic}");
            let told = stage.tell_at(path, topic, &delivery, order).await;
            assert_eq!(told.summary(), "401 bad_signature", "{path} {topic}");
        }
    }
    assert_eq!(stage.value().await, None);
    assert_eq!(stage.installation().await["status"], "active");
    // Of a shop that nobody has connected: nothing to do, and nothing to remember.
    let mac = STANDARD.encode(mac(order.as_bytes()));
    let mut request = stage.hook(HOOKS, "orders/create", "x4", &mac);
    let headers = request.headers_mut().unwrap();
    let unknown = "unknown.myshopify.com".parse().unwrap();
    headers.insert("x-shopify-shop-domain", unknown);
    let told = stage.server.send(request.body(Full::from(order)).unwrap());
    assert_eq!(told.await.summary(), "200");
    let receipts = crate::pages::rows(&stage.database, "webhook_receipts");
    assert_eq!(receipts.await, 0);
    let told = stage.tell_at(&own, "orders/create", "x1", order).await;
    assert_eq!(
        (told.summary(), stage.value().await),
        ("200".to_owned(), Some(398.0))
    );

    // The secret of the path stands nowhere in the clear, and is that of the installation for good.
    let (_, secret) = own.rsplit_once('/').unwrap();
    assert!(!stage.oauth_data().await.unwrap().contains(secret));
    assert!(!site.to_string().contains(secret));
    stage.shop.has_hooks.store(true, Ordering::Relaxed);
    stage.connect().await;
    assert_eq!(*stage.shop.hook.lock(), own);
}
