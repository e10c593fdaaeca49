//! A form on somebody else's site, and what its owner sees of it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use samplit_engine::{
    Experiment, GoalDraft, GoalKind, GoalTrigger, InstallationDraft, LeadFilter, Page, Principal,
    Role, SelectorDraft, Transition,
};
use samplit_http::snippet_source;
use serde_json::json;
use tokio::net::TcpListener;

use super::desk::{Desk, at_the_desk};
use crate::page::photograph_as;

/// Serves one page at every path: of another origin than the server's, and with a strict policy.
async fn foreign(listener: TcpListener, html: String, policy: String) {
    let page = Arc::new((html, policy));
    while let Ok((stream, _)) = listener.accept().await {
        let page = Arc::clone(&page);
        let service = service_fn(move |request: Request<Incoming>| {
            let page = Arc::clone(&page);
            async move {
                let html = match request.uri().path() {
                    "/thanks" => "<!doctype html><title>Thanks</title><h1>We call you</h1>",
                    _ => page.0.as_str(),
                };
                let response = Response::builder()
                    .header("content-type", "text/html; charset=utf-8")
                    .header("content-security-policy", &page.1)
                    .body(Full::new(Bytes::from(html.to_owned())));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// An experiment on the heading of the page, about leads of the form `contact`.
async fn about_leads(desk: &Desk, who: &Principal, origin: &str) -> Experiment {
    let mut draft = samplit_tests::draft(&[2]);
    draft.name = "Heading of the contact page".to_owned();
    draft.target_url = Some(format!("{origin}/*"));
    draft.elements[0].selector = Some(SelectorDraft {
        kind: "css".to_owned(),
        value: "h1".to_owned(),
    });
    draft.goals = vec![GoalDraft {
        name: "contact".to_owned(),
        kind: GoalKind::Conversion,
        default_value: 1.0,
        trigger: Some(GoalTrigger::Lead {
            form: Some("contact".to_owned()),
        }),
    }];
    let made = desk.engine.create_experiment(who, draft).await.unwrap();
    let start = Transition::Start;
    let started = desk
        .engine
        .transition(who, made.id, start, Default::default(), None);
    started.await.unwrap()
}

const SCRIPT: &str = "
document.addEventListener('samplit:ready', () => document.body.dataset.ready = 'yes');
document.addEventListener('submit', (event) => {
  const { visitor_id } = event.target.elements;
  visitor_id.value = JSON.parse(localStorage.samplit_visitor);
  if (event.target.id !== 'scripted') return;
  event.preventDefault();
  const { email, message } = event.target.elements;
  fetch(event.target.action, {
    method: 'POST',
    body: JSON.stringify({
      token: event.target.elements.token.value, url: location.href, form: 'contact',
      visitor_id: visitor_id.value, email: email.value, message: message.value,
    }),
  }).then((answer) => answer.json()).then(({ status }) => {
    const shown = document.querySelector('#answers');
    shown.textContent += status + ' ';
  });
}, true);";

#[tokio::test(flavor = "multi_thread")]
async fn a_form_on_a_foreign_page_is_a_lead_once_and_converts() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        desk.open("/leads").await;
        desk.press("Add your site").await;
        desk.arrive("/installations").await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let domain = listener.local_addr().unwrap().to_string();
        let origin = format!("http://{domain}");
        let site = InstallationDraft::new("Coffee shop", domain);
        let site = desk.engine.create_installation(&who, &site).await.unwrap();
        desk.open("/leads").await;
        photograph_as(&desk.page, "dashboard-leads-empty").await;
        assert!(desk.text("#form-code").await.contains(&site.token));
        let experiment = about_leads(desk, &who, &origin).await;

        let (api, token) = (&desk.base, &site.token);
        let script = format!("{api}/s/{token}.js");
        let stub = snippet_source::stub(&script, 500).replace("<script", "<script nonce=n1");
        let hidden = format!(
            "<input type=hidden name=token value={token}><input type=hidden name=visitor_id>
             <input type=hidden name=form value=contact>
             <p hidden><input name=website tabindex=-1 autocomplete=off></p>"
        );
        let html = format!(
            "<!doctype html><head><script nonce=n1>{SCRIPT}</script>{stub}</head><body><h1>Control</h1>
             <form id=scripted method=post action={api}/v1/leads>{hidden}
               <input name=email type=email><textarea name=message></textarea><button>Send</button></form>
             <form id=plain method=post action='{api}/v1/leads?utm_source=ignored'>{hidden}
               <input type=hidden name=next value=/thanks>
               <input name=email type=text><input name=team value=10><button>Send</button></form>
             <p id=answers></p></body>"
        );
        let policy = format!(
            "default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; connect-src {api}; \
             form-action 'self' {api}; base-uri 'none'"
        );
        let serving = tokio::spawn(foreign(listener, html, policy));
        let page = format!("{origin}/contact?utm_source=letter&utm_campaign=spring");
        desk.page.goto(&page).await.unwrap();
        desk.wait_for("body[data-ready]").await;
        let heading = desk.text("h1").await;

        // Two impatient clicks on a form that a script sends.
        desk.fill("#scripted [name=email]", "ada@example.org").await;
        desk.fill("#scripted [name=message]", "Do you deliver?\nTo Berlin?").await;
        desk.run("const button = document.querySelector('#scripted button'); button.click(); button.click();").await;
        reads(desk, "#answers", "received received").await;
        let count = async |table: &str| -> i64 {
            let client = samplit_tests::connect(&desk.database).await;
            let count = format!("SELECT count(*) FROM {table}");
            client.query_one(&count, &[]).await.unwrap().get(0)
        };
        assert_eq!(count("leads").await, 1);
        let results = desk.engine.results(&who, experiment.id).await.unwrap();
        assert_eq!((results.visitors, results.conversions), (1, 1));

        // The same person by the plain form, which leads to a page of the site. It says something else, so it
        // is another lead, and erased for what follows to be about the first.
        desk.fill("#plain [name=email]", "ADA@example.org").await;
        desk.click("#plain button").await;
        reads(desk, "h1", "We call you").await;
        assert_eq!(count("leads").await, 2);
        let page_of_one = Page {
            cursor: None,
            limit: 1,
        };
        let newest = desk
            .engine
            .leads(&who, &LeadFilter::default(), &page_of_one)
            .await
            .unwrap();
        desk.engine.delete_lead(&who, newest.data[0].id).await.unwrap();

        // A program fills in what nobody sees, and learns nothing of it.
        desk.page.goto(&page).await.unwrap();
        desk.wait_for("body[data-ready]").await;
        assert_eq!(desk.text("h1").await, heading);
        desk.fill("#plain [name=email]", "spam@example.org").await;
        desk.run("document.querySelector('#plain [name=website]').value = 'http://spam.test';").await;
        desk.click("#plain button").await;
        reads(desk, "h1", "We call you").await;
        assert_eq!(count("leads").await, 1);

        // What is wrong is told in words, on a page that anybody can read.
        desk.page.goto(&page).await.unwrap();
        desk.wait_for("body[data-ready]").await;
        desk.fill("#plain [name=email]", "nobody").await;
        desk.click("#plain button").await;
        reads(desk, "h1", "Your message was not sent").await;
        assert!(desk.text("li").await.starts_with("Email must be an email"));
        photograph_as(&desk.page, "lead-refused").await;
        serving.abort();

        look_after(desk, &experiment, &heading).await;
    })
    .await;
}

/// Waits until the first element that is found by `css` says so, whatever page it is on by then.
async fn reads(desk: &Desk, css: &str, words: &str) {
    let script = "return document.querySelector(arguments[0])?.textContent.trim()";
    samplit_tests::eventually(async || {
        let found = desk.page.execute(script, vec![json!(css)]).await;
        found.is_ok_and(|found| found == words)
    })
    .await;
}

/// The owner sees the lead with its variant, moves it on, and erases it.
async fn look_after(desk: &Desk, experiment: &Experiment, heading: &str) {
    desk.open("/leads").await;
    let row = desk.text("table.data tbody tr").await;
    // Drafts of tests call the content of their variants by their numbers.
    let index: usize = heading.strip_prefix("variant ").unwrap().parse().unwrap();
    let name = &experiment.elements[0].variants[index].name;
    let seen = format!("{name} {}", experiment.name);
    for part in ["ada@example.org", "new", "contact letter · spring", &seen] {
        let (row, part) = (row.to_lowercase(), part.to_lowercase());
        let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(row.contains(&part), "{part}: {row}");
    }
    desk.press("ada@example.org").await;
    desk.wait_for("#person").await;
    let written = desk.text(".written").await;
    assert_eq!(written, "Do you deliver?\nTo Berlin?");
    photograph_as(&desk.page, "dashboard-lead").await;
    desk.press("Mark as contacted").await;
    reads(desk, ".page-head .badge", "contacted").await;
    desk.fill("#f-note", "Called on Monday.").await;
    desk.press("Save the note").await;
    desk.wait_for(".notice").await;
    reads(desk, ".notice", "The note is saved.").await;
    desk.press("Mark as converted").await;
    reads(desk, ".page-head .badge", "converted").await;
    assert_eq!(
        desk.run("return document.querySelectorAll('.page-head button').length;")
            .await,
        json!(0)
    );
    photograph_as(&desk.page, "dashboard-lead-converted").await;
    desk.click(".card.danger summary").await;
    desk.fill("#f-confirm", "somebody else").await;
    desk.press("Erase it").await;
    desk.wait_for("#f-confirm-error").await;
    desk.fill("#f-confirm", "ada@example.org").await;
    desk.press("Erase it").await;
    desk.arrive("/leads").await;
    assert_eq!(desk.text(".notice").await, "The lead was erased.");
}
