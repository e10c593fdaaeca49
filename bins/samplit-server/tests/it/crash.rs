//! SIGKILL in the middle of the load, again and again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{
    ANY_PORT, Json, Running, code, http, manager, migrated, on, run_on, stdout, try_http,
};

const ROUNDS: usize = 10;
const CLIENTS: usize = 8;
/// Answers after which a round's server is killed.
const ANSWERS: usize = 400;
const BATCH: usize = 10;

/// Asks for new visitors until the server is gone; gives back what was answered.
fn load(
    address: SocketAddr,
    token: &str,
    experiment: &str,
    next: &AtomicUsize,
    answered: &mpsc::Sender<()>,
) -> Vec<(String, Json)> {
    let path = format!("/v1/experiments/{experiment}/assign/batch");
    let mut answers = Vec::new();
    loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        let visitors: Vec<_> = (first..first + BATCH)
            .map(|n| format!("visitor-{n}"))
            .collect();
        let requests: Vec<_> = visitors
            .iter()
            .map(|v| json!({ "visitor_id": v }))
            .collect();
        let body = json!({ "requests": requests });
        let Ok((200, body)) = try_http(address, "POST", &path, Some(token), Some(&body)) else {
            return answers;
        };
        let Ok(body) = serde_json::from_str::<Json>(&body) else {
            return answers;
        };
        for (visitor, answer) in visitors
            .into_iter()
            .zip(body["results"].as_array().unwrap())
        {
            if answer["in_experiment"] == true {
                answers.push((visitor, answer.clone()));
                // The main thread has heard enough when it no longer listens.
                let _ = answered.send(());
            }
        }
    }
}

#[tokio::test]
async fn every_answered_assignment_survives_sigkill_once() {
    let database = migrated().await;
    let token = manager(&database);
    let next = AtomicUsize::new(0);
    let mut answers = HashMap::new();
    let mut experiment = String::new();
    for round in 0..ROUNDS {
        let mut server = Running::start(on(&database, &ANY_PORT));
        let (api, _) = server.addresses();
        if round == 0 {
            experiment = create_experiment(api, &token);
        }
        let (heard, answered) = mpsc::channel();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let heard = heard.clone();
                    let (token, experiment, next) = (&token, &experiment, &next);
                    scope.spawn(move || load(api, token, experiment, next, &heard))
                })
                .collect();
            assert_eq!(answered.iter().take(ANSWERS).count(), ANSWERS);
            server.signal(Signal::SIGKILL);
            for client in clients {
                answers.extend(client.join().unwrap());
            }
        });
    }
    assert!(answers.len() >= ROUNDS * ANSWERS);

    let mut server = Running::start(on(&database, &ANY_PORT));
    let (api, _) = server.addresses();
    let path = format!("/v1/experiments/{experiment}/audit/verify");
    let (status, verdict) = http(api, "GET", &path, Some(&token), None);
    let verdict: Json = serde_json::from_str(&verdict).unwrap();
    assert_eq!(
        (status, &verdict["sound"]),
        (200, &json!(true)),
        "{verdict}"
    );
    server.signal(Signal::SIGTERM);
    assert_eq!(code(&server.output()), 0);

    let (client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let rows = client
        .query(
            "SELECT user_identifier, id::text, variant_id::text FROM assignments",
            &[],
        )
        .await
        .unwrap();
    let mut stored = HashMap::<String, (String, String)>::new();
    for row in rows {
        let twice = stored.insert(row.get(0), (row.get(1), row.get(2)));
        assert!(twice.is_none(), "{} has two rows", row.get::<_, String>(0));
    }
    for (visitor, answer) in &answers {
        let (id, variant) = &stored[visitor];
        assert_eq!(&answer["assignment_id"], id, "{visitor}");
        assert_eq!(&answer["variants"][0]["variant_id"], variant, "{visitor}");
    }
    drop(client);
    connection.await.unwrap().unwrap();
    let doctor = run_on(&database, &["doctor"]);
    assert_eq!(code(&doctor), 0, "{}", stdout(&doctor));
}

fn create_experiment(api: SocketAddr, token: &str) -> String {
    let draft = json!({
        "name": "crash",
        "elements": [{ "name": "h1", "variants": [
            { "name": "A", "content": {}, "is_control": true },
            { "name": "B", "content": {} },
        ] }],
    });
    let (status, made) = http(api, "POST", "/v1/experiments", Some(token), Some(&draft));
    assert_eq!(status, 201, "{made}");
    let made: Json = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    let start = format!("/v1/experiments/{id}/start");
    assert_eq!(http(api, "POST", &start, Some(token), None).0, 200);
    id
}
