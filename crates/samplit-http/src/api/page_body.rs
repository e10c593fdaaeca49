//! Reads what pages send.

use samplit_domain::{Happened, MAX_PAGE_EVENTS, PageEvent, Violations};
use serde_json::{Map, Value as Json};

use crate::{
    fields::{Fields, merge},
    problem::Problem,
};

/// Who asks: the members that both requests have.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) token: String,
    pub(crate) visitor: Option<String>,
    pub(crate) session: Option<String>,
}

impl Asker {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            token: fields.required("token"),
            visitor: fields.optional("visitor_id"),
            session: fields.optional("session_id"),
        }
    }
}

/// What a page asks.
#[derive(Debug)]
pub(crate) struct PageBody {
    pub(crate) asker: Asker,
    pub(crate) url: String,
    pub(crate) context: Map<String, Json>,
    /// The token of a link that shows chosen variants.
    pub(crate) preview: Option<String>,
}

/// Reads the body of `/v1/page`.
///
/// # Errors
/// 422 with every field of the wrong type; the rules are the engine's to check.
pub(crate) fn read_page(body: Json) -> Result<PageBody, Problem> {
    let mut violations = Violations::default();
    let page = Fields::read(body, String::new(), &mut violations, |fields| PageBody {
        asker: Asker::read(fields),
        url: fields.required("url"),
        context: fields.optional("context").unwrap_or_default(),
        preview: fields.optional("preview"),
    });
    violations.into_result(page).map_err(Problem::invalid)
}

/// One event of a report, or the id, if it has one, of what is none.
pub(crate) type Reported = Result<PageEvent, String>;

/// Reads the body of `/v1/events`. What is wrong with one event, which some page has put together by
/// itself, spoils no other.
///
/// # Errors
/// 422 with every bad field but those of the events.
pub(crate) fn read_events(body: Json) -> Result<(Asker, Vec<Reported>), Problem> {
    let mut violations = Violations::default();
    let (asker, events) = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.require("events");
        let events: Vec<Json> = fields.optional("events").unwrap_or_default();
        (Asker::read(fields), events)
    });
    let mut rules = Violations::default();
    if !(1..=MAX_PAGE_EVENTS).contains(&events.len()) {
        let detail = format!(
            "has {} events, 1 to {MAX_PAGE_EVENTS} are allowed",
            events.len()
        );
        rules.add("/events", "out_of_range", detail);
    }
    merge(&mut violations, rules);
    let events = events.into_iter().map(reported).collect();
    violations
        .into_result((asker, events))
        .map_err(Problem::invalid)
}

pub(crate) fn reported(body: Json) -> Reported {
    let id = body["event_id"].as_str().unwrap_or_default().to_owned();
    let mut violations = Violations::default();
    let event = Fields::read(body, String::new(), &mut violations, event);
    if let Some(event) = &event {
        event.check("", &mut violations);
    }
    event.filter(|_| violations.0.is_empty()).ok_or(id)
}

/// `None` where something is wrong, which is noted then.
fn event(fields: &mut Fields<'_>) -> Option<PageEvent> {
    let kind: String = fields.required("type");
    for name in ["experiment_id", "event_id"] {
        fields.require(name);
    }
    let experiment_id = fields.word("experiment_id");
    let id: Option<String> = fields.optional("event_id");
    let what = match kind.as_str() {
        "exposure" => Some(Happened::Exposure),
        "conversion" => Some(Happened::Conversion {
            goal: fields.optional("goal"),
            value: fields.optional("value"),
        }),
        "no_match" => {
            fields.require("element_id");
            let url = fields.required("url");
            let element = fields.word("element_id");
            element.map(|element_id| Happened::NoMatch { element_id, url })
        }
        "" => None,
        _ => {
            let detail = format!("`{kind}` is not one of `exposure` `conversion` `no_match`");
            fields.refuse("type", "unknown_value", detail);
            None
        }
    };
    Some(PageEvent {
        id: id?,
        experiment_id: experiment_id?,
        what: what?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{read_events, read_page};
    use crate::problem::Problem;

    const ID: &str = "0197f0a0-0000-7000-8000-000000000001";

    fn errors<T>(outcome: Result<T, Problem>) -> Vec<String> {
        let errors = outcome.err().map(|problem| problem.errors);
        let errors = errors.into_iter().flatten();
        errors
            .map(|v| format!("{} {}", v.pointer, v.code))
            .collect()
    }

    #[test]
    fn every_bad_field_of_a_page_is_named() {
        let good = json!({"token": "pk_1", "url": "https://a.test/", "visitor_id": null,
            "session_id": "s", "context": {"device": "phone"}, "preview": "p"});
        assert_eq!(errors(read_page(good)), [""; 0]);
        assert_eq!(
            errors(read_page(json!({"url": 1, "context": [], "x": 1}))),
            [
                "/token required",
                "/url wrong_type",
                "/context wrong_type",
                "/x unknown_field"
            ]
        );
    }

    #[test]
    fn one_bad_event_spoils_no_other() {
        let report = |events: Json| json!({"token": "pk_1", "visitor_id": "v", "events": events});
        let good = json!([
            {"type": "exposure", "experiment_id": ID, "event_id": "1"},
            {"type": "conversion", "experiment_id": ID, "event_id": "2", "goal": null, "value": 3},
            {"type": "no_match", "experiment_id": ID, "event_id": "3", "element_id": ID,
                "url": "https://a.test/"},
        ]);
        let read = |events: Json| read_events(report(events)).unwrap().1;
        assert!(read(good).iter().all(Result::is_ok));
        let mixed = read(json!([
            {"type": "seen", "experiment_id": ID, "event_id": "1"},
            {"type": "exposure", "experiment_id": "x"},
            {"type": "conversion", "experiment_id": ID, "event_id": "3", "value": "59.90"},
            {"type": "exposure", "experiment_id": ID, "event_id": "4"},
            {"type": "no_match", "experiment_id": ID, "event_id": "5", "element_id": ID, "url": "a"},
            {"type": "exposure", "experiment_id": ID, "event_id": 6},
            {},
            7,
        ]));
        let ids = mixed.iter().map(|event| match event {
            Ok(event) => format!("good {}", event.id),
            Err(id) => id.clone(),
        });
        let ids: Vec<String> = ids.collect();
        assert_eq!(ids, ["1", "", "3", "good 4", "5", "", "", ""]);
    }

    #[test]
    fn a_report_has_events_and_not_too_many() {
        let report = |events: Json| json!({"token": "pk_1", "visitor_id": "v", "events": events});
        assert_eq!(
            errors(read_events(report(json!([])))),
            ["/events out_of_range"]
        );
        assert_eq!(
            errors(read_events(report(Json::Null))),
            ["/events required"]
        );
        let one = json!({"type": "exposure", "experiment_id": ID, "event_id": "1"});
        let many = Json::from(vec![one; 51]);
        assert_eq!(errors(read_events(report(many))), ["/events out_of_range"]);
    }
}
