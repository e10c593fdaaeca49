//! `serve` as pages of other origins meet it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::json;

use crate::support::{
    ANY_PORT, Json, Running, code, command, from_page, http, manager, migrated, on, stdout,
};

fn parsed(answer: (u16, String), status: u16) -> Json {
    let (found, text) = answer;
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_site_is_verified_shown_an_experiment_and_counted() {
    let database = migrated().await;
    let key = manager(&database);
    let more = ["--fetch-loopback", "--public-url", "https://ab.example.org"];
    let proxies = ["--trusted-proxy", "127.0.0.1", "--page-rate-limit", "1"];
    let arguments = [&ANY_PORT[..], &more[..], &proxies[..]].concat();
    let mut server = Running::start(on(&database, &arguments));
    let (api, _) = server.addresses();
    let call =
        |method: &str, path: &str, body: &Json| http(api, method, path, Some(&key), Some(body));

    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let domain = page.local_addr().unwrap().to_string();
    let origin = format!("http://{domain}");
    let site = json!({"name": "Shop", "domain": domain});
    let site = parsed(call("POST", "/v1/installations", &site), 201);
    let token = site["token"].as_str().unwrap().to_owned();
    let path = |rest: &str| format!("/v1/installations/{}/{rest}", site["id"].as_str().unwrap());
    let code = parsed(call("GET", &path("snippet"), &json!({})), 200);
    let script = format!("https://ab.example.org/s/{token}.js");
    assert_eq!(code["script_url"], script.as_str());

    let html = code["html"].as_str().unwrap().to_owned();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = page.accept().unwrap();
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", html.len());
        stream
            .write_all(format!("{head}{html}").as_bytes())
            .unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let verified = parsed(call("POST", &path("verify"), &json!({})), 200);
    assert_eq!(verified["verified"], true, "{verified}");
    assert!(served.join().unwrap().starts_with("GET / HTTP/1.1\r\n"));

    let draft = json!({
        "name": "Button",
        "target_url": format!("{origin}/pri*"),
        "elements": [{"name": "buy", "selector": {"type": "id", "value": "buy"}, "variants": [
            {"name": "grey", "content": {}, "is_control": true},
            {"name": "green", "content": {"text": "Buy"}}
        ]}]
    });
    let experiment = parsed(call("POST", "/v1/experiments", &draft), 201);
    let id = experiment["id"].as_str().unwrap();
    parsed(
        call("POST", &format!("/v1/experiments/{id}/start"), &json!({})),
        200,
    );
    let url = format!("{origin}/pricing");
    let body = json!({"token": token, "url": url, "visitor_id": "v"});
    let ask = |address| from_page(api, "/v1/page", (&origin, address), &body);
    let shown = parsed(ask("192.0.2.1"), 200);
    assert_eq!(shown["experiments"][0]["id"], id);
    assert_eq!(shown["selectors"][0]["css"], json!(["[id=\"buy\"]"]));
    // Each address has its own limit, as the proxy is trusted.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| ask("192.0.2.1").0))
            .collect();
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    assert!(answers.contains(&429), "{answers:?}");

    let events = json!({"token": token, "visitor_id": "v", "events": [
        {"type": "exposure", "experiment_id": id, "event_id": "1"},
        {"type": "conversion", "experiment_id": id, "event_id": "2"},
    ]});
    let counted = from_page(api, "/v1/events", (&origin, "192.0.2.2"), &events);
    let counted = parsed(counted, 200);
    for result in counted["results"].as_array().unwrap() {
        assert_eq!(result["status"], "recorded", "{counted}");
    }
    let elsewhere = from_page(
        api,
        "/v1/events",
        ("https://evil.test", "192.0.2.3"),
        &events,
    );
    assert_eq!(parsed(elsewhere, 403)["code"], "origin_not_allowed");
    let results = call("GET", &format!("/v1/experiments/{id}/results"), &json!({}));
    let results = parsed(results, 200);
    assert_eq!(
        (&results["visitors"], &results["conversions"]),
        (&json!(1), &json!(1))
    );
    let arms = results["elements"][0]["arms"].as_array().unwrap().iter();
    assert_eq!(
        arms.map(|arm| arm["exposures"].as_u64().unwrap())
            .sum::<u64>(),
        1
    );
    server.terminate();
}

#[test]
fn config_check_shows_how_pages_are_reached() {
    let checked = command(&["config", "check", "--output", "json"])
        .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
        .env("SAMPLIT_KEYS", crate::support::KEYS)
        .env("SAMPLIT_TRUSTED_PROXIES", "10.0.0.7/8,2001:db8::/32")
        .env("SAMPLIT_PUBLIC_URL", "https://AB.example.org:443")
        .output()
        .unwrap();
    let text = stdout(&checked);
    assert_eq!(code(&checked), 0, "{text}");
    for shown in ["10.0.0.0/8", "2001:db8::/32", "\"https://ab.example.org\""] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
}
