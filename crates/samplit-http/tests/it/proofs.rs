//! Checkpoints, proofs, receipts and bundles, verified with nothing but what the API gave.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use hyper::Method;
use samplit_audit::receipt::{self, ReceiptOptions};
use samplit_audit::{Checkpoint, Hash, Options, SignedCheckpoint, VerifyingKey, bundle, merkle};
use samplit_engine::Scope;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{
    Answer, NOBODY, Server, check, create_key, draft, server, signer, signing_server,
};

fn key() -> VerifyingKey {
    signer().verifying_key().clone()
}

/// The path of a running experiment with `visitors` visitors, the first of which converted.
async fn visited(server: &Server, visitors: usize) -> String {
    let path = server.started().await;
    for n in 0..visitors {
        let visitor = json!({"visitor_id": format!("visitor-{n}")});
        let assigned = server.post(&format!("{path}/assign"), &visitor).await;
        assert_eq!(assigned.summary(), "200");
    }
    let visitor = json!({"visitor_id": "visitor-0"});
    let converted = server.post(&format!("{path}/convert"), &visitor).await;
    assert_eq!(converted.summary(), "200");
    path
}

/// What a note says, if the server's key has signed it.
fn signed(note: &Answer) -> Checkpoint {
    assert_eq!(note.summary(), "200");
    assert_eq!(note.header("content-type"), "text/plain; charset=utf-8");
    let signed = SignedCheckpoint::parse(note.text()).unwrap();
    assert_eq!(signed.verify(&[key()]), Ok(1));
    let checkpoint = signed.checkpoint().clone();
    assert_eq!(note.header("samplit-size"), checkpoint.size.to_string());
    assert_eq!(note.header("samplit-incarnation"), "1");
    checkpoint
}

fn hashes(json: &Json) -> Vec<Hash> {
    let hashes = json.as_array().unwrap().iter();
    hashes
        .map(|hash| hash.as_str().unwrap().parse().unwrap())
        .collect()
}

