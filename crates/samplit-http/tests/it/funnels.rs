//! Funnels as a client sees them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Server, check, server};

/// The id of a node or an edge, as a canvas would make it.
fn made_id(number: usize) -> String {
    format!("6ba7b810-9dad-41d1-80b4-00c04fd4{number:04}")
}

fn buy() -> Json {
    json!({"type": "click", "selector": {"type": "css", "value": "#buy"}})
}

/// One of each type, with each condition.
fn funnel(experiment: &Json) -> Json {
    let variant = &experiment["elements"][0]["variants"][1]["id"];
    let nodes = json!([
        {"type": "page", "config": {"url": "https://shop.test/*"}, "experiment_id": experiment["id"]},
        {"type": "decision", "config": {}},
        {"type": "action", "config": {"trigger": buy()}},
        {"type": "wait", "config": {"hours": 24}},
        {"type": "conversion", "config": {"trigger": {"type": "page_view", "url": "https://shop.test/thanks"}}},
    ]);
    let mut nodes = nodes.as_array().unwrap().clone();
    for (at, node) in nodes.iter_mut().enumerate() {
        node["id"] = json!(made_id(at));
        node["name"] = json!(format!("Step {at}"));
        node["x"] = json!([0.0, 200.0, 420.5, 420.5, 800.0][at]);
        node["y"] = json!(-0.5);
        // As answers have it.
        if node.get("experiment_id").is_none() {
            node["experiment_id"] = Json::Null;
        }
    }
    let edges = [
        (0, 1, json!({"type": "always"})),
        (
            1,
            2,
            json!({"type": "segment", "key": "device", "value": "mobile"}),
        ),
        (
            1,
            3,
            json!({"type": "variant", "experiment_id": experiment["id"], "variant_id": variant}),
        ),
        (2, 4, json!({"type": "event", "name": "paid"})),
        (3, 4, json!({"type": "always"})),
    ];
    let edges = edges
        .into_iter()
        .enumerate()
        .map(|(at, (source, target, condition))| {
            json!({
                "id": made_id(100 + at), "source": made_id(source), "target": made_id(target),
                "condition": condition,
            })
        });
    json!({
        "name": "Checkout", "description": "From the shop to the order", "window_hours": 72,
        "viewport": {"x": -10.5, "y": 0.0, "zoom": 1.25},
        "nodes": nodes, "edges": edges.collect::<Vec<_>>(),
    })
}

async fn running(server: &Server) -> Json {
    let path = server.started().await;
    server.get(&path).await.json()
}

