//! Installations: make, list, show, change, turn off, rotate, verify, and what to paste.

use hyper::{StatusCode, header::HeaderValue};
use samplit_domain::{
    Installation, InstallationDraft, InstallationId, InstallationStatus, Origin, Platform,
    Violations, to_micros,
};
use samplit_engine::{InstallationChange, Once, Page, Principal};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    fetch::FetchFailure,
    fields::Fields,
    idempotency,
    problem::Problem,
    response::{Reply, etag, json, tagged},
    snippet,
};

/// `POST /v1/installations`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let draft = read_new(body)?;
    // Its token is public: every page shows it.
    let answer = |made: &Installation| {
        let path = format!("/v1/installations/{}", made.id);
        idempotency::created(path, &tag(made), &InstallationJson::from(made))
    };
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: false,
    });
    let engine = &call.app.engine;
    let made = engine.create_installation_once(&who, &draft, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstallationPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<InstallationJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// `GET /v1/installations`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.installations(&who, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(InstallationJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/installations/{installation_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let id = call.installation_id();
    let installation = call.app.engine.installation(&who, id).await?;
    Ok(call.unless_known(one(StatusCode::OK, &installation)))
}

/// `PATCH /v1/installations/{installation_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = read_change(call.json().await?)?;
    change_to(&call, &who, &change, if_version).await
}

/// `DELETE /v1/installations/{installation_id}`: turns it off.
pub(crate) async fn disable(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = InstallationChange {
        status: Some(InstallationStatus::Disabled),
        ..InstallationChange::default()
    };
    change_to(&call, &who, &change, if_version).await
}

async fn change_to(
    call: &Call,
    who: &Principal,
    change: &InstallationChange,
    if_version: Option<i64>,
) -> Result<Reply, Problem> {
    let (engine, id) = (&call.app.engine, call.installation_id());
    let installation = engine
        .update_installation(who, id, change, if_version)
        .await?;
    Ok(one(StatusCode::OK, &installation))
}

/// `POST /v1/installations/{installation_id}/rotate`
pub(crate) async fn rotate(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let at_once = read_rotation(call.optional_json().await?)?;
    let (engine, id) = (&call.app.engine, call.installation_id());
    let installation = engine
        .rotate_installation(&who, id, if_version, at_once)
        .await?;
    Ok(one(StatusCode::OK, &installation))
}

/// Whether a token that is still good for pages has to end.
pub(crate) fn read_rotation(body: Json) -> Result<bool, Problem> {
    let mut violations = Violations::default();
    let at_once = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.optional("now").unwrap_or_default()
    });
    violations.into_result(at_once).map_err(Problem::invalid)
}

#[derive(Serialize, ToSchema)]
#[schema(as = Snippet)]
pub(crate) struct SnippetJson<'a> {
    html: &'a str,
    script_url: &'a str,
}

/// `GET /v1/installations/{installation_id}/snippet`
pub(crate) async fn snippet(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let id = call.installation_id();
    let installation = call.app.engine.installation(&who, id).await?;
    let script_url = snippet::script_url(&call, &installation)?;
    let reply = SnippetJson {
        html: &snippet::stub(&script_url, &installation),
        script_url: &script_url,
    };
    Ok(json(StatusCode::OK, &reply))
}

#[derive(Serialize, ToSchema)]
#[schema(as = SnippetCheck)]
pub(crate) struct VerifyJson {
    verified: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    verified_at: Option<OffsetDateTime>,
    /// Why it is not.
    reason: Option<&'static str>,
    detail: Option<String>,
}

/// `POST /v1/installations/{installation_id}/verify`: whether the snippet is on the site.
pub(crate) async fn verify(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let url = read_url(call.optional_json().await?)?;
    let (verified_at, missing) = match check(&call, &who, url).await? {
        Ok(installation) => (installation.verified_at, None),
        Err(missing) => (None, Some(missing)),
    };
    let reply = VerifyJson {
        verified: verified_at.is_some(),
        verified_at,
        reason: missing.as_ref().map(|(reason, _)| *reason),
        detail: missing.map(|(_, detail)| detail),
    };
    Ok(json(StatusCode::OK, &reply))
}

/// Whether the snippet is on the site of the path. Where no page has asked yet, one is fetched and
/// looked at: `url`, or the home page.
pub(crate) async fn check(
    call: &Call,
    who: &Principal,
    url: Option<String>,
) -> Result<Result<Installation, Missing>, Problem> {
    let (engine, id) = (&call.app.engine, call.installation_id());
    let installation = engine.installation_to_change(who, id).await?;
    let url = match url {
        // The page of another origin, which the installation may allow, says nothing of the domain.
        Some(url) => page_of(url, |origin| installation.is_of_domain(origin))?,
        None => home_of(&installation),
    };
    Ok(match installation.verified_at {
        Some(_) => Ok(installation),
        None => match look_for_snippet(call, &installation, &url).await? {
            Ok(()) => {
                let domain = &installation.domain;
                Ok(engine.installation_verified(who, id, domain).await?)
            }
            Err(missing) => Err(missing),
        },
    })
}

