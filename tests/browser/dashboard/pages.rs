//! Every page of the dashboard: nothing on it keeps somebody out, it fits its screen, and it is
//! photographed for people. Whoever makes a page adds it to [`PAGES`].

use std::collections::BTreeMap;

use samplit_engine::{
    Assign, CapturedLead, Convert, Engine, Installation, InstallationDraft, LeadDraft,
    LeadSubmission, NewUser, NewWebhook, Principal, Role, Transition, Visit,
};

use super::{
    axe::assert_accessible,
    crowd::busy_funnel,
    desk::{Desk, at_the_desk},
};
use crate::{chromium::emulate, page::photograph_as};

/// Name and path of each page of somebody who is signed in; `{experiment}`, `{funnel}`, `{installation}`,
/// `{webhook}`, `{lead}` and `{user}` stand for ids of what [`furnish`] makes.
const PAGES: &[(&str, &str)] = &[
    ("overview", "/"),
    ("settings", "/settings"),
    ("keys", "/keys"),
    ("key-new", "/keys/new"),
    ("webhooks", "/webhooks"),
    ("webhook-new", "/webhooks/new"),
    ("webhook", "/webhooks/{webhook}"),
    ("users", "/users"),
    ("user-new", "/users/new"),
    ("user", "/users/{user}"),
    ("plan", "/plan"),
    ("plans", "/plans"),
    ("activity", "/activity"),
    ("nothing", "/nothing-here"),
    ("experiments", "/experiments"),
    ("leads", "/leads"),
    ("leads-none", "/leads?q=nothing"),
    ("lead", "/leads/{lead}"),
    ("experiments-none", "/experiments?q=nothing"),
    ("experiment-new", "/experiments/new"),
    ("experiment-like", "/experiments/new?like={experiment}"),
    ("experiment-started", "/experiments/{experiment}/edit"),
    ("funnels", "/funnels"),
    ("funnel-new", "/funnels/new"),
    ("funnel", "/funnels/{funnel}"),
    ("funnel-canvas", "/funnels/{funnel}/edit"),
    ("installations", "/installations"),
    ("installation", "/installations/{installation}"),
    ("exclusions", "/exclusions?experiment={experiment}"),
    ("visitors", "/visitors"),
    ("forecast", "/forecast"),
    ("backtest", "/backtest"),
];

/// The pages before the door.
const DOOR: &[(&str, &str)] = &[("login", "/login"), ("forgot", "/forgot")];

#[tokio::test]
async fn every_page_is_for_everybody_and_fits() {
    at_the_desk(async |desk| {
        for (name, path) in DOOR {
            look(desk, name, path).await;
        }
        let who = desk.enter("ana@example.org", Role::Admin).await;
        look(desk, "overview-empty", "/").await;
        let ids = furnish(desk, &who).await;
        for (name, path) in PAGES {
            let path = path
                .replace("{experiment}", &ids.experiment)
                .replace("{funnel}", &ids.funnel)
                .replace("{installation}", &ids.installation)
                .replace("{webhook}", &ids.webhook)
                .replace("{lead}", &ids.lead)
                .replace("{user}", &ids.user);
            look(desk, name, &path).await;
        }
    })
    .await;
}

/// The document of the API, folded and with every kind of operation open.
#[tokio::test]
async fn the_document_of_the_api_is_for_everybody_and_fits() {
    at_the_desk(async |desk| {
        look(desk, "docs", "/docs").await;
        let sections = "return document.querySelectorAll('main > section[id]').length";
        let linked = "return [...document.querySelectorAll('.contents a')].every((link) => \
                      document.querySelector(link.hash))";
        assert!(desk.run(sections).await.as_u64().unwrap() > 5);
        assert_eq!(desk.run(linked).await, true);
        // The first of each section, and by keyboard: the browser opens what has the focus.
        desk.run(
            "for (const section of document.querySelectorAll('main > section')) \
             section.querySelector('details').open = true;",
        )
        .await;
        for (width, scheme) in [(1280, "light"), (390, "dark")] {
            emulate(&desk.page, width, 900, scheme).await;
            assert_accessible(desk, &format!("docs, open, at {width}, {scheme}")).await;
        }
        desk.run("document.querySelector('main > section:nth-of-type(2) details:last-of-type summary').focus()")
            .await;
        desk.key("Enter").await;
        let is_open = "return document.activeElement.closest('details').open";
        assert_eq!(desk.run(is_open).await, true);
        photograph_as(&desk.page, "docs-open").await;
    })
    .await;
}

/// What [`furnish`] made.
struct Ids {
    experiment: String,
    funnel: String,
    installation: String,
    webhook: String,
    lead: String,
    user: String,
}

