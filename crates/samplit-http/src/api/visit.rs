//! Reads the bodies of assign and convert: a quick way for good ones, a slow one to explain bad ones.

use samplit_domain::{Assign, Convert, Violations};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    call::parse,
    fields::{Fields, merge},
    json::StrictMap,
    problem::Problem,
};

/// The most requests in one batch.
const MAX_BATCH: usize = 1_000;

/// A request of a visitor. Both ways of reading it follow the same rules.
pub(crate) trait Visit: Sized {
    /// What a good body deserializes to.
    type Body: DeserializeOwned + Into<Self>;

    /// Reads field by field, noting every bad one.
    fn read(fields: &mut Fields<'_>) -> Self;

    fn check(&self) -> Result<(), Violations>;
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Assign)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignBody {
    visitor_id: String,
    session_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    context: Option<StrictMap>,
}

impl From<AssignBody> for Assign {
    fn from(body: AssignBody) -> Self {
        Self {
            visitor: body.visitor_id,
            session: body.session_id,
            context: body.context.map(|StrictMap(map)| map).unwrap_or_default(),
        }
    }
}

impl Visit for Assign {
    type Body = AssignBody;

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            visitor: fields.required("visitor_id"),
            session: fields.optional("session_id"),
            context: fields.optional("context").unwrap_or_default(),
        }
    }

    fn check(&self) -> Result<(), Violations> {
        self.check()
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Convert)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConvertBody {
    visitor_id: String,
    goal: Option<String>,
    value: Option<f64>,
    event_id: Option<String>,
}

impl From<ConvertBody> for Convert {
    fn from(body: ConvertBody) -> Self {
        Self {
            visitor: body.visitor_id,
            goal: body.goal,
            value: body.value,
            event_id: body.event_id,
        }
    }
}

impl Visit for Convert {
    type Body = ConvertBody;

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            visitor: fields.required("visitor_id"),
            goal: fields.optional("goal"),
            value: fields.optional("value"),
            event_id: fields.optional("event_id"),
        }
    }

    fn check(&self) -> Result<(), Violations> {
        self.check()
    }
}

