//! What pages ask and report, from other origins than ours.

use std::sync::Arc;

use hyper::{
    StatusCode,
    header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use samplit_domain::{
    AssignmentId, Element, ElementId, ElementType, ExperimentId, FunnelWatch, Goal, GoalKind,
    GoalTrigger, Installation, Selector, VariantId, Violations, Visit,
};
use samplit_engine::{Assigned, EventOutcome, NotRecorded, PageView, SelectorHint};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page_body::{Asker, read_events, read_page};
use crate::{
    call::Call,
    cors::{Admitted, Cors},
    header_text::header_text,
    problem::Problem,
    response::{Reply, json},
};

/// The cookie that holds the visitor, where page and server are one site.
const VISITOR_COOKIE: &str = "samplit_visitor";

/// 400 days, the longest that browsers keep a cookie.
const COOKIE_SECONDS: u32 = 400 * 24 * 3_600;

/// What of an identifier is escaped in the cookie: all but letters, digits, `-`, `.`, `_` and `~`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is looked at of what the browser says it is, in bytes.
const MAX_USER_AGENT: usize = 1_024;

const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// `POST /v1/page`
pub(crate) async fn page(mut call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = decide(&mut call, &mut cors).await;
    cors.complete(outcome)
}

async fn decide(call: &mut Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let body = read_page(call.page_json().await?)?;
    let (installation, admitted) = enter(call, cors, &body.asker).await?;
    let engine = &call.app.engine;
    if let Some(token) = &body.preview {
        let view = engine.preview(&installation, token).await?;
        let reply = PageReply::new(None, &view, &installation);
        return Ok(json(StatusCode::OK, &reply));
    }
    let said = Said::by(call);
    let visit = visit(call, &said, &body.asker);
    let is_private = installation.is_private(&visit);
    let visitor = known_visitor(&visit, admitted, &body.asker);
    let visitor = match visitor {
        None if !is_private => Some(engine.new_visitor()),
        visitor => visitor.filter(|_| !is_private),
    };
    let visit = Visit {
        visitor: visitor.as_deref().unwrap_or_default(),
        url: Some(&body.url),
        ..visit
    };
    let view = engine.page(&installation, &visit, &body.context).await?;
    let mut reply = json(
        StatusCode::OK,
        &PageReply::new(visitor.as_deref(), &view, &installation),
    );
    if let Some(visitor) = visitor.filter(|_| admitted.is_same_site) {
        let cookie = cookie(&visitor, admitted.is_secure);
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(reply)
}

/// `POST /v1/events`
pub(crate) async fn events(mut call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = count(&mut call, &mut cors).await;
    cors.complete(outcome)
}

async fn count(call: &mut Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let (asker, events) = read_events(call.page_json().await?)?;
    let (installation, admitted) = enter(call, cors, &asker).await?;
    let said = Said::by(call);
    let visit = visit(call, &said, &asker);
    let visitor = known_visitor(&visit, admitted, &asker).unwrap_or_default();
    let visit = Visit {
        visitor: &visitor,
        ..visit
    };
    let engine = &call.app.engine;
    let good: Vec<_> = events.iter().flatten().cloned().collect();
    let outcomes = engine.page_events(&installation, &visit, &good).await?;
    let mut outcomes = outcomes.into_iter();
    let results = events.iter().map(|event| match event {
        Ok(event) => {
            let outcome = outcomes.next().expect("one outcome for each good event");
            EventReply::new(&event.id, outcome)
        }
        Err(id) => EventReply {
            event_id: id,
            status: "ignored",
            code: Some("invalid"),
        },
    });
    let reply = EventsReply {
        results: results.collect(),
    };
    Ok(json(StatusCode::OK, &reply))
}

/// Who asks, and from where: the token, the origin, and how often.
async fn enter(
    call: &Call,
    cors: &mut Cors,
    asker: &Asker,
) -> Result<(Arc<Installation>, Admitted), Problem> {
    let installation = call.open_installation(&asker.token).await?;
    let admitted = cors.admit(call, &installation)?;
    call.check_page_limit(&installation)?;
    let engine = &call.app.engine;
    engine.installation_seen(&installation, admitted.is_of_domain);
    Ok((installation, admitted))
}

/// What the browser says of itself.
pub(super) struct Said {
    user_agent: Option<String>,
    cookies: Option<String>,
}

impl Said {
    pub(super) fn by(call: &Call) -> Self {
        let headers = &call.head.headers;
        let mut user_agent = header_text(headers, &USER_AGENT, b" ");
        if let Some(agent) = &mut user_agent {
            // The beginning tells, and every rule of the account looks at it.
            agent.truncate(agent.floor_char_boundary(MAX_USER_AGENT));
        }
        Self {
            user_agent,
            cookies: header_text(headers, &COOKIE, b"; "),
        }
    }
}

/// What the request says of the visit, but for the visitor and the page.
pub(super) fn visit<'a>(call: &Call, said: &'a Said, asker: &'a Asker) -> Visit<'a> {
    Visit {
        visitor: "",
        session: asker.session.as_deref(),
        ip: Some(call.client_address()),
        user_agent: said.user_agent.as_deref(),
        url: None,
        cookies: said.cookies.as_deref(),
        gpc: call.header(&SEC_GPC) == Some("1"),
    }
}

/// The visitor of our cookie, else the one that the page names.
pub(super) fn known_visitor(
    visit: &Visit<'_>,
    admitted: Admitted,
    asker: &Asker,
) -> Option<String> {
    let cookie = visit
        .cookie(VISITOR_COOKIE)
        .filter(|_| admitted.is_same_site);
    let cookie = cookie.and_then(|value| percent_decode_str(value).decode_utf8().ok());
    // Anybody can write the header; one that no visitor can have is not ours.
    let cookie = cookie.filter(|visitor| {
        let mut violations = Violations::default();
        violations.visitor("", visitor);
        violations.0.is_empty()
    });
    let cookie = cookie.map(|visitor| visitor.into_owned());
    cookie.or_else(|| asker.visitor.clone())
}

fn cookie(visitor: &str, is_secure: bool) -> HeaderValue {
    let value = utf8_percent_encode(visitor, ESCAPED);
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!(
        "{VISITOR_COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::try_from(cookie).expect("what is escaped is legal in a header")
}

#[derive(Serialize, ToSchema)]
#[schema(as = PageShown)]
pub(crate) struct PageReply<'a> {
    visitor_id: Option<&'a str>,
    experiments: Vec<OnPage<'a>>,
    selectors: &'a [SelectorHint],
    /// What funnels wait for: the snippet remembers it as it does the goal of an experiment, and reports it as a
    /// conversion with this id.
    steps: Vec<StepOnPage<'a>>,
    hide_ms: u32,
    raw_html: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StepOnPage<'a> {
    /// Of the node or the edge.
    id: Uuid,
    /// Always `true`.
    in_experiment: bool,
    goal: StepGoal<'a>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StepGoal<'a> {
    name: &'a str,
    trigger: &'a GoalTrigger,
    /// Always `false`: what is told is still to be done, whatever the snippet remembers of it.
    #[serde(rename = "isDone")]
    is_done: bool,
}

impl<'a> PageReply<'a> {
    fn new(visitor_id: Option<&'a str>, view: &'a PageView, installation: &Installation) -> Self {
        Self {
            visitor_id,
            experiments: view.experiments.iter().map(OnPage::new).collect(),
            selectors: &view.selectors,
            steps: view.steps.iter().map(StepOnPage::new).collect(),
            hide_ms: installation.hide_timeout_ms,
            raw_html: installation.allow_raw_html,
        }
    }
}

impl<'a> StepOnPage<'a> {
    fn new(watch: &'a FunnelWatch) -> Self {
        Self {
            id: watch.id,
            in_experiment: true,
            goal: StepGoal {
                name: &watch.name,
                trigger: &watch.trigger,
                is_done: false,
            },
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExperimentOnPage)]
pub(crate) struct OnPage<'a> {
    id: ExperimentId,
    key: Option<&'a str>,
    name: &'a str,
    in_experiment: bool,
    reason: Option<&'static str>,
    assignment_id: Option<AssignmentId>,
    goal: Option<GoalOnPage<'a>>,
    elements: Vec<ElementOnPage<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GoalOnPage<'a> {
    name: &'a str,
    kind: GoalKind,
    default_value: f64,
    trigger: Option<&'a GoalTrigger>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ElementOnPage<'a> {
    id: ElementId,
    name: &'a str,
    r#type: Option<ElementType>,
    selectors: Vec<&'a Selector>,
    variant: VariantOnPage<'a>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VariantOnPage<'a> {
    id: VariantId,
    name: &'a str,
    is_control: bool,
    content: &'a Json,
}

impl<'a> OnPage<'a> {
    fn new(assigned: &'a Assigned) -> Self {
        let experiment = &*assigned.experiment;
        let elements = experiment.elements.iter().zip(assigned.variants.iter());
        Self {
            id: experiment.id,
            key: experiment.key.as_deref(),
            name: &experiment.name,
            in_experiment: assigned.in_experiment,
            reason: assigned.reason.map(NotRecorded::as_str),
            assignment_id: assigned.assignment_id,
            goal: experiment.goals.first().map(GoalOnPage::new),
            elements: elements
                .filter_map(|(element, variant)| ElementOnPage::new(element, *variant))
                .collect(),
        }
    }
}

impl<'a> GoalOnPage<'a> {
    fn new(goal: &'a Goal) -> Self {
        Self {
            name: &goal.name,
            kind: goal.kind,
            default_value: goal.default_value,
            trigger: goal.trigger.as_ref(),
        }
    }
}

impl<'a> ElementOnPage<'a> {
    /// `None` for an element that a page cannot find.
    fn new(element: &'a Element, shown: VariantId) -> Option<Self> {
        let first = element.selector.as_ref()?;
        let variant = element
            .variants
            .iter()
            .find(|variant| variant.id == shown)?;
        Some(Self {
            id: element.id,
            name: &element.name,
            r#type: element.element_type,
            selectors: [first]
                .into_iter()
                .chain(&element.fallback_selectors)
                .collect(),
            variant: VariantOnPage {
                id: variant.id,
                name: &variant.name,
                is_control: variant.is_control,
                content: &variant.content,
            },
        })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
pub(crate) struct EventsReply<'a> {
    results: Vec<EventReply<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventReply<'a> {
    event_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl<'a> EventReply<'a> {
    fn new(event_id: &'a str, outcome: EventOutcome) -> Self {
        let (status, code) = match outcome {
            EventOutcome::Recorded => ("recorded", None),
            EventOutcome::Duplicate => ("duplicate", None),
            EventOutcome::NotReached => ("ignored", Some("not_reached")),
            EventOutcome::NotRecorded(reason) => ("ignored", Some(reason.as_str())),
            EventOutcome::Refused(error) => ("ignored", Some(Problem::from(error).code)),
        };
        Self {
            event_id,
            status,
            code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn whatever_a_visitor_is_called_the_cookie_stays_one() {
        assert_eq!(
            cookie("a;b \u{f1}", true),
            "samplit_visitor=a%3Bb%20%C3%B1; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(!cookie("a", false).to_str().unwrap().contains("Secure"));
    }
}
