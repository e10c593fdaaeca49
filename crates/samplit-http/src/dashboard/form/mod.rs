//! Forms. The names of fields are JSON pointers, so that what was typed becomes the JSON that the API
//! reads, and what the API says of a field comes back to it.
//!
//! A name may end with what the text is: `/share:percent`, `:number`, `:boolean`, `:json`, `:lines`;
//! otherwise it is text. An empty field is absent, or `null` where the name ends with `:clears`.
//! `/scopes/-` adds to a list. Names without a slash in front are for the page alone. Of a name that is
//! sent twice the last counts, so that a hidden `false` may stand before a checkbox.

mod name;
mod tree;
mod words;

use std::collections::BTreeMap;

use hyper::StatusCode;
use samplit_domain::{Violation, Violations};
use serde_json::{Map, Value as Json};

pub(crate) use self::words::sentence;
use self::{
    name::{Kind, Name},
    tree::Node,
    words::words,
};
use crate::{call::Call, problem::Problem};

/// What stands in the fields of a page, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Form {
    /// What fields hold before anything is typed.
    base: Json,
    /// What was typed, by pointer.
    typed: BTreeMap<String, String>,
    /// Whether it was sent: then `base` is not looked at.
    sent: bool,
    /// What was sent under names that are no pointers.
    extras: Vec<(String, String)>,
    json: Json,
    errors: Vec<Violation>,
    note: Option<String>,
    status: StatusCode,
}

impl Form {
    /// Nothing is filled in.
    pub(crate) fn empty() -> Self {
        Self::of(Json::Null)
    }

    /// Filled in with what is there now, in the words of the API.
    pub(crate) fn of(base: Json) -> Self {
        Self {
            base,
            typed: BTreeMap::new(),
            sent: false,
            extras: Vec::new(),
            json: Json::Null,
            errors: Vec::new(),
            note: None,
            status: StatusCode::OK,
        }
    }

    /// The body of a request.
    ///
    /// # Errors
    /// 400 for names that contradict each other, 415 for another body than that of a form, and what
    /// reading a body may fail with.
    pub(crate) async fn read(call: &mut Call) -> Result<Self, Problem> {
        let bytes = call.form_bytes().await?;
        Self::parse(&bytes)
    }

