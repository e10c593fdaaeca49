//! Exports over HTTP: what comes out is what went in, for spreadsheets and for programs.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_engine::{NewApiKey, Role, Scope};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{NOBODY, Server, check, create_key, server};

const TABLES: [&str; 4] = ["assignments", "conversions", "results", "timeline"];

/// What a database that was adopted may hold: visitor, session, event and context.
const ODD: [(&str, Option<&str>, Option<&str>, &str); 9] = [
    ("plain", None, None, "null"),
    ("a,b;c|d\te", Some(""), Some("e-1"), "{}"),
    ("\"quoted\"", Some("\""), Some("\"\""), r#"{"a": "\"b\""}"#),
    (
        "two\nlines",
        Some("two\r\nlines"),
        Some("\r"),
        r#"{"a": "b\nc"}"#,
    ),
    ("=1+1", Some("=cmd|'/C calc'!A0"), Some("=1"), "{}"),
    ("+1", Some("-1"), Some("@SUM(A1)"), "{}"),
    ("'=1", Some("'"), Some("\t=1"), "[1, 2]"),
    (
        "żółć 漢字 🚀",
        Some("＝1"),
        Some("\u{202e}abc"),
        r#"{"ż": "🚀"}"#,
    ),
    ("null", Some("NULL"), Some("\\N"), "7"),
];

/// The path of a running experiment with the odd visitors, all of whom converted, and two of today.
async fn odd(server: &Server, database: &samplit_devpg::TestDatabase) -> String {
    let path = format!(
        "/v1/experiments/{}",
        server.create(&crate::support::draft()).await
    );
    let id: uuid::Uuid = path.rsplit('/').next().unwrap().parse().unwrap();
    let client = samplit_tests::connect(database.url()).await;
    for (visitor, session, event, context) in ODD {
        let insert = "INSERT INTO assignments (experiment_id, user_identifier, session_id, \
            conversion_event_id, context, variant_id, converted_at, conversion_value) \
            SELECT $1, $2, $3, $4, $5::text::jsonb, v.id, now(), -0.5 FROM element_variants v LIMIT 1";
        client
            .execute(insert, &[&id, &visitor, &session, &event, &context])
            .await
            .unwrap();
    }
    let started = server.post(&format!("{path}/start"), &json!({})).await;
    assert_eq!(started.summary(), "200");
    for name in ["today", "=today"] {
        let visitor = json!({"visitor_id": name});
        for step in ["assign", "convert"] {
            let done = server.post(&format!("{path}/{step}"), &visitor).await;
            assert_eq!(done.summary(), "200");
        }
    }
    path
}

/// The lines of an NDJSON export.
fn objects(text: &str) -> Vec<Json> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_value_comes_back_in_both_formats() {
    let (server, database) = server(HttpConfig::default()).await;
    let path = odd(&server, &database).await;
    for table in TABLES {
        let lines = server
            .get(&format!("{path}/export/{table}?format=ndjson"))
            .await;
        assert_eq!(lines.header("content-type"), "application/x-ndjson");
        let lines = objects(lines.text());
        let sheet = server.get(&format!("{path}/export/{table}")).await;
        assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8");
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(
            sheet.header("content-disposition"),
            format!("attachment; filename=\"{id}-{table}.csv\"")
        );
        let mut reader = csv::Reader::from_reader(sheet.text().as_bytes());
        let head = reader.headers().unwrap().clone();
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), lines.len(), "{table}");
        for (record, object) in records.iter().zip(&lines) {
            let names: Vec<&str> = object.as_object().unwrap().keys().map(|k| &**k).collect();
            assert_eq!(names.len(), head.len(), "{table}");
            for (name, cell) in head.iter().zip(record) {
                // Results are computed anew each time.
                if name == "as_of" {
                    continue;
                }
                match &object[name] {
                    // Of a column of JSON there is a null that is a value.
                    Json::Null if name == "context" => assert!(["", "null"].contains(&cell)),
                    Json::Null => assert_eq!(cell, "", "{name}"),
                    Json::String(text) => {
                        assert!(
                            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                            "{cell:?}"
                        );
                        let undone = cell.strip_prefix('\'').unwrap_or(cell);
                        assert_eq!(undone, text, "{name}");
                    }
                    value => assert_eq!(serde_json::from_str::<Json>(cell).unwrap(), *value),
                }
            }
        }
    }
    for (table, event) in [("assignments", false), ("conversions", true)] {
        let lines = server
            .get(&format!("{path}/export/{table}?format=ndjson"))
            .await;
        let lines = objects(lines.text());
        assert_eq!(lines.len(), ODD.len() + 2);
        for (visitor, session, id, context) in ODD {
            let found = lines
                .iter()
                .find(|line| line["visitor_id"] == visitor)
                .unwrap();
            if event {
                assert_eq!(found["event_id"], json!(id));
            } else {
                assert_eq!(found["session_id"], json!(session));
            }
            let context: Json = serde_json::from_str(context).unwrap();
            assert_eq!(
                (&found["context"], &found["value"]),
                (&context, &json!(-0.5))
            );
        }
        assert_eq!(lines[ODD.len()]["visitor_id"], "today");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_put_together_are_the_whole_byte_by_byte() {
    let (server, database) = server(HttpConfig::default()).await;
    let path = odd(&server, &database).await;
    for table in ["assignments", "conversions", "timeline"] {
        let lines = server
            .get(&format!("{path}/export/{table}?format=ndjson"))
            .await;
        let cursors = objects(lines.text());
        for format in ["csv", "ndjson"] {
            let question = format!("{path}/export/{table}?format={format}");
            let whole = server.get(&question).await;
            for cursor in &cursors {
                let cursor = cursor["cursor"].as_str().unwrap();
                let rest = server.get(&format!("{question}&after={cursor}")).await;
                assert_eq!(rest.summary(), "200");
                let (before, after) = whole
                    .text()
                    .split_at(whole.text().len() - rest.text().len());
                assert_eq!(after, rest.text(), "{table} {cursor}");
                // Cut anywhere in the row behind, what arrived whole ends here.
                assert!(
                    before.ends_with('\n') && before.contains(cursor),
                    "{cursor}"
                );
            }
            let last = cursors.last().unwrap()["cursor"].as_str().unwrap();
            let nothing = server.get(&format!("{question}&after={last}")).await;
            assert_eq!((nothing.summary().as_str(), nothing.text()), ("200", ""));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_for_those_who_may_read_the_experiment() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let other = create_key(&server.engine, "other@example.org", Scope::ALL.to_vec()).await;
    let writer = create_key(&server.engine, "owner@example.org", vec![Scope::Assign]).await;
    let reader = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    for table in TABLES {
        let export = format!("{path}/export/{table}");
        for (key, expected) in [
            (&other, "404 not_found"),
            (&writer, "403 forbidden"),
            (&reader, "200"),
            (&"sk_nobody".to_owned(), "401 unauthenticated"),
        ] {
            let mut request = server.request(Method::GET, &export);
            let headers = request.headers_mut().unwrap();
            headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
            let answer = server.send(request.body(Default::default()).unwrap()).await;
            assert_eq!(answer.summary(), expected, "{table}");
        }
        let get = Method::GET;
        check(
            &server,
            get.clone(),
            &format!("{NOBODY}/export/{table}"),
            "",
            "404 not_found",
        )
        .await;
        for (query, expected) in [
            ("format=xlsx", "422 invalid ?format:unknown_value"),
            ("after=x", "422 invalid ?after:malformed"),
            ("before=1", "422 invalid ?before:unknown_parameter"),
        ] {
            check(
                &server,
                get.clone(),
                &format!("{export}?{query}"),
                "",
                expected,
            )
            .await;
        }
    }
    check(
        &server,
        Method::GET,
        &format!("{path}/export/visitors"),
        "",
        "404 not_found",
    )
    .await;
    let draft = server.create(&crate::support::draft()).await;
    let results = format!("/v1/experiments/{draft}/export/results");
    let expected = "409 experiment_not_running";
    check(&server, Method::GET, &results, "", expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_at_once_the_ninth_and_the_third_of_one_are_told_to_wait_and_a_cut_makes_room()
{
    let (server, database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let id: uuid::Uuid = path.rsplit('/').next().unwrap().parse().unwrap();
    let client = samplit_tests::connect(database.url()).await;
    // More than what fits between a server and a client who takes nothing.
    let made_up = "INSERT INTO assignments (experiment_id, user_identifier, context) \
        SELECT $1, 'old' || n, jsonb_build_object('a', repeat('x', 1000)) \
        FROM generate_series(1, 30000) n";
    client.execute(made_up, &[&id]).await.unwrap();
    let export = format!("{path}/export/assignments");
    let mut readers = Vec::new();
    let mut keys = vec![server.key.clone()];
    for n in 0..4 {
        let new = NewApiKey {
            email: format!("admin{n}@example.org"),
            role: Role::Admin,
            name: "test".to_owned(),
            scopes: vec![Scope::Read],
            expires_at: None,
        };
        keys.push(server.engine.create_api_key(new).await.unwrap().token);
    }
    let status = async |key: &str| {
        let request = Request::get(format!("http://{}{export}", server.public))
            .header("authorization", format!("Bearer {key}"));
        let request = request.body(Full::default()).unwrap();
        server.send(request).await.summary()
    };
    for n in 0..8 {
        let key = &keys[n / 2];
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let request = format!(
            "GET {export} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            key
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        readers.push(stream);
        if n == 1 {
            assert_eq!(status(key).await, "503 too_many_exports");
        }
    }
    assert_eq!(status(&keys[4]).await, "503 too_many_exports");
    check(&server, Method::GET, &export, "", "503 too_many_exports").await;
    // Bundles are in the same line.
    let bundle = format!("{path}/audit/bundle");
    check(&server, Method::GET, &bundle, "", "503 too_many_exports").await;
    drop(readers.remove(0));
    samplit_tests::eventually(async || {
        server
            .get(&format!("{path}/export/timeline"))
            .await
            .summary()
            == "200"
    })
    .await;
}