fn hash(json: &Json) -> Hash {
    json.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_signed_and_prove_one_another() {
    let (server, _database) = signing_server().await;
    let path = visited(&server, 3).await;
    let of = |rest: &str| format!("{path}/audit/{rest}");
    assert_eq!(
        server.get(&of("checkpoint")).await.summary(),
        "404 not_found"
    );
    let first = signed(&server.post(&of("checkpoint"), &json!({})).await);
    let id = path.rsplit('/').next().unwrap();
    assert!(first.origin.ends_with(id), "{}", first.origin);
    assert_eq!(signed(&server.get(&of("checkpoint")).await), first);
    // Where nothing was added there is nothing new to sign.
    assert_eq!(
        signed(&server.post(&of("checkpoint"), &json!({})).await),
        first
    );

    let late = json!({"visitor_id": "late"});
    server.post(&format!("{path}/assign"), &late).await;
    let second = signed(&server.post(&of("checkpoint"), &json!({})).await);
    assert!(second.size > first.size);
    let question = format!("proof/consistency?first={}", first.size);
    let proof = server.get(&of(&question)).await.json();
    assert_eq!(proof["second"], second.size);
    assert_eq!(hash(&proof["first_root"]), first.root);
    assert_eq!(hash(&proof["second_root"]), second.root);
    let path_of_hashes = hashes(&proof["proof"]);
    let proves = |old: &Checkpoint| {
        merkle::verify_consistency(
            old.size,
            old.root,
            second.size,
            second.root,
            &path_of_hashes,
        )
    };
    assert!(proves(&first));
    let forged = Checkpoint {
        root: Hash::of(b"another"),
        ..first.clone()
    };
    assert!(!proves(&forged));

    let entries = server.get(&of("entries?after=2&limit=1")).await.json();
    let entry = &entries["data"][0];
    let question = format!("proof/inclusion?sequence=3&size={}", first.size);
    let proof = server.get(&of(&question)).await.json();
    assert_eq!(proof["leaf"], entry["current_hash"]);
    let leaf = hash(&proof["leaf"]);
    let steps = hashes(&proof["proof"]);
    assert!(merkle::verify_inclusion(
        2, first.size, leaf, &steps, first.root
    ));
    assert!(!merkle::verify_inclusion(
        1, first.size, leaf, &steps, first.root
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_shows_one_visitor_and_nobody_else() {
    let (server, _database) = signing_server().await;
    let path = visited(&server, 3).await;
    let of = |visitor: &str| format!("{path}/audit/receipt?visitor={visitor}");
    let answer = server.get(&of("visitor-0")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let options = ReceiptOptions {
        keys: vec![key()],
        visitor: None,
    };
    let report = receipt::verify(&answer.body, &options).unwrap();
    assert_eq!((report.assignments.len(), report.conversions.len()), (1, 1));
    assert_eq!(report.signatures, 1);
    // The visitor is in it by pseudonym only.
    assert!(!answer.text().contains("visitor-0"));
    let other = server.get(&of("visitor-1")).await;
    let other = receipt::verify(&other.body, &options).unwrap();
    assert_ne!(other.visitor, report.visitor);
    assert_eq!(other.conversions.len(), 0);
    assert_eq!(server.get(&of("nobody")).await.summary(), "404 not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_resumed_where_it_broke_off() {
    let (server, _database) = signing_server().await;
    let path = visited(&server, 5).await;
    let checkpoint = format!("{path}/audit/checkpoint");
    let size = signed(&server.post(&checkpoint, &json!({})).await).size;
    let of = |query: &str| format!("{path}/audit/bundle{query}");
    let whole = server.get(&of("")).await;
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    assert_eq!(whole.header("samplit-size"), size.to_string());
    let options = || Options {
        keys: vec![key()],
        replay: true,
        ..Options::default()
    };
    let report = bundle::verify(&whole.body[..], options()).unwrap();
    assert_eq!((report.entries, report.signed_size), (size, size));

    // What comes later is no part of a bundle whose size is pinned.
    let late = json!({"visitor_id": "late"});
    server.post(&format!("{path}/assign"), &late).await;
    for after in 0..=size {
        let arrived = whole.text().lines().find(|line| {
            let json: Json = serde_json::from_str(line).unwrap();
            json["sequence_number"].as_u64().is_some_and(|n| n == after)
        });
        let upto = arrived.map_or(0, |line| {
            let begin = line.as_ptr() as usize - whole.text().as_ptr() as usize;
            begin + line.len() + 1
        });
        let rest = server
            .get(&of(&format!("?after={after}&size={size}")))
            .await;
        assert_eq!(rest.header("samplit-size"), size.to_string());
        let joined = format!("{}{}", &whole.text()[..upto], rest.text());
        assert_eq!(joined, whole.text(), "after {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_ends_with_the_draw_key_in_the_open() {
    let (server, _database) = signing_server().await;
    let path = visited(&server, 3).await;
    let of = |rest: &str| format!("{path}/audit/{rest}");
    let early = server.get(&of("draw-key")).await;
    assert_eq!(early.summary(), "409 not_completed");
    let early = server.post(&of("seal"), &json!({})).await;
    assert_eq!(early.summary(), "409 not_completed");
    server.post(&format!("{path}/complete"), &json!({})).await;
    let open = server.post(&of("seal"), &json!({})).await;
    assert_eq!(open.summary(), "409 window_open");

    let revealed = server.get(&of("draw-key")).await.json();
    let sealed = server
        .post(&of("seal"), &json!({"close_window": true}))
        .await;
    assert_eq!(sealed.json()["status"], "completed");
    let late = json!({"visitor_id": "visitor-1"});
    let late = server.post(&format!("{path}/convert"), &late).await;
    assert_eq!(late.summary(), "409 attribution_window_closed");

    let sealed = server.get(&of("bundle")).await;
    let reveal: Json = serde_json::from_str(sealed.text().lines().nth(1).unwrap()).unwrap();
    assert_eq!(reveal["draw_key_hex"], revealed["draw_key_hex"]);
    let options = Options {
        keys: vec![key()],
        replay: true,
        ..Options::default()
    };
    let report = bundle::verify(&sealed.body[..], options).unwrap();
    assert!(report.sealed);
    assert_eq!(report.signed_size, report.entries);
    let replay = report.replay.unwrap();
    assert_eq!((replay.draws, replay.assignments), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_keys_are_for_everybody() {
    let (server, _database) = signing_server().await;
    let uri = format!("http://{}/v1/audit/keys", server.public);
    let request = hyper::Request::get(uri).body(Default::default()).unwrap();
    let keys = server.send(request).await;
    assert_eq!(keys.json(), json!({"data": [key().to_string()]}));
    assert!(!keys.text().contains("PRIVATE"));
    check(
        &server,
        Method::GET,
        "/v1/audit/keys?of=me",
        "",
        "422 invalid ?of:unknown_parameter",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_about_proofs_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let waiting = format!("/v1/experiments/{}", server.create(&draft()).await);
    let path = visited(&server, 2).await;
    let long = "x".repeat(256);
    let cases = [
        (
            "checkpoint?size=1".to_owned(),
            "422 invalid ?size:unknown_parameter",
        ),
        (
            "proof/inclusion?size=0&x=1".to_owned(),
            "422 invalid ?sequence:required ?size:out_of_range ?x:unknown_parameter",
        ),
        (
            "proof/inclusion?sequence=0".to_owned(),
            "422 invalid ?sequence:out_of_range",
        ),
        (
            "proof/inclusion?sequence=99".to_owned(),
            "422 invalid ?sequence:out_of_range",
        ),
        (
            "proof/inclusion?sequence=1&size=99".to_owned(),
            "422 invalid ?size:out_of_range",
        ),
        (
            "proof/inclusion?sequence=3&size=2".to_owned(),
            "422 invalid ?sequence:out_of_range",
        ),
        (
            "proof/consistency?second=a".to_owned(),
            "422 invalid ?first:required ?second:out_of_range",
        ),
        (
            "proof/consistency?first=18446744073709551615".to_owned(),
            "422 invalid ?first:out_of_range",
        ),
        (
            "proof/consistency?first=2&second=1".to_owned(),
            "422 invalid ?first:out_of_range",
        ),
        ("receipt".to_owned(), "422 invalid ?visitor:required"),
        (
            format!("receipt?visitor={long}"),
            "422 invalid ?visitor:too_long",
        ),
        (
            "receipt?visitor=%00".to_owned(),
            "422 invalid ?visitor:nul_character",
        ),
        ("receipt?visitor=visitor-0".to_owned(), "409 not_yet_signed"),
        (
            "bundle?after=-1&size=0".to_owned(),
            "422 invalid ?after:out_of_range ?size:out_of_range",
        ),
        (
            "bundle?size=99".to_owned(),
            "422 invalid ?size:out_of_range",
        ),
        (
            "bundle?after=3&size=2".to_owned(),
            "422 invalid ?after:out_of_range",
        ),
        (
            "draw-key?raw=1".to_owned(),
            "422 invalid ?raw:unknown_parameter",
        ),
    ];
    for (question, expected) in cases {
        let path = format!("{path}/audit/{question}");
        check(&server, Method::GET, &path, "", expected).await;
    }
    let cases = [
        (
            "checkpoint",
            "{\"now\":1}",
            "422 invalid /now:unknown_field",
        ),
        ("checkpoint", "", "409 no_signing_key"),
        (
            "seal",
            "{\"close_window\":1,\"x\":1}",
            "422 invalid /close_window:wrong_type /x:unknown_field",
        ),
        ("acknowledge-restore", "{}", "422 invalid /reason:required"),
        (
            "acknowledge-restore",
            "{\"reason\":\"disk\"}",
            "409 not_on_hold",
        ),
    ];
    for (verb, body, expected) in cases {
        let path = format!("{path}/audit/{verb}");
        check(&server, Method::POST, &path, body, expected).await;
    }
    for question in [
        "proof/inclusion?sequence=1",
        "proof/consistency?first=1",
        "bundle",
    ] {
        let of = |path: &str| format!("{path}/audit/{question}");
        let early = "409 experiment_not_running";
        check(&server, Method::GET, &of(&waiting), "", early).await;
        check(&server, Method::GET, &of(NOBODY), "", "404 not_found").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_for_those_who_may_read_and_deeds_for_those_who_manage() {
    let (server, _database) = signing_server().await;
    let path = visited(&server, 2).await;
    let of = |email, scopes| create_key(&server.engine, email, scopes);
    let reader = of("owner@example.org", vec![Scope::Read]).await;
    let site = of("owner@example.org", vec![Scope::Assign]).await;
    let stranger = of("stranger@example.org", Scope::ALL.to_vec()).await;
    let answer = async |key: &str, method: &Method, rest: &str, body: &'static str| {
        let uri = format!("http://{}{path}/{rest}", server.public);
        let request = hyper::Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(body.into());
        server.send(request.unwrap()).await.summary()
    };
    server
        .post(&format!("{path}/audit/checkpoint"), &json!({}))
        .await;
    for question in [
        "audit/checkpoint",
        "audit/proof/inclusion?sequence=1",
        "audit/proof/consistency?first=1",
        "audit/receipt?visitor=visitor-0",
        "audit/bundle",
        "registration",
    ] {
        assert_eq!(
            answer(&reader, &Method::GET, question, "").await,
            "200",
            "{question}"
        );
        let refused = answer(&site, &Method::GET, question, "").await;
        assert_eq!(refused, "403 forbidden", "{question}");
        let hidden = answer(&stranger, &Method::GET, question, "").await;
        assert_eq!(hidden, "404 not_found", "{question}");
    }
    for (method, deed, body) in [
        (Method::POST, "audit/checkpoint", "{}"),
        (Method::POST, "audit/seal", "{}"),
        (Method::GET, "audit/draw-key", ""),
        (
            Method::POST,
            "audit/redactions",
            "{\"sequence_number\":2,\"reason\":\"r\"}",
        ),
        (
            Method::POST,
            "audit/acknowledge-restore",
            "{\"reason\":\"r\"}",
        ),
    ] {
        let refused = answer(&reader, &method, deed, body).await;
        assert_eq!(refused, "403 forbidden", "{deed}");
        let hidden = answer(&stranger, &method, deed, body).await;
        assert_eq!(hidden, "404 not_found", "{deed}");
    }
}