    /// What was sent: in a body, or in the query of an address.
    ///
    /// # Errors
    /// 400 for names that contradict each other.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut form = Self {
            sent: true,
            ..Self::empty()
        };
        let mut root = Node::root();
        for (name, text) in form_urlencoded::parse(bytes).into_owned() {
            if name.starts_with('/') {
                root.put(Name::of(&name), text)?;
            } else {
                form.extras.push((name, text));
            }
        }
        let mut violations = Violations::default();
        let json = root.build("", &mut form.typed, &mut violations);
        form.json = json.unwrap_or_else(|| Json::Object(Map::new()));
        form.errors = violations.0;
        Ok(form)
    }

    /// What was sent, as the API wants it.
    ///
    /// # Errors
    /// 422 with the fields that hold no JSON and should.
    pub(crate) fn json(&self) -> Result<Json, Problem> {
        Violations(self.errors.clone())
            .into_result(self.json.clone())
            .map_err(Problem::invalid)
    }

    /// What was sent under a name that is no pointer; the last, if there are several.
    pub(crate) fn extra(&self, name: &str) -> Option<&str> {
        let mut extras = self.extras.iter().rev();
        let found = extras.find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_str())
    }

    /// What was sent, or what the fields hold before, with texts where something else should be.
    pub(crate) fn content(&self) -> &Json {
        if self.sent { &self.json } else { &self.base }
    }

    /// Every rule that is broken, by field.
    pub(crate) fn errors(&self) -> &[Violation] {
        &self.errors
    }

    /// One of several forms of a page was sent: the fields of the others hold what is there.
    pub(crate) fn over(mut self, base: Json) -> Self {
        self.base = base;
        self.sent = false;
        self
    }

    /// Checks that somebody typed `name` into the field `confirm`, to say that it is meant.
    ///
    /// # Errors
    /// 422 about `confirm`.
    pub(crate) fn confirmed(&self, name: &str) -> Result<(), Problem> {
        let mut violations = Violations::default();
        if self.extra("confirm").map(str::trim) != Some(name.trim()) {
            let detail = format!("must be exactly \u{201c}{}\u{201d}", name.trim());
            violations.add("confirm", "not_confirmed", detail);
        }
        violations.into_result(()).map_err(Problem::invalid)
    }

    /// The form once more with what is wrong with it, if that is something to say beside a form.
    ///
    /// # Errors
    /// `problem`, where it is about more than the form: nobody is signed in, there is no such thing.
    pub(crate) fn refused(mut self, problem: Problem) -> Result<Self, Problem> {
        let beyond = problem.code == "unauthenticated"
            || matches!(
                problem.status,
                StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::INTERNAL_SERVER_ERROR
            );
        if beyond {
            return Err(problem);
        }
        self.note = Some(if problem.code == "sign_in_throttled" {
            let seconds = problem.retry_after().unwrap_or("60");
            format!("Too many passwords were tried. Wait {seconds} seconds, then try again.")
        } else if problem.errors.is_empty() {
            sentence(&problem.detail)
        } else {
            "Some fields need another look. Nothing was saved.".to_owned()
        });
        self.status = problem.status;
        self.errors = problem.errors;
        Ok(self)
    }

    /// The status of a page that shows the form.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong as a whole, in a sentence.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Every field that breaks a rule: the id of its control, and the rule in words.
    pub(crate) fn complaints(&self) -> Vec<(String, String)> {
        let complaint = |error: &Violation| {
            let place = words(&error.pointer);
            let colon = if error.detail.starts_with('`') {
                ":"
            } else {
                ""
            };
            let said = sentence(&format!("{place}{colon} {}", error.detail));
            (id(&error.pointer), said)
        };
        self.errors.iter().map(complaint).collect()
    }

    /// The text in a field.
    pub(crate) fn text(&self, name: &str) -> String {
        let name = Name::of(name);
        let typed = self.typed.get(name.pointer).map(String::as_str);
        if let Some(typed) = typed.or_else(|| self.extra(name.pointer)) {
            return typed.to_owned();
        }
        if self.sent {
            return String::new();
        }
        let json = self.base.pointer(name.pointer).unwrap_or(&Json::Null);
        name.kind.shown(json)
    }

    /// Whether a field that was sent still says what it said of `before`, which may have had more digits.
    pub(crate) fn still_says(&self, name: &str, before: &Json) -> bool {
        let name = Name::of(name);
        let typed = self.typed.get(name.pointer).map(|typed| typed.trim());
        typed.is_some_and(|typed| typed == name.kind.shown(before))
    }

    /// Whether a field holds exactly `text`: for options and boxes.
    pub(crate) fn is(&self, name: &str, text: &str) -> bool {
        self.text(name) == text
    }

    /// Whether a list of texts has `text` in it.
    pub(crate) fn has(&self, list: &str, text: &str) -> bool {
        if self.sent {
            let in_list = |pointer: &str| {
                let rest = pointer.strip_prefix(list);
                rest.is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/'))
            };
            let mut typed = self.typed.iter();
            return typed.any(|(pointer, typed)| typed == text && in_list(pointer));
        }
        let items = self.base.pointer(list).and_then(Json::as_array);
        items.is_some_and(|items| items.iter().any(|item| item == text))
    }

    /// How many items a list has.
    pub(crate) fn items(&self, list: &str) -> usize {
        let json = if self.sent { &self.json } else { &self.base };
        json.pointer(list)
            .and_then(Json::as_array)
            .map_or(0, Vec::len)
    }

    /// What is wrong with a field or, where it holds a list or an object, with anything in it.
    pub(crate) fn error(&self, name: &str) -> Option<String> {
        let name = Name::of(name);
        let whole = matches!(name.kind, Kind::Json | Kind::Lines);
        let about = |error: &&Violation| {
            let rest = error.pointer.strip_prefix(name.pointer);
            rest.is_some_and(|rest| rest.is_empty() || (whole && rest.starts_with('/')))
        };
        let said = |error: &Violation| match error.pointer[name.pointer.len()..].strip_prefix('/') {
            Some(rest) => sentence(&format!("{} {}", words(rest), error.detail)),
            // Some begin with what was typed.
            None if error.detail.starts_with('`') => sentence(&error.detail),
            None => sentence(&format!("this {}", error.detail)),
        };
        let said: Vec<String> = self.errors.iter().filter(about).map(said).collect();
        (!said.is_empty()).then(|| said.join(" "))
    }
}