/// Something to see on every page.
async fn furnish(desk: &Desk, who: &Principal) -> Ids {
    let engine = &desk.engine;
    let site = InstallationDraft::new("Coffee shop", "shop.example.org");
    let site = engine.create_installation(who, &site).await.unwrap();
    let hook = NewWebhook {
        url: "https://hooks.example.org/services/samplit".to_owned(),
        description: "Release channel".to_owned(),
        events: Vec::new(),
        is_enabled: true,
    };
    let hook = engine.create_webhook(who, hook).await.unwrap();
    let guest = NewUser {
        email: "guest@example.org".to_owned(),
        name: Some("Guest of the house".to_owned()),
        role: Role::Client,
    };
    // People let people in, and programs do not.
    let person = Principal {
        key: None,
        ..who.clone()
    };
    let (guest, _) = engine.invite(&person, guest).await.unwrap();
    let mut ids = Vec::new();
    for (name, elements) in [
        ("Words on the button", &[3][..]),
        ("Hero of the start page", &[2, 2]),
        ("Price with or without tax", &[2]),
    ] {
        let mut draft = samplit_tests::draft(elements);
        draft.name = name.to_owned();
        ids.push(engine.create_experiment(who, draft).await.unwrap().id);
    }
    let running = ids[0];
    for id in &ids[..2] {
        let (start, winner) = (Transition::Start, BTreeMap::new());
        engine
            .transition(who, *id, start, winner, None)
            .await
            .unwrap();
    }
    for visitor in 0..300 {
        let assign = Assign {
            visitor: format!("visitor-{visitor}"),
            ..Assign::default()
        };
        let convert = Convert {
            visitor: assign.visitor.clone(),
            ..Convert::default()
        };
        let got = engine.assign(who, running, assign).await.unwrap();
        // The later a variant stands, the better it is.
        let variants = &got.experiment.elements[0].variants;
        let shown = variants.iter().position(|one| one.id == got.variants[0]);
        if visitor % 12 <= shown.unwrap() {
            engine.convert(who, running, convert).await.unwrap();
        }
    }
    let running = engine.experiment(who, running).await.unwrap();
    let funnel = busy_funnel(desk, who, &running).await;
    Ids {
        experiment: running.id.to_string(),
        funnel: funnel.id.to_string(),
        installation: site.id.to_string(),
        webhook: hook.webhook.id.to_string(),
        lead: leads(engine, &site).await,
        user: guest.id.to_string(),
    }
}

/// What people have left on the site; the id of the last one.
async fn leads(engine: &Engine, site: &Installation) -> String {
    let mut last = None;
    for (name, message, query) in [
        (
            "Chidi Anagonye",
            "",
            "?utm_source=newsletter&utm_campaign=spring",
        ),
        ("Eleanor Shellstrop", "Call me.", ""),
        (
            "Tahani Al-Jamil",
            "We are forty people, and would like to try the large machine for a month.\n\nIs that possible?",
            "?utm_source=partner&utm_medium=referral&utm_campaign=spring&utm_content=header",
        ),
    ] {
        let first = name.split(' ').next().unwrap().to_lowercase();
        let draft = LeadDraft {
            form: Some("contact".to_owned()),
            email: Some(format!("{first}@example.org")),
            name: Some(name.to_owned()),
            company: Some("Good Place Ltd".to_owned()),
            phone: Some("+49 30 901820".to_owned()),
            message: Some(message.to_owned()),
            url: Some(format!("https://shop.example.org/contact{query}")),
            fields: [("team size".to_owned(), "40".to_owned())].into(),
            ..LeadDraft::default()
        };
        let visit = Visit {
            visitor: "visitor-7",
            ..Visit::default()
        };
        let submission = LeadSubmission {
            draft,
            is_trapped: false,
        };
        let captured = engine.capture_lead(site, &visit, submission).await.unwrap();
        last = match captured {
            CapturedLead::New(id) => Some(id),
            _ => panic!("{captured:?}"),
        };
    }
    last.unwrap().to_string()
}

/// Opens a page, and looks at it by day and by night, on a desk and on a phone.
async fn look(desk: &Desk, name: &str, path: &str) {
    desk.open(path).await;
    for (width, scheme) in [
        (1280, "light"),
        (1280, "dark"),
        (390, "light"),
        (390, "dark"),
    ] {
        emulate(&desk.page, width, 900, scheme).await;
        assert_accessible(desk, &format!("{name} at {width}, {scheme}")).await;
    }
    photograph_as(&desk.page, &format!("dashboard-{name}")).await;
}
