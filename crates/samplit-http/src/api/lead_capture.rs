//! What a form on a page of another origin sends: by a script, as JSON, or by itself, as forms are sent,
//! which leads the browser to a page that says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::{
    StatusCode,
    header::{HeaderValue, LOCATION, ORIGIN, REFERER},
};
use samplit_domain::{Installation, LeadDraft, Origin, Utm, Violations};
use samplit_engine::{LeadSubmission, SiftedLead};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{
    page_body::Asker,
    pages::{Said, known_visitor, visit},
};
use crate::{
    call::Call,
    cors::{Admitted, Cors},
    dashboard::layout::local_path,
    fields::Fields,
    lead_pages,
    meter::count_refusal,
    problem::Problem,
    response::{Reply, empty, json},
};

/// What a form says by these names has a place of its own; everything else is a field of the form.
const NAMES: [&str; 12] = [
    "token",
    "visitor_id",
    "submission_id",
    "form",
    "email",
    "name",
    "company",
    "phone",
    "message",
    "url",
    "website",
    "next",
];

/// What is answered, whatever became of it: a program that fills in what nobody sees learns nothing.
#[derive(Serialize, ToSchema)]
#[schema(as = LeadReceived)]
pub(crate) struct ReceivedJson {
    status: &'static str,
}

/// What a form sends.
#[derive(Debug)]
pub(crate) struct LeadBody {
    asker: Asker,
    submission: LeadSubmission,
}

/// `POST /v1/leads`
pub(crate) async fn capture(mut call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = if call.is_form() {
        take_form(&mut call, &mut cors).await.or_else(|problem| {
            count_refusal(problem.code);
            Ok(lead_pages::refused(problem))
        })
    } else {
        take_json(&mut call, &mut cors).await
    };
    cors.complete(outcome)
}

async fn take_json(call: &mut Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let body = read_lead(call.page_json().await?)?;
    let (installation, admitted) = admit(call, cors, &body).await?;
    take(call, &installation, admitted, body).await?;
    let received = ReceivedJson { status: "received" };
    Ok(json(StatusCode::ACCEPTED, &received))
}

async fn take_form(call: &mut Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let bytes = call.form_bytes().await?;
    let (mut body, next) = read_form(&bytes);
    if !body.contains_key("url") {
        // A page in a file does not know its address; browsers say it, or at least its origin.
        let said = [REFERER, ORIGIN].into_iter();
        let said = said.filter_map(|name| call.header(&name)).next();
        body.insert("url".to_owned(), said.into());
    }
    let body = read_lead(body.into())?;
    let (installation, admitted) = admit(call, cors, &body).await?;
    let next = match next {
        Some(next) => Some(place(call, &installation, &next)?),
        None => None,
    };
    take(call, &installation, admitted, body).await?;
    Ok(match next {
        Some(place) => {
            let mut reply = empty(StatusCode::SEE_OTHER);
            reply.headers_mut().insert(LOCATION, place);
            reply
        }
        None => lead_pages::received(),
    })
}

/// Who sends it, and from where: the token, the origin, and how often.
async fn admit(
    call: &Call,
    cors: &mut Cors,
    body: &LeadBody,
) -> Result<(Arc<Installation>, Admitted), Problem> {
    let installation = call.open_installation(&body.asker.token).await?;
    let admitted = cors.admit(call, &installation)?;
    call.check_lead_limit(&installation)?;
    Ok((installation, admitted))
}

async fn take(
    call: &Call,
    installation: &Installation,
    admitted: Admitted,
    body: LeadBody,
) -> Result<(), Problem> {
    let said = Said::by(call);
    let visit = visit(call, &said, &body.asker);
    let visitor = known_visitor(&visit, admitted, &body.asker).unwrap_or_default();
    let visit = samplit_domain::Visit {
        visitor: &visitor,
        ..visit
    };
    let engine = &call.app.engine;
    let SiftedLead::In(sound) = engine.sift_lead(installation, &visit, body.submission)? else {
        return Ok(());
    };
    // What nobody would store takes up nothing of what all may send.
    call.check_lead_site_limit(installation)?;
    engine
        .keep_lead(installation, &visit, *sound)
        .await
        .map(drop)?;
    Ok(())
}

/// Reads the body, as JSON or as what a form is made into.
///
/// # Errors
/// 422 with every field of the wrong type; the rules are the engine's to check.
pub(crate) fn read_lead(body: Json) -> Result<LeadBody, Problem> {
    let mut violations = Violations::default();
    let body = Fields::read(body, String::new(), &mut violations, |fields| {
        let asker = Asker {
            token: fields.required("token"),
            visitor: fields.optional("visitor_id"),
            session: None,
        };
        let asker = Asker {
            // A form has the field also where no script has filled it in.
            visitor: asker.visitor.filter(|visitor| !visitor.is_empty()),
            ..asker
        };
        fields.require("url");
        let [source, medium, campaign, term, content] =
            Utm::NAMES.map(|name| fields.optional(name));
        let draft = LeadDraft {
            submission: fields.optional("submission_id"),
            form: fields.optional("form"),
            email: fields.optional("email"),
            name: fields.optional("name"),
            company: fields.optional("company"),
            phone: fields.optional("phone"),
            message: fields.optional("message"),
            url: fields.optional("url"),
            utm: Utm {
                source,
                medium,
                campaign,
                term,
                content,
            },
            fields: further(fields),
        };
        let trap: Option<String> = fields.optional("website");
        let is_trapped = trap.is_some_and(|trap| !trap.trim().is_empty());
        LeadBody {
            asker,
            submission: LeadSubmission { draft, is_trapped },
        }
    });
    violations.into_result(body).map_err(Problem::invalid)
}

