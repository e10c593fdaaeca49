//! A shop is connected, connected again, and taken out.

use samplit_engine::{Principal, UserChange, UserId};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_grants_access_and_gets_its_script() {
    let stage = stage().await;
    let site = stage.connect().await;
    assert_eq!(site["domain"], SHOP);
    assert_eq!(
        (&site["platform"], &site["status"]),
        (&json!("shopify"), &json!("active"))
    );
    let asked = stage.shop.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let token = "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";
    assert!(asked[0].starts_with(&format!("{SHOP} /admin/oauth/access_token nobody ")));
    for wanted in [
        "\"code\":\"c0de\"",
        "\"client_secret\":\"hush\"",
        "\"expiring\":\"1\"",
    ] {
        assert!(asked[0].contains(wanted), "{}", asked[0]);
    }
    let script = format!(
        "https://ab.example.org/s/{}.js",
        site["token"].as_str().unwrap()
    );
    assert!(
        asked[1].starts_with(&format!("{SHOP} {API} {token} script ")),
        "{}",
        asked[1]
    );
    assert!(
        asked[1].contains(&script) && asked[1].contains("ONLINE_STORE"),
        "{}",
        asked[1]
    );
    for (asked, topic) in asked[2..].iter().zip(["ORDERS_CREATE", "APP_UNINSTALLED"]) {
        assert!(asked.contains(topic), "{asked}");
        assert!(
            asked.contains("https://ab.example.org/integrations/shopify/webhooks"),
            "{asked}"
        );
    }
    let fields = r#""includeFields":["id","test","total_price","note_attributes","landing_site"]"#;
    assert!(asked[2].contains(fields), "{}", asked[2]);
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        !kept.contains("shpat_") && !kept.contains("shprt_"),
        "{kept}"
    );
    assert!(kept.contains("gid://shopify/ScriptTag/870402688"), "{kept}");

    // The script leaves the visitor in the cart.
    let token = site["token"].as_str().unwrap();
    let script = stage.server.get(&format!("/s/{token}.js")).await;
    assert!(script.text().contains("/cart/update.js"));

    // Once more: the same installation, although the subscriptions are there.
    stage.shop.has_hooks.store(true, Ordering::Relaxed);
    assert_eq!(stage.connect().await["id"], site["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_used_once_in_time_by_its_browser_and_signed_by_shopify() {
    let stage = stage().await;
    let forged = |query: String| query.replace("code=c0de", "code=evil");
    let unknown = "409 unknown_state";
    for (case, expected) in [
        ("forged", "401 bad_signature"),
        ("another shop", unknown),
        ("no shop", "401 bad_signature"),
        ("another browser", unknown),
        ("another state", unknown),
        ("too late", unknown),
    ] {
        let state = stage.begin().await;
        let good = signed(SHOP, "c0de", &state);
        let answer = match case {
            "forged" => stage.come_back(&forged(good), &state).await,
            "another shop" => {
                let other = signed("other.myshopify.com", "c0de", &state);
                stage.come_back(&other, &state).await
            }
            "no shop" => {
                stage
                    .come_back(&signed("evil.test", "c0de", &state), &state)
                    .await
            }
            "another browser" => stage.come_back(&good, "").await,
            "another state" => stage.come_back(&signed(SHOP, "c0de", "x"), "x").await,
            _ => {
                stage.clock.advance(Duration::minutes(10));
                stage.come_back(&good, &state).await
            }
        };
        assert_eq!(answer.summary(), expected, "{case}");
        assert_eq!(stage.shop.asked(), [""; 0], "{case}");
    }
    let state = stage.begin().await;
    let query = signed(SHOP, "c0de", &state);
    assert_eq!(stage.come_back(&query, &state).await.summary(), "200");
    assert_eq!(stage.come_back(&query, &state).await.summary(), unknown);

    let path = "/integrations/shopify/install";
    let bad = stage.server.post(path, &json!({"shop": "evil.test"})).await;
    assert_eq!(bad.summary(), "422 invalid /shop:malformed");
    let link = stage.server.post(path, &json!({"shop": SHOP})).await.json();
    let link = link["url"]
        .as_str()
        .unwrap()
        .split_once(".org")
        .unwrap()
        .1
        .to_owned();
    let altered = stage.browse(&format!("{link}x"), "").await;
    assert_eq!(altered.summary(), "401 bad_signature");
    stage.clock.advance(Duration::DAY);
    assert_eq!(stage.browse(&link, "").await.summary(), "401 bad_signature");
}

/// The shop takes its time to answer, and the account is disabled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn no_shop_is_connected_to_an_account_that_was_disabled_meanwhile() {
    let stage = stage().await;
    let owner = stage.server.get("/v1/account").await.json();
    let owner: UserId = owner["id"].as_str().unwrap().parse().unwrap();
    let state = stage.begin().await;
    let query = signed(SHOP, "c0de", &state);
    let (open, gate) = oneshot::channel();
    *stage.shop.gate.lock() = Some(gate);
    let disable = async {
        samplit_tests::eventually(async || !stage.shop.asked.lock().is_empty()).await;
        let off = UserChange {
            role: None,
            disabled: Some(true),
        };
        let system = Principal::system();
        let off = stage.server.engine.update_user(&system, owner, off, None);
        off.await.unwrap();
        open.send(()).unwrap();
    };
    let (back, ()) = tokio::join!(stage.come_back(&query, &state), disable);
    assert_eq!(back.summary(), "409 unknown_state");
    assert_eq!(stage.shop.asked().len(), 1, "no script was put in");
    let client = samplit_tests::connect(stage.database.url()).await;
    let count = "SELECT count(*) FROM platform_installations";
    let count: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_takes_us_out_is_forgotten_and_may_come_back() {
    let stage = stage().await;
    let site = stage.connect().await;
    let script = format!("/s/{}.js", site["token"].as_str().unwrap());
    assert_eq!(stage.server.get(&script).await.status, 200);
    let told = stage
        .tell("app/uninstalled", "d1", fixture!("app_uninstalled"))
        .await;
    assert_eq!(told.summary(), "200");
    assert_eq!(stage.installation().await["status"], "uninstalled");
    assert_eq!(stage.oauth_data().await, None);
    assert_eq!(
        stage.server.get(&script).await.summary(),
        "401 unknown_installation"
    );
    let back = stage.connect().await;
    assert_eq!(
        (&back["id"], &back["status"]),
        (&site["id"], &json!("active"))
    );
    let path = format!("/v1/activity?subject={}", site["id"].as_str().unwrap());
    let noted = stage.server.get(&path).await.json();
    let noted = noted["data"].as_array().unwrap().iter();
    let mut noted: Vec<_> = noted
        .map(|done| (&done["action"], &done["actor"]["kind"]))
        .map(|(action, actor)| {
            format!(
                "{} by {}",
                action.as_str().unwrap(),
                actor.as_str().unwrap()
            )
        })
        .collect();
    // The clock stands still, so they are in no order.
    noted.sort();
    let expected = [
        "shop.connected by user",
        "shop.connected by user",
        "shop.removed by system",
    ];
    assert_eq!(noted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_takes_the_script_out_with_a_fresh_token() {
    let stage = stage().await;
    let site = stage.connect().await;
    stage.shop.asked();
    stage.clock.advance(Duration::HOUR);
    let path = format!(
        "/integrations/shopify/{}/uninstall",
        site["id"].as_str().unwrap()
    );
    let gone = stage.server.post(&path, &json!({})).await;
    assert_eq!(gone.json()["status"], "uninstalled", "{}", gone.text());
    let asked = stage.shop.asked();
    assert!(asked[0].contains("\"refresh_token\":\"shprt_"), "{asked:?}");
    assert!(
        asked[0].contains("\"grant_type\":\"refresh_token\""),
        "{asked:?}"
    );
    assert!(
        asked[1].contains("no script") && asked[1].contains("ScriptTag/870402688"),
        "{asked:?}"
    );
    assert_eq!(stage.oauth_data().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_or_a_secret_it_says_what_to_set() {
    let (server, _database) = crate::support::server(HttpConfig::default()).await;
    let path = "/integrations/shopify/install";
    let answer = server.post(path, &json!({"shop": SHOP})).await;
    assert_eq!(answer.summary(), "409 no_shopify");
    let request = server.request(Method::POST, "/integrations/shopify/webhooks");
    let answer = server
        .send(request.body(Full::from(Bytes::from("{}"))).unwrap())
        .await;
    assert_eq!(answer.summary(), "409 no_shopify");
}

/// The query that ends a grant is signed with the secret that signs hooks, and headers are not signed.

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_of_himself_to_be_a_shop() {
    let stage = stage().await;
    let site = stage.connect().await;
    let body = json!({"name": "Mine", "domain": "victim.myshopify.com", "platform": "shopify"});
    let made = stage.server.post("/v1/installations", &body).await;
    assert_eq!(made.summary(), "422 invalid /platform:conflict");
    let path = format!("/v1/installations/{}", site["id"].as_str().unwrap());
    for (change, expected) in [
        (
            json!({"domain": "mine.test"}),
            "422 invalid /domain:conflict",
        ),
        (
            json!({"platform": "custom"}),
            "422 invalid /platform:conflict",
        ),
        (json!({"name": "Snow"}), "200"),
    ] {
        assert_eq!(stage.server.patch(&path, &change).await.summary(), expected);
    }
    // Nor does anybody bring back a shop that went: it may be another account's by now.
    stage
        .tell("app/uninstalled", "d1", fixture!("app_uninstalled"))
        .await;
    for status in ["active", "disabled"] {
        let answer = stage.server.patch(&path, &json!({"status": status})).await;
        assert_eq!(answer.summary(), "422 invalid /status:conflict", "{status}");
    }
    assert_eq!(stage.installation().await["status"], "uninstalled");
    assert_eq!(stage.connect().await["status"], "active");
}

/// Whoever has a shop of the same app has orders that are truly signed, and which name no shop. The
/// headers that say whose they are and what they are about are not signed.

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_connects_again_has_one_script() {
    let stage = stage().await;
    stage.connect().await;
    stage.shop.asked();
    stage.connect().await;
    let asked = stage.shop.asked();
    let place = |part: &str| asked.iter().position(|line| line.contains(part));
    let (made, gone) = (
        place(" script {"),
        place("no script {\"id\":\"gid://shopify/ScriptTag/870402688\"}"),
    );
    assert!(made < gone && made.is_some(), "{asked:?}");
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402689") && !kept.contains("870402688"),
        "{kept}"
    );

    // The shop refuses half-way: what it has is known all the same, and taken out the next time.
    stage.shop.refuses_hooks.store(true, Ordering::Relaxed);
    let state = stage.begin().await;
    let back = stage.come_back(&signed(SHOP, "c0de", &state), &state).await;
    assert_eq!(back.summary(), "502 shop_failed");
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402689") && kept.contains("870402690"),
        "{kept}"
    );
    stage.shop.refuses_hooks.store(false, Ordering::Relaxed);
    stage.shop.asked();
    let site = stage.connect().await;
    let asked = stage.shop.asked().join("\n");
    for gone in ["870402689", "870402690"] {
        let gone = format!("no script {{\"id\":\"gid://shopify/ScriptTag/{gone}\"}}");
        assert!(asked.contains(&gone), "{asked}");
    }
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402691") && !kept.contains("870402690"),
        "{kept}"
    );

    // Its owner takes it out: the script, and what it was asked to tell.
    let path = format!(
        "/integrations/shopify/{}/uninstall",
        site["id"].as_str().unwrap()
    );
    stage.server.post(&path, &json!({})).await;
    let asked = stage.shop.asked().join("\n");
    assert!(asked.contains("ScriptTag/870402691"), "{asked}");
    assert!(
        asked.contains("no hook {\"id\":\"gid://shopify/WebhookSubscription/"),
        "{asked}"
    );
}

/// The address that a shop was told outlives the secret which it was sealed with.

#[tokio::test(flavor = "multi_thread")]
async fn connecting_again_seals_with_the_secret_of_today() {
    let stage = stage().await;
    stage.connect().await;
    let told = stage.shop.hook.lock().clone();
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[6; 32], [5; 32]]).await;
    stage.connect().await;
    assert_eq!(*stage.shop.hook.lock(), told);
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[6; 32]]).await;
    let order = fixture!("orders_create");
    let answer = stage.tell_at(&told, "orders/create", "d1", order).await;
    assert_eq!(answer.summary(), "200");

    // Where the secret is lost, the shop is told another address, and the old one means nothing.
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[7; 32]]).await;
    stage.connect().await;
    assert_ne!(*stage.shop.hook.lock(), told);
    let answer = stage.tell_at(&told, "orders/create", "d2", order).await;
    assert_eq!(answer.summary(), "401 bad_signature");
}