/// Why the snippet was not found, as a word and in words.
pub(crate) type Missing = (&'static str, String);

async fn look_for_snippet(
    call: &Call,
    installation: &Installation,
    url: &str,
) -> Result<Result<(), Missing>, Problem> {
    let fetcher = call.app.config.page_fetcher.as_ref();
    let fetcher = fetcher.ok_or_else(|| {
        let detail = "this server fetches no pages; open one of the site in a browser instead";
        Problem::new(StatusCode::CONFLICT, "no_page_fetcher", detail)
    })?;
    let page = match fetcher.fetch(url).await {
        Ok(page) => page,
        Err(failure) => {
            let reason = match failure {
                FetchFailure::AddressRefused => "address_refused",
                FetchFailure::Unreachable(_) => "unreachable",
            };
            return Ok(Err((reason, failure.to_string())));
        }
    };
    let previous = installation.previous_token.as_ref().map(|(token, _)| token);
    let mut tokens = [&installation.token].into_iter().chain(previous);
    Ok(if page.status != 200 {
        let detail = format!(
            "{url} answered {}, and redirects are not followed",
            page.status
        );
        Err(("status", detail))
    } else if tokens.any(|token| page.body.contains(token.as_str())) {
        Ok(())
    } else {
        Err(("no_snippet", format!("{url} does not hold the snippet")))
    })
}

/// The page at the root of the site. Only a site of this machine has no TLS.
pub(crate) fn home_of(installation: &Installation) -> String {
    let secure = format!("https://{}", installation.domain);
    let plain = format!("http://{}", installation.domain);
    let is_plain = plain
        .parse()
        .is_ok_and(|origin: Origin| installation.is_of_domain(&origin));
    format!("{}/", if is_plain { plain } else { secure })
}

/// A page of the site: of an origin that may use the token.
pub(super) fn page_of_site(installation: &Installation, url: String) -> Result<String, Problem> {
    page_of(url, |origin| installation.allows(origin))
}

fn page_of(url: String, is_its: impl Fn(&Origin) -> bool) -> Result<String, Problem> {
    let path = url.find("://").map_or(0, |at| at + 3);
    let end = url[path..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| path + at);
    let origin: Option<Origin> = url[..end].parse().ok();
    if origin.is_some_and(|origin| is_its(&origin)) {
        return Ok(url);
    }
    let mut violations = Violations::default();
    let detail = "is no page of the installation";
    violations.add("/url", "conflict", detail);
    Err(Problem::invalid(violations))
}

pub(crate) fn read_url(body: Json) -> Result<Option<String>, Problem> {
    let mut violations = Violations::default();
    let url: Option<String> = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.optional("url")
    });
    if let Some(url) = &url {
        violations.url("/url", url);
    }
    violations.into_result(url).map_err(Problem::invalid)
}

/// An installation with its entity tag.
pub(crate) fn one(status: StatusCode, installation: &Installation) -> Reply {
    let reply = json(status, &InstallationJson::from(installation));
    tagged(reply, tag(installation))
}

/// When a site was seen moves without a new version.
fn tag(installation: &Installation) -> HeaderValue {
    let micros = |at: Option<OffsetDateTime>| at.map_or(0, to_micros);
    let seen = [installation.verified_at, installation.last_seen_at].map(micros);
    etag(installation.version, &seen)
}

#[derive(Serialize, ToSchema)]
#[schema(as = Installation)]
pub(crate) struct InstallationJson<'a> {
    id: InstallationId,
    name: &'a str,
    domain: &'a str,
    platform: Platform,
    origins: Vec<&'a str>,
    token: &'a str,
    #[serde(with = "time::serde::rfc3339::option")]
    previous_token_ends_at: Option<OffsetDateTime>,
    status: InstallationStatus,
    allow_raw_html: bool,
    respect_gpc: bool,
    hide_timeout_ms: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    verified_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_seen_at: Option<OffsetDateTime>,
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl<'a> From<&'a Installation> for InstallationJson<'a> {
    fn from(installation: &'a Installation) -> Self {
        let previous = installation.previous_token.as_ref();
        Self {
            id: installation.id,
            name: &installation.name,
            domain: &installation.domain,
            platform: installation.platform,
            origins: installation.origins.iter().map(Origin::as_str).collect(),
            token: &installation.token,
            previous_token_ends_at: previous.map(|(_, ends_at)| *ends_at),
            status: installation.status,
            allow_raw_html: installation.allow_raw_html,
            respect_gpc: installation.respect_gpc,
            hide_timeout_ms: installation.hide_timeout_ms,
            verified_at: installation.verified_at,
            last_seen_at: installation.last_seen_at,
            version: installation.version,
            created_at: installation.created_at,
            updated_at: installation.updated_at,
        }
    }
}

pub(crate) fn read_new(body: Json) -> Result<InstallationDraft, Problem> {
    let mut violations = Violations::default();
    let draft = Fields::read(body, String::new(), &mut violations, |fields| {
        let name: String = fields.required("name");
        let base = InstallationDraft::new(name, fields.required::<String>("domain"));
        InstallationDraft {
            platform: fields.word("platform").unwrap_or(base.platform),
            origins: fields.texts("origins").unwrap_or(base.origins),
            allow_raw_html: fields
                .optional("allow_raw_html")
                .unwrap_or(base.allow_raw_html),
            respect_gpc: fields.optional("respect_gpc").unwrap_or(base.respect_gpc),
            hide_timeout_ms: fields
                .optional("hide_timeout_ms")
                .unwrap_or(base.hide_timeout_ms),
            ..base
        }
    });
    violations.into_result(draft).map_err(Problem::invalid)
}

pub(crate) fn read_change(body: Json) -> Result<InstallationChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| {
        InstallationChange {
            name: fields.optional("name"),
            domain: fields.optional("domain"),
            platform: fields.word("platform"),
            origins: fields.texts("origins"),
            allow_raw_html: fields.optional("allow_raw_html"),
            respect_gpc: fields.optional("respect_gpc"),
            hide_timeout_ms: fields.optional("hide_timeout_ms"),
            status: fields.word("status"),
        }
    });
    violations.into_result(change).map_err(Problem::invalid)
}