/// The request in a body. Its types are right then; the rules are the engine's to check.
///
/// # Errors
/// 400 for a body that is no JSON; 422 with every bad field.
pub(crate) fn read_one<V: Visit>(body: &[u8]) -> Result<V, Problem> {
    match serde_json::from_slice::<V::Body>(body) {
        Ok(body) => Ok(body.into()),
        Err(_) => explain(parse(body)?),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch<T> {
    #[schema(min_items = 1, max_items = 1_000)]
    requests: Vec<T>,
}

/// The requests in the body of a batch, each good or refused by itself. The pointers of a refusal
/// begin at its own request.
///
/// # Errors
/// 400 for a body that is no JSON; 422 when it is no batch of 1 to 1,000 requests.
pub(crate) fn read_batch<V: Visit>(body: &[u8]) -> Result<Vec<Result<V, Problem>>, Problem> {
    let visits: Vec<_> = match serde_json::from_slice::<Batch<V::Body>>(body) {
        Ok(batch) => batch
            .requests
            .into_iter()
            .map(|body| Ok(body.into()))
            .collect(),
        Err(_) => explain_batch(parse(body)?)?
            .into_iter()
            .map(explain)
            .collect(),
    };
    if (1..=MAX_BATCH).contains(&visits.len()) {
        return Ok(visits);
    }
    let mut violations = Violations::default();
    let detail = format!(
        "has {} requests, 1 to {MAX_BATCH} are allowed",
        visits.len()
    );
    violations.add("/requests", "out_of_range", detail);
    Err(Problem::invalid(violations))
}

/// Reads a request field by field, to name all that is wrong with it.
fn explain<V: Visit>(json: Json) -> Result<V, Problem> {
    let mut violations = Violations::default();
    let visit = Fields::read(json, String::new(), &mut violations, V::read);
    if let Err(rules) = visit.check() {
        merge(&mut violations, rules);
    }
    violations.into_result(visit).map_err(Problem::invalid)
}

fn explain_batch(json: Json) -> Result<Vec<Json>, Problem> {
    let mut violations = Violations::default();
    let items = Fields::read(json, String::new(), &mut violations, |fields| {
        fields.required("requests")
    });
    violations.into_result(items).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use samplit_domain::{Assign, Convert};
    use serde_json::{Value as Json, json};

    use super::{Problem, Visit, explain, read_batch, read_one};

    fn refusal(problem: &Problem) -> String {
        let mut text = format!("{} {}", problem.status.as_u16(), problem.code);
        for error in &problem.errors {
            text.push_str(&format!(" {}:{}", error.pointer, error.code));
        }
        text
    }

    /// Reads a body and checks the rules, as the engine does.
    fn checked<V: Visit>(body: &[u8]) -> Result<V, Problem> {
        let visit: V = read_one(body)?;
        visit.check().map_err(Problem::invalid)?;
        Ok(visit)
    }

    fn outcome<V: Visit + std::fmt::Debug>(body: &str) -> String {
        match checked::<V>(body.as_bytes()) {
            Ok(visit) => format!("{visit:?}"),
            Err(problem) => refusal(&problem),
        }
    }

    #[test]
    fn a_bad_assign_is_refused_with_all_its_fields() {
        let long = "x".repeat(256);
        let cases = [
            (String::new(), "400 malformed_json"),
            ("{\"visitor_id\": NaN}".to_owned(), "400 malformed_json"),
            ("{\"visitor_id\":\"a\"} x".to_owned(), "400 malformed_json"),
            (
                "{\"visitor_id\":\"a\",\"visitor_id\":\"b\"}".to_owned(),
                "400 malformed_json",
            ),
            (
                "{\"visitor_id\":\"a\",\"context\":{\"k\":1,\"k\":2}}".to_owned(),
                "400 malformed_json",
            ),
            ("[]".to_owned(), "422 invalid :wrong_type"),
            ("{}".to_owned(), "422 invalid /visitor_id:required"),
            (
                json!({"visitor_id": ""}).to_string(),
                "422 invalid /visitor_id:required",
            ),
            (
                json!({"visitor_id": 1, "session_id": long, "context": [], "user": "x"})
                    .to_string(),
                "422 invalid /visitor_id:wrong_type /context:wrong_type /user:unknown_field \
                 /session_id:too_long",
            ),
            (
                json!({"visitor_id": long}).to_string(),
                "422 invalid /visitor_id:too_long",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(outcome::<Assign>(&body), expected, "{body}");
        }
    }

    #[test]
    fn a_bad_convert_is_refused_with_all_its_fields() {
        let cases = [
            (
                json!({"visitor_id": "a", "value": -1}),
                "422 invalid /value:out_of_range",
            ),
            (
                json!({"visitor_id": "a", "value": "1"}),
                "422 invalid /value:wrong_type",
            ),
            (
                json!({"goal": "", "event_id": 7, "x": 1}),
                "422 invalid /visitor_id:required /event_id:wrong_type /x:unknown_field \
                 /goal:required",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(outcome::<Convert>(&body.to_string()), expected, "{body}");
        }
        assert_eq!(
            outcome::<Convert>(r#"{"visitor_id":"a","value":1e999}"#),
            "400 malformed_json"
        );
        assert_eq!(
            outcome::<Convert>(r#"{"visitor_id":"a","value":NaN}"#),
            "400 malformed_json"
        );
    }

    #[test]
    fn a_bad_item_of_a_batch_does_not_spoil_its_neighbours() {
        let body = |requests: Json| json!({ "requests": requests }).to_string();
        let items = |body: &str| match read_batch::<Assign>(body.as_bytes()) {
            Ok(items) => items
                .iter()
                .map(|item| match item {
                    Ok(assign) => assign.visitor.clone(),
                    Err(problem) => refusal(problem),
                })
                .collect(),
            Err(problem) => vec![refusal(&problem)],
        };
        assert_eq!(
            items(&body(
                json!([{"visitor_id": "a"}, {}, {"visitor_id": "c", "x": 1}, 4])
            )),
            [
                "a",
                "422 invalid /visitor_id:required",
                "422 invalid /x:unknown_field",
                "422 invalid :wrong_type"
            ]
        );
        for (bad, expected) in [
            (body(json!([])), "422 invalid /requests:out_of_range"),
            (
                body(json!(vec![json!({}); 1001])),
                "422 invalid /requests:out_of_range",
            ),
            (body(json!({})), "422 invalid /requests:wrong_type"),
            ("{}".to_owned(), "422 invalid /requests:required"),
            (
                r#"{"requests":[{"visitor_id":"a"}],"more":1}"#.to_owned(),
                "422 invalid /more:unknown_field",
            ),
        ] {
            assert_eq!(items(&bad), [expected]);
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_agree(
            visitor in prop_oneof![Just(json!("v")), Just(json!("")), Just(json!(3)), Just(Json::Null)],
            session in prop_oneof![Just(json!("s")), Just(json!(false)), Just(Json::Null)],
            context in prop_oneof![Just(json!({"a": 1})), Just(json!("x")), Just(Json::Null)],
        ) {
            let json = json!({"visitor_id": visitor, "session_id": session, "context": context});
            let quick = checked::<Assign>(json.to_string().as_bytes());
            let slow = explain::<Assign>(json);
            prop_assert_eq!(quick.map_err(|p| refusal(&p)), slow.map_err(|p| refusal(&p)));
        }
    }
}