async fn patch(server: &Server, path: &str, tag: &str, body: &Json) -> Answer {
    let request = server.request(Method::PATCH, path).header("if-match", tag);
    server
        .send(request.body(Full::from(body.to_string())).unwrap())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funnel_lives_from_its_drawing_to_the_archive() {
    let (server, _database) = server(HttpConfig::default()).await;
    let experiment = running(&server).await;
    let drawn = funnel(&experiment);
    let made = server.post("/v1/funnels", &drawn).await;
    assert_eq!(made.summary(), "201", "{}", made.text());
    let funnel = made.json();
    let path = format!("/v1/funnels/{}", funnel["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!(made.header("etag"), "\"v1\"");
    assert_eq!(
        (&funnel["status"], &funnel["version"]),
        (&json!("draft"), &json!(1))
    );
    assert_eq!(funnel["activated_at"], Json::Null);
    for (field, value) in drawn.as_object().unwrap() {
        assert_eq!(&funnel[field], value, "{field}");
    }
    assert_eq!(server.get(&path).await.json(), funnel);

    let list = server.get("/v1/funnels?limit=1").await.json();
    let listed = &list["data"][0];
    assert_eq!((&listed["nodes"], &listed["edges"]), (&json!(5), &json!(5)));
    assert_eq!(
        (&listed["name"], &list["next_cursor"]),
        (&json!("Checkout"), &Json::Null)
    );

    // Unfinished is saved all the same, and told.
    let mut nodes = drawn["nodes"].clone();
    nodes[0]["config"] = json!({});
    nodes[3]["config"]["hours"] = json!(0);
    let saved = patch(&server, &path, "\"v1\"", &json!({"nodes": nodes})).await;
    assert_eq!(
        (saved.summary(), saved.header("etag")),
        ("200".to_owned(), "\"v2\"")
    );
    assert_eq!(saved.json()["edges"], drawn["edges"]);
    let stale = patch(&server, &path, "\"v1\"", &json!({"nodes": nodes})).await;
    assert_eq!(stale.summary(), "412 version_mismatch");
    let faults = server.get(&format!("{path}/check")).await.json();
    let faults = faults["data"].as_array().unwrap();
    let told = faults.iter().map(|fault| {
        let text = |name: &str| fault[name].as_str().unwrap_or("-").to_owned();
        [
            text("node_id"),
            text("edge_id"),
            text("pointer"),
            text("code"),
        ]
        .join(" ")
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            format!("{} - /nodes/0/config/url required", made_id(0)),
            format!("{} - /nodes/3/config/hours out_of_range", made_id(3)),
        ]
    );
    let refused = server.post(&format!("{path}/activate"), &json!({})).await;
    assert_eq!(
        refused.summary(),
        "422 invalid /nodes/0/config/url:required /nodes/3/config/hours:out_of_range"
    );

    let mended = json!({"nodes": drawn["nodes"], "description": null});
    let mended = server.patch(&path, &mended).await.json();
    assert_eq!(
        (&mended["description"], &mended["version"]),
        (&Json::Null, &json!(3))
    );
    assert_eq!(
        server.get(&format!("{path}/check")).await.json(),
        json!({"data": []})
    );
    for (step, status) in [
        ("activate", "active"),
        ("pause", "paused"),
        ("resume", "active"),
        ("archive", "archived"),
    ] {
        let done = server.post(&format!("{path}/{step}"), &json!({})).await;
        assert_eq!(done.json()["status"], status, "{}", done.text());
        assert!(done.json()["activated_at"].is_string());
        let shape = json!({"edges": []});
        check(
            &server,
            Method::PATCH,
            &path,
            &shape.to_string(),
            "409 not_a_draft",
        )
        .await;
    }
    check(
        &server,
        Method::POST,
        &format!("{path}/activate"),
        "{}",
        "409 illegal_transition",
    )
    .await;

    let copy = server.post(&format!("{path}/duplicate"), &json!({})).await;
    assert_eq!(copy.summary(), "201", "{}", copy.text());
    let copy = copy.json();
    assert_eq!(
        (&copy["name"], &copy["status"]),
        (&json!("Checkout (copy)"), &json!("draft"))
    );
    assert_ne!(copy["nodes"][0]["id"], drawn["nodes"][0]["id"]);
    assert_eq!(copy["edges"][0]["source"], copy["nodes"][0]["id"]);
    let drafts = server.get("/v1/funnels?status=draft").await.json();
    assert_eq!(drafts["data"].as_array().unwrap().len(), 1);
    assert_eq!(drafts["data"][0]["id"], copy["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_left_out_are_made() {
    let (server, _database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Bare", "nodes": [
        {"type": "page"}, {"type": "action"}, {"type": "decision"}, {"type": "wait"}, {"type": "conversion"},
    ]});
    let made = server.post("/v1/funnels", &body).await.json();
    assert_eq!(made["window_hours"], 168);
    assert_eq!(made["viewport"], json!({"x": 0.0, "y": 0.0, "zoom": 1.0}));
    let configs = made["nodes"].as_array().unwrap().iter();
    let configs: Vec<_> = configs.map(|node| node["config"].clone()).collect();
    let (url, hours) = (json!({"url": null}), json!({"hours": null}));
    let trigger = json!({"trigger": null});
    assert_eq!(configs, [url, trigger.clone(), json!({}), hours, trigger]);
    let (a, b) = (&made["nodes"][0]["id"], &made["nodes"][1]["id"]);
    assert_ne!(a, b);
    let path = format!("/v1/funnels/{}", made["id"].as_str().unwrap());
    let edge = json!({"edges": [{"source": a, "target": b}]});
    let saved = server.patch(&path, &edge).await.json();
    assert_eq!(saved["edges"][0]["condition"], json!({"type": "always"}));
    assert!(saved["edges"][0]["id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_named_and_nothing_is_stored() {
    let (server, _database) = server(HttpConfig::default()).await;
    let (a, b) = (made_id(1), made_id(2));
    let whole = |nodes: Json, edges: Json| json!({"name": "F", "nodes": nodes, "edges": edges});
    for (body, expected) in [
        (json!({}), "422 invalid /name:required"),
        (
            json!({"name": "F", "window_hours": 2161, "viewport": {"zoom": 0}, "colour": 1}),
            "422 invalid /colour:unknown_field",
        ),
        (
            json!({"name": " ", "window_hours": 0, "viewport": {"zoom": 0, "x": 1e9}}),
            "422 invalid /name:required /window_hours:out_of_range /viewport/x:out_of_range \
             /viewport/zoom:out_of_range",
        ),
        (
            json!({"name": "F", "window_hours": u64::MAX}),
            "422 invalid /window_hours:out_of_range",
        ),
        (
            json!({"name": "F", "window_hours": -1, "nodes": {}, "edges": [1]}),
            "422 invalid /window_hours:wrong_type /nodes:wrong_type /edges/0:wrong_type",
        ),
        (
            whole(
                json!([
                    {"id": "x", "type": "page", "x": "left"},
                    {"type": "door", "config": {"url": "https://a.test/"}},
                    {"config": {"hours": 1.5}},
                    {"type": "wait", "config": {"hours": 1, "url": "https://a.test/", "depth": 2}},
                    {"type": "action", "config": {"trigger": {"type": "scroll"}}},
                    {"type": "conversion", "config": {"trigger": {"type": "click"}}},
                ]),
                json!([]),
            ),
            "422 invalid /nodes/0/id:unknown_value /nodes/0/x:wrong_type /nodes/1/type:unknown_value \
             /nodes/2/type:required /nodes/2/config/hours:wrong_type \
             /nodes/3/config/url:unknown_field /nodes/3/config/depth:unknown_field \
             /nodes/4/config/trigger/type:unknown_value \
             /nodes/5/config/trigger/selector:required",
        ),
        (
            whole(
                json!([{"id": a, "type": "page"}, {"id": a, "type": "page"}]),
                json!([{"source": a, "target": b}]),
            ),
            "422 invalid /nodes/1/id:duplicate /edges/0/target:dangling",
        ),
        (
            whole(
                json!([{"id": a, "type": "page"}]),
                json!([
                    {"source": a, "condition": {}},
                    {"source": a, "target": a, "condition": {"type": "segment", "key": 1}},
                    {"source": a, "target": a, "condition": {"type": "luck"}},
                    {"source": a, "target": a, "condition": {"type": "variant", "variant_id": "v"}},
                ]),
            ),
            "422 invalid /edges/0/target:required /edges/0/condition/type:required \
             /edges/1/condition/key:wrong_type /edges/1/condition/value:required \
             /edges/2/condition/type:unknown_value /edges/3/condition/variant_id:unknown_value",
        ),
        (
            whole(json!([{"type": "page", "name": "a\0"}]), json!([])),
            "422 invalid /nodes/0/name:nul_character",
        ),
    ] {
        check(
            &server,
            Method::POST,
            "/v1/funnels",
            &body.to_string(),
            expected,
        )
        .await;
    }
    for query in ["?status=gone", "?limit=0", "?cursor=x", "?order=name"] {
        let answer = server.get(&format!("/v1/funnels{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
    }
    let none = server.get("/v1/funnels").await.json();
    assert_eq!(none["data"], json!([]));
    let nobody = format!("/v1/funnels/{}", made_id(1));
    for path in [nobody.as_str(), "/v1/funnels/1"] {
        assert_eq!(server.get(path).await.summary(), "404 not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_made_once_under_a_key() {
    let (server, _database) = server(HttpConfig::default()).await;
    let made = server.post("/v1/funnels", &json!({"name": "F"})).await;
    let path = format!("{}/duplicate", made.header("location"));
    let copy = async |key: &str| {
        let request = server.request(Method::POST, &path);
        let request = request.header("idempotency-key", key);
        server.send(request.body(Full::default()).unwrap()).await
    };
    let first = copy("k").await;
    assert_eq!(first.summary(), "201", "{}", first.text());
    let again = copy("k").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, first.body);
    assert_ne!(copy("other").await.body, first.body);
    let list = server.get("/v1/funnels").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
}
