//! `/forecast`: how long an experiment may take, before there is one. What is asked stands in the
//! address, so that an answer can be kept and sent on.

use askama::Template;
use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::{
    field::Choice,
    form::Form,
    format::share,
    layout::{Frame, Section, html},
    outlook::{Outlook, Plan, Told},
};
use crate::{call::Call, problem::Problem, response::Reply};

/// What the smallest lift is multiplied by, to see what a bolder or a smaller change would take.
const OTHERS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// The most variants that are planned for.
const MAX_ARMS: u64 = 64;

#[derive(Template)]
#[template(path = "dashboard/planner.html")]
struct PlannerPage<'f> {
    frame: Frame,
    form: &'f Form,
    outlook: Outlook,
    /// The same for other lifts.
    others: Vec<(String, Told)>,
    /// The query of the page, for the form of an experiment.
    query: String,
}

/// `GET /forecast`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let query = call.head.uri.query().unwrap_or_default();
    let asked = Form::parse(query.as_bytes())?;
    let is_asked = asked.content().get("stopping").is_some();
    let form = if is_asked { asked } else { Form::of(usual()) };
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let content = with_variants(form.content());
    let outlook = Outlook::of_form(engine, who, &content).await?;
    let mut others = Vec::new();
    if let (Outlook::Told(_), Ok(plan)) = (&outlook, Plan::of_form(&content)) {
        for factor in OTHERS {
            let other = Plan {
                effect: plan.effect * factor,
                ..plan.clone()
            };
            if let Ok(told) = other.forecast(engine, who).await? {
                others.push((share(other.effect), other.told(&told)));
            }
        }
    }
    let page = PlannerPage {
        frame: Frame::new(&call, &signed_in, Section::Forecast, "Forecast"),
        form: &form,
        outlook,
        others,
        query: if is_asked {
            query.to_owned()
        } else {
            String::new()
        },
    };
    Ok(html(StatusCode::OK, &page))
}

fn usual() -> Json {
    json!({
        "stopping": samplit_domain::Stopping::default(),
        "hypothesis": { "minimum_effect": 0.1 },
        "forecast": { "visitors_per_day": 1_000, "variants": 2 },
        "allocation_strategy": "adaptive",
    })
}

/// The plan in the shape of the form of an experiment: with as many variants as are asked for.
fn with_variants(form: &Json) -> Json {
    let variants = form.pointer("/forecast/variants").and_then(Json::as_u64);
    let variants = variants
        .filter(|variants| *variants <= MAX_ARMS)
        .unwrap_or(0);
    let variants: Vec<Json> = (0..variants).map(|_| json!({})).collect();
    let mut form = form.clone();
    form["elements"] = json!([{ "variants": variants }]);
    form
}

impl PlannerPage<'_> {
    fn strategies() -> Vec<Choice> {
        vec![
            Choice::new("adaptive", "Follow what works", ""),
            Choice::new("fixed", "Keep an even split", ""),
        ]
    }

    fn rules() -> Vec<Choice> {
        vec![
            Choice::new("expected_loss", "Little is left to lose", ""),
            Choice::new("p_best", "The leader is very likely the best", ""),
            Choice::new("confidence_sequence", "A difference is proven", ""),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Plan, usual, with_variants};

    #[test]
    fn the_usual_plan_can_be_told() {
        let plan = Plan::of_form(&with_variants(&usual())).unwrap();
        assert_eq!((plan.arms, plan.visitors_per_day), (2, 1_000));
        for variants in [json!(1), json!(65), json!("two"), json!(null)] {
            let mut few = usual();
            few["forecast"]["variants"] = variants;
            assert!(Plan::of_form(&with_variants(&few)).is_err());
        }
    }
}