/// The id of the control of a field.
pub(crate) fn id(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let pointer = Name::of(name).pointer.trim_start_matches('/');
    format!("f-{}", pointer.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use samplit_domain::Violations;
    use serde_json::{Value as Json, json};

    use super::{Form, Kind, id};
    use crate::problem::Problem;

    fn sent(pairs: &[(&str, &str)]) -> Form {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        Form::parse(body.as_bytes()).unwrap()
    }

    fn read(pairs: &[(&str, &str)]) -> Json {
        sent(pairs).json().unwrap()
    }

    #[test]
    fn names_say_where_text_goes_and_what_it_is() {
        let json = read(&[
            ("/name", " Button\r\ncolour "),
            ("/empty", ""),
            ("/description:clears", ""),
            ("/traffic_allocation:percent", "12.5 %"),
            ("/count:number", "12 345"),
            ("/rate:number", "0.5"),
            ("/wrong:number", "many"),
            ("/on:boolean", "false"),
            ("/on:boolean", "true"),
            ("/content:json", "{\"text\": \"Buy\"}"),
            (
                "/origins:lines",
                " https://a.example \r\n\r\nhttps://b.example",
            ),
            ("/nothing:lines:clears", " \r\n"),
            ("/a~1b", "slash"),
            ("next", "/experiments"),
        ]);
        let expected = json!({
            "name": " Button\ncolour ",
            "description": null,
            "traffic_allocation": 0.125,
            "count": 12345,
            "rate": 0.5,
            "wrong": "many",
            "on": true,
            "content": {"text": "Buy"},
            "origins": ["https://a.example", "https://b.example"],
            "nothing": [],
            "a/b": "slash",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn lists_close_up_where_nothing_was_typed() {
        let form = sent(&[
            ("/scopes/-", "read"),
            ("/scopes/-", "assign"),
            ("/variants/10/name", "third"),
            ("/variants/2/name", "second"),
            ("/variants/2/is_control:boolean", "false"),
            ("/variants/1/name", ""),
            ("/variants/0/name", "first"),
        ]);
        let expected = json!({
            "scopes": ["read", "assign"],
            "variants": [
                {"name": "first"}, {"name": "second", "is_control": false}, {"name": "third"},
            ],
        });
        assert_eq!(form.json().unwrap(), expected);
        assert_eq!(form.text("/variants/2/name"), "third");
        assert_eq!((form.items("/variants"), form.items("/goals")), (3, 0));
        assert!(form.has("/scopes", "assign") && !form.has("/scopes", "manage"));
    }

    #[test]
    fn names_that_contradict_each_other_are_refused() {
        for body in ["%2Fa=1&%2Fa%2Fb=2", "%2Fa%2Fb=2&%2Fa=1", &"%2Fa".repeat(13)] {
            let problem = Form::parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code, "malformed_form", "{body}");
        }
    }

    #[test]
    fn what_is_there_fills_the_fields() {
        let form = Form::of(json!({
            "name": "Button", "share": 0.07, "on": false, "origins": ["a", "b"],
            "content": {"a": 1}, "days": 7.0, "none": null,
        }));
        for (name, text) in [
            ("/name", "Button"),
            ("/share:percent", "7"),
            ("/on:boolean", "false"),
            ("/origins:lines", "a\nb"),
            ("/content:json", "{\n  \"a\": 1\n}"),
            ("/days:number", "7"),
            ("/none", ""),
            ("/missing/deeper", ""),
        ] {
            assert_eq!(form.text(name), text, "{name}");
        }
        assert!(form.is("/on:boolean", "false") && form.has("/origins", "b"));
        assert_eq!(form.items("/origins"), 2);
    }

    #[test]
    fn a_refusal_comes_back_to_its_fields_with_what_was_typed() {
        let mut violations = Violations::default();
        violations.add("/elements/0/variants/1/name", "required", "is missing");
        violations.add("/origins/1", "malformed", "must be an origin");
        let form = sent(&[("/name", "kept"), ("/origins:lines", "a\nb")]);
        let form = form.refused(Problem::invalid(violations)).unwrap();
        assert_eq!(form.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(form.text("/name"), "kept");
        let error = form.error("/elements/0/variants/1/name");
        assert_eq!(error.as_deref(), Some("This is missing."));
        let error = form.error("/origins:lines");
        assert_eq!(error.as_deref(), Some("Line 2 must be an origin."));
        assert_eq!(form.error("/name"), None);
        let complaints = form.complaints();
        assert_eq!(
            complaints[0],
            (
                "f-elements-0-variants-1-name".to_owned(),
                "Element 1, variant 2, name is missing.".to_owned()
            )
        );
        assert_eq!(complaints[0].0, id("/elements/0/variants/1/name:clears"));
    }

    #[test]
    fn text_that_is_no_json_is_said_beside_its_field() {
        let form = sent(&[("/content:json", "{")]);
        let problem = form.json().unwrap_err();
        let form = form.refused(problem).unwrap();
        let error = form.error("/content:json").unwrap();
        assert!(error.starts_with("This is not valid JSON"), "{error}");
        assert_eq!(form.text("/content:json"), "{");
    }

    #[test]
    fn a_share_that_nobody_touched_is_the_same_share() {
        for thousandths in 1..=1000_u32 {
            let share = f64::from(thousandths) / 1000.0;
            let shown = Kind::Percent.shown(&json!(share));
            let form = sent(&[("/share:percent", &shown)]);
            assert_eq!(form.json().unwrap()["share"], json!(share), "{shown}");
        }
        let third = json!(1.0 / 3.0);
        let shown = Kind::Percent.shown(&third);
        assert!(sent(&[("/share:percent", &shown)]).still_says("/share:percent", &third));
        assert!(!sent(&[("/share:percent", "40")]).still_says("/share:percent", &third));
        assert!(!sent(&[]).still_says("/share:percent", &third));
    }

    #[test]
    fn what_was_typed_in_one_form_stands_beside_what_is_there() {
        let form = sent(&[("/verify/url", "typed")]).over(json!({ "name": "kept" }));
        assert_eq!(form.text("/verify/url"), "typed");
        assert_eq!(form.text("/name"), "kept");
        assert_eq!(form.content()["name"], "kept");
    }

    #[test]
    fn what_is_meant_is_typed() {
        let form = |text| sent(&[("confirm", text)]);
        assert!(form(" Button colour ").confirmed("Button colour").is_ok());
        let form = form("button colour");
        let problem = form.confirmed("Button colour").unwrap_err();
        let form = form.refused(problem).unwrap();
        let error = form.error("confirm").unwrap();
        assert_eq!(error, "This must be exactly \u{201c}Button colour\u{201d}.");
        assert_eq!(form.text("confirm"), "button colour");
    }

    #[test]
    fn what_is_no_matter_of_a_form_passes_it_by() {
        for problem in [Problem::unauthenticated(), Problem::not_found("user")] {
            assert!(sent(&[]).refused(problem).is_err());
        }
        let busy = Problem::unavailable("overloaded", "too many requests are waiting", 1);
        let form = sent(&[]).refused(busy).unwrap();
        assert_eq!(form.note(), Some("Too many requests are waiting."));
    }
}
