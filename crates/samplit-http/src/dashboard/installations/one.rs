//! `/installations/{installation_id}`: one site with its snippet, and all that can be done with it.

use askama::Template;
use samplit_domain::{Installation, InstallationStatus, Platform, Status};
use samplit_engine::{ExperimentFilter, InstallationChange, Page, SignedIn};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use super::{platform, platforms, state};
use crate::{
    api::{
        editor::open_link,
        installations::{InstallationJson, check, home_of, read_change, read_url},
    },
    call::Call,
    dashboard::{
        field::Choice,
        form::Form,
        layout::{Frame, Section, html},
        notice::done,
    },
    problem::Problem,
    response::Reply,
    snippet,
};

#[derive(Template)]
#[template(path = "dashboard/installations/one.html")]
struct OnePage<'f> {
    frame: Frame,
    form: &'f Form,
    installation: Installation,
    state: (&'static str, &'static str),
    platform: &'static str,
    snippet: String,
    home: String,
    /// Drafts that the picker may work on.
    drafts: Vec<Choice>,
    told: Told,
}

/// What a form that was sent has brought to light.
#[derive(Debug, Default)]
struct Told {
    /// Why the snippet was not found.
    missing: Option<String>,
    /// The secret by which a plugin signs; shown once.
    secret: Option<String>,
    /// The page on which the picker opens.
    picker: Option<String>,
}

/// `GET /installations/{installation_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, None, Told::default()).await
}

/// `POST /installations/{installation_id}`: what the button `do` says.
pub(crate) async fn change(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let path = format!("/installations/{}", call.installation_id());
    match perform(&call, &signed_in, &form).await {
        Ok(Outcome::Done(code)) => Ok(done(&path, code)),
        Ok(Outcome::Told(told)) => page(&call, &signed_in, Some(form), told).await,
        Err(problem) => {
            let form = form.refused(problem)?;
            page(&call, &signed_in, Some(form), Told::default()).await
        }
    }
}

/// What came of it.
enum Outcome {
    /// It is done; the page says so.
    Done(&'static str),
    /// There is something to show.
    Told(Told),
}

async fn perform(call: &Call, signed_in: &SignedIn, form: &Form) -> Result<Outcome, Problem> {
    let (engine, who, id) = (
        &call.app.engine,
        &signed_in.principal,
        call.installation_id(),
    );
    let status = |status| InstallationChange {
        status: Some(status),
        ..InstallationChange::default()
    };
    let part = |name: &str| -> Result<Json, Problem> {
        let part = form.json()?.get(name).cloned();
        Ok(part.unwrap_or_else(|| json!({})))
    };
    match form.extra("do").unwrap_or_default() {
        "verify" => {
            let url = read_url(part("verify")?).map_err(|problem| problem.below("/verify"))?;
            let found = check(call, who, url).await;
            Ok(match found.map_err(|problem| problem.below("/verify"))? {
                Ok(_) => Outcome::Done("installation_verified"),
                Err((_, detail)) => Outcome::Told(Told {
                    missing: Some(detail),
                    ..Told::default()
                }),
            })
        }
        "picker" => {
            let opened = open_link(call, who, part("picker")?).await;
            let (_, url) = opened.map_err(|problem| problem.below("/picker"))?;
            Ok(Outcome::Told(Told {
                picker: Some(url),
                ..Told::default()
            }))
        }
        "rotate" => {
            engine.rotate_installation(who, id, None, false).await?;
            Ok(Outcome::Done("installation_rotated"))
        }
        "secret" => {
            let secret = engine.new_signing_secret(who, id).await?;
            Ok(Outcome::Told(Told {
                secret: Some(secret),
                ..Told::default()
            }))
        }
        "disable" => {
            let installation = engine.installation(who, id).await?;
            form.confirmed(&installation.name)?;
            let change = status(InstallationStatus::Disabled);
            engine.update_installation(who, id, &change, None).await?;
            Ok(Outcome::Done("installation_disabled"))
        }
        "disconnect" => {
            let installation = engine.installation(who, id).await?;
            form.confirmed(&installation.name)?;
            engine.uninstall_shopify(who, id).await?;
            Ok(Outcome::Done("shop_disconnected"))
        }
        "enable" => {
            let change = status(InstallationStatus::Active);
            engine.update_installation(who, id, &change, None).await?;
            Ok(Outcome::Done("installation_enabled"))
        }
        _ => {
            let seen = form
                .extra("version")
                .and_then(|version| version.parse().ok());
            let mut body = form.json()?;
            if let Some(body) = body.as_object_mut() {
                // An empty list of origins is one, too.
                body.entry("origins").or_insert_with(|| json!([]));
            }
            let change = read_change(body)?;
            engine.update_installation(who, id, &change, seen).await?;
            Ok(Outcome::Done("installation_saved"))
        }
    }
}

async fn page(
    call: &Call,
    signed_in: &SignedIn,
    sent: Option<Form>,
    told: Told,
) -> Result<Reply, Problem> {
    let (engine, who, id) = (
        &call.app.engine,
        &signed_in.principal,
        call.installation_id(),
    );
    let installation = engine.installation(who, id).await?;
    let filter = ExperimentFilter {
        status: Some(Status::Draft),
        query: None,
    };
    let first = Page {
        cursor: None,
        limit: 100,
    };
    let drafts = engine.experiments(who, &filter, &first).await?.data;
    let drafts = drafts
        .iter()
        .map(|draft| Choice::new(draft.id.to_string(), draft.name.as_str(), ""));
    // Of the forms of the page only that of the settings is filled in with what is there; where another
    // one was sent, it is as it was before.
    let now = json!(InstallationJson::from(&installation));
    let form = match sent {
        Some(form) if form.extra("do").is_none_or(|wish| wish == "save") => form,
        Some(form) => form.over(now),
        None => Form::of(now),
    };
    let script_url = snippet::script_url(call, &installation)?;
    let page = OnePage {
        frame: Frame::new(
            call,
            signed_in,
            Section::Installations,
            installation.name.clone(),
        )
        .below("Installations", "/installations"),
        state: state(&installation),
        platform: platform(installation.platform),
        snippet: snippet::stub(&script_url, &installation),
        home: home_of(&installation),
        drafts: drafts.collect(),
        told,
        form: &form,
        installation,
    };
    Ok(html(form.status(), &page))
}

impl OnePage<'_> {
    fn is_active(&self) -> bool {
        self.installation.status == InstallationStatus::Active
    }

    fn is_shopify(&self) -> bool {
        self.installation.platform == Platform::Shopify
    }

    fn is_wordpress(&self) -> bool {
        self.installation.platform == Platform::WordPress
    }

    /// Until when the token before the last rotation is good, if it still is.
    fn previous_ends_at(&self) -> Option<&OffsetDateTime> {
        let previous = self.installation.previous_token.as_ref();
        previous
            .map(|(_, ends_at)| ends_at)
            .filter(|ends_at| self.frame.is_ahead(ends_at))
    }

    fn was(&self, wish: &str) -> bool {
        self.form.extra("do") == Some(wish)
    }

    fn platforms() -> Vec<Choice> {
        platforms()
    }
}
