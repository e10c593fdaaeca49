//! What a draft may begin with: nothing, or the steps that most funnels of a kind have. The addresses fit any
//! site, so that a template can be activated as it is.

use samplit_domain::{
    FunnelCanvas, FunnelCondition, FunnelEdge, FunnelNode, FunnelStep, GoalTrigger, Viewport,
};
use uuid::Uuid;

use crate::dashboard::field::Choice;

/// From one step to the next, in pixels; as the canvas puts them.
const COLUMN: f64 = 312.0;

/// The word of a template in the form, what it is called, and what it is.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("blank", "An empty canvas", "You draw every step yourself."),
    (
        "signup",
        "From landing page to sign-up",
        "The start page, the page with the form, and the event that the form was sent.",
    ),
    (
        "shop",
        "Checkout of a shop",
        "Product, cart, checkout, payment, order: with the addresses that Shopify gives them.",
    ),
];

/// The templates to choose from.
pub(super) fn choices() -> Vec<Choice> {
    let choice = |&(word, name, note): &(&str, &str, &str)| Choice::new(word, name, note);
    TEMPLATES.iter().map(choice).collect()
}

/// The drawing of a template, with ids that are its own only; an unknown word is that of the empty one.
pub(super) fn canvas(template: &str) -> FunnelCanvas {
    let page = |name, url: &str| {
        let url = Some(url.to_owned());
        (name, FunnelStep::Page { url })
    };
    let event = |name, event: &str| {
        let trigger = Some(GoalTrigger::Event {
            name: event.to_owned(),
        });
        (name, FunnelStep::Conversion { trigger })
    };
    match template {
        "signup" => chain(vec![
            page("Landing page", "https://*/"),
            page("Sign-up form", "https://*/signup*"),
            event("Signed up", "signup"),
        ]),
        "shop" => chain(vec![
            page("Product", "https://*/products/*"),
            page("Cart", "https://*/cart*"),
            page("Checkout", "https://*/checkout*"),
            page("Payment", "https://*/checkout*/payment*"),
            event("Bought", "purchase"),
        ]),
        _ => FunnelCanvas::default(),
    }
}

/// Steps that lead from one to the next.
fn chain(steps: Vec<(&str, FunnelStep)>) -> FunnelCanvas {
    let id = |list: u128, place: u32| Uuid::from_u128(list << 64 | u128::from(place));
    let nodes = (0..).zip(steps).map(|(place, (name, step))| FunnelNode {
        id: id(1, place).into(),
        step,
        name: name.to_owned(),
        x: COLUMN * f64::from(place),
        y: 0.0,
        experiment_id: None,
    });
    let nodes: Vec<FunnelNode> = nodes.collect();
    let edges = (0..).zip(nodes.windows(2)).map(|(place, pair)| FunnelEdge {
        id: id(2, place).into(),
        source: pair[0].id,
        target: pair[1].id,
        condition: FunnelCondition::Always,
    });
    FunnelCanvas {
        edges: edges.collect(),
        nodes,
        viewport: Viewport::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{TEMPLATES, canvas};

    #[test]
    fn every_template_but_the_empty_one_can_be_activated() {
        for (template, ..) in TEMPLATES {
            let faults = canvas(template).faults(&BTreeMap::new());
            assert_eq!(
                faults.is_empty(),
                *template != "blank",
                "{template}: {faults:?}"
            );
        }
    }
}