/// The shop agrees to tell of orders and to nothing else: what it agreed to is known, and ended.

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shop_did_before_it_refused_is_undone_in_the_end() {
    let stage = stage().await;
    stage.shop.refuses_hooks.store(true, Ordering::Relaxed);
    let state = stage.begin().await;
    let back = stage.come_back(&signed(SHOP, "c0de", &state), &state).await;
    assert_eq!(back.summary(), "502 shop_failed");
    stage.shop.asked();
    let site = stage.installation().await;
    let id = site["id"].as_str().unwrap();
    let path = format!("/integrations/shopify/{id}/uninstall");
    assert_eq!(stage.server.post(&path, &json!({})).await.summary(), "200");
    let asked = stage.shop.asked().join("\n");
    for gone in ["ScriptTag/870402688", "WebhookSubscription/892403750"] {
        assert_eq!(asked.matches(gone).count(), 1, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_connects_a_shop_to_a_disabled_account() {
    let stage = stage().await;
    let state = stage.begin().await;
    let path = "/integrations/shopify/install";
    let link = stage.server.post(path, &json!({"shop": SHOP})).await.json();
    let link = link["url"].as_str().unwrap().split_once(".org").unwrap().1;
    let client = samplit_tests::connect(stage.database.url()).await;
    let off = "UPDATE users SET disabled_at = now() WHERE email = 'owner@example.org'";
    client.batch_execute(off).await.unwrap();
    let query = signed(SHOP, "c0de", &state);
    let back = stage.come_back(&query, &state).await;
    assert_eq!(back.summary(), "409 unknown_state");
    assert_eq!(stage.shop.asked(), [""; 0]);
    assert_eq!(stage.browse(link, "").await.summary(), "401 bad_signature");
}