/// What else the form asks.
fn further(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let given: Map<String, Json> = fields.optional("fields").unwrap_or_default();
    let mut further = BTreeMap::new();
    for (name, text) in given {
        match text {
            Json::String(text) => {
                further.insert(name, text);
            }
            Json::Null => {}
            _ => fields.refuse("fields", "wrong_type", format!("`{name}` must be a string")),
        }
    }
    further
}

/// A form as the JSON that scripts send, and where it leads to.
fn read_form(bytes: &[u8]) -> (Map<String, Json>, Option<String>) {
    let mut body = Map::new();
    let mut further: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in form_urlencoded::parse(bytes).into_owned() {
        if text.is_empty() {
            continue;
        }
        if NAMES.contains(&name.as_str()) || Utm::NAMES.contains(&name.as_str()) {
            body.insert(name, text.into());
        } else if let Some(said) = further.get_mut(&name) {
            // Boxes that are ticked have one name.
            said.push_str(", ");
            said.push_str(&text);
        } else {
            further.insert(name, text);
        }
    }
    let next = body.remove("next");
    let next = next.and_then(|next| next.as_str().map(str::to_owned));
    if !further.is_empty() {
        let further = further.into_iter();
        let further: Map<String, Json> = further.map(|(k, v)| (k, v.into())).collect();
        body.insert("fields".to_owned(), further.into());
    }
    (body, next)
}

/// Where the browser goes on: a path of the page's own origin, or a page of one that the installation
/// allows. Anything else would let forms lead anywhere in our name.
fn place(call: &Call, installation: &Installation, next: &str) -> Result<HeaderValue, Problem> {
    let origin = call.header(&ORIGIN).unwrap_or_default();
    let place = match local_path(next) {
        Some(path) => Some(format!("{origin}{path}")),
        None => origin_of(next)
            .filter(|origin| installation.allows(origin))
            .map(|_| next.to_owned()),
    };
    let place = place.and_then(|place| HeaderValue::try_from(place).ok());
    place.ok_or_else(|| {
        let mut violations = Violations::default();
        let detail = "must be a path, or a page of an origin that the installation allows";
        violations.add("/next", "origin_not_allowed", detail);
        Problem::invalid(violations)
    })
}

/// The origin of an address; none where browsers might read another one in it.
fn origin_of(url: &str) -> Option<Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let origin = format!("{scheme}://{authority}");
    origin.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{origin_of, read_form, read_lead};

    #[test]
    fn a_form_becomes_the_json_of_scripts() {
        let form = b"token=pk_1&email=a%40b.test&name=&team=10&team=20&utm_source=x\
            &next=%2Fthanks&url=https%3A%2F%2Fa.test%2F&website=";
        let (body, next) = read_form(form);
        assert_eq!(next.as_deref(), Some("/thanks"));
        let expected = json!({
            "token": "pk_1", "email": "a@b.test", "utm_source": "x", "url": "https://a.test/",
            "fields": {"team": "10, 20"},
        });
        assert_eq!(json!(body), expected);
        let read = read_lead(body.into()).unwrap();
        assert!(!read.submission.is_trapped);
        assert_eq!(read.submission.draft.fields["team"], "10, 20");
    }

    #[test]
    fn every_bad_field_is_named() {
        let body = json!({"email": 1, "fields": {"a": 1}, "next": "/x", "website": " "});
        let problem = read_lead(body).unwrap_err();
        let errors = problem.errors.iter();
        let errors: Vec<_> = errors
            .map(|v| format!("{} {}", v.pointer, v.code))
            .collect();
        assert_eq!(
            errors,
            [
                "/token required",
                "/url required",
                "/email wrong_type",
                "/fields wrong_type",
                "/next unknown_field",
            ]
        );
        let trap = json!({"token": "t", "url": "u", "website": "http://spam.test"});
        assert!(read_lead(trap).unwrap().submission.is_trapped);
    }

    #[test]
    fn an_address_has_the_origin_that_browsers_see_in_it() {
        let found = |url: &str| origin_of(url).map(|origin| origin.to_string());
        for (url, origin) in [
            ("https://a.test/thanks?x#y", Some("https://a.test")),
            ("https://A.test:443", Some("https://a.test")),
            ("https://a.test@evil.test/", None),
            ("https://a.test\\@evil.test/", None),
            ("https://a.test\\.evil.test/", None),
            ("https://a.test/ x", None),
            ("https:a.test/", None),
            ("javascript://a.test/%0aalert(1)", None),
            ("//evil.test/", None),
        ] {
            assert_eq!(found(url).as_deref(), origin, "{url}");
        }
    }
}
