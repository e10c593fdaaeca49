//! The form of an experiment as a page: three steps, which are one long page without scripts.

use askama::Template;
use samplit_domain::{Experiment, MAX_ARMS, Status};

use super::fields::variant_name;
use crate::dashboard::{
    experiment::product,
    field::{Choice, Field},
    form::Form,
    layout::Frame,
    outlook::Outlook,
};

#[derive(Template)]
#[template(path = "dashboard/experiments/form.html")]
pub(super) struct FormPage<'f> {
    pub(super) frame: Frame,
    pub(super) form: &'f Form,
    pub(super) purpose: Purpose<'f>,
    /// The step to begin with: the first with an error, or the one that changed shape.
    pub(super) step: usize,
    pub(super) outlook: Outlook,
}

/// What the form is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'e> {
    /// A new experiment, perhaps like another.
    New { like: Option<&'e Experiment> },
    /// A draft.
    Edit(&'e Experiment),
}

/// The form of an experiment that has been started: what may still change.
#[derive(Template)]
#[template(path = "dashboard/experiments/started.html")]
pub(super) struct StartedPage<'f> {
    pub(super) frame: Frame,
    pub(super) form: &'f Form,
    pub(super) experiment: &'f Experiment,
}

impl StartedPage<'_> {
    fn is_over(&self) -> bool {
        matches!(self.experiment.status, Status::Completed | Status::Archived)
    }
}

/// What may be changed of an element on a page: a member of the content with its control.
const MEMBERS: [&str; 11] = [
    "text",
    "html",
    "href",
    "src",
    "alt",
    "srcset",
    "hidden",
    "style",
    "class/add",
    "class/remove",
    "attributes",
];

impl FormPage<'_> {
    fn choice(value: &str, label: &str, note: &str) -> Choice {
        Choice::new(value, label, note)
    }

    /// How many elements there are; a form without one shows none.
    fn elements(&self) -> usize {
        self.form.items("/elements")
    }

    fn variants(&self, element: &usize) -> usize {
        self.form.items(&format!("/elements/{element}/variants"))
    }

    fn at(element: &usize, variant: &usize) -> String {
        format!("/elements/{element}/variants/{variant}")
    }

    /// What the variant at a position is called before it has a name.
    fn called(variant: &usize) -> String {
        variant_name(*variant)
    }

    fn is_control(&self, at: &str) -> bool {
        self.form.is(&format!("{at}/is_control:boolean"), "true")
    }

    /// The members that matter most for an element of its kind.
    fn first_members(&self, element: &usize) -> &'static [&'static str] {
        match self
            .form
            .text(&format!("/elements/{element}/element_type"))
            .as_str()
        {
            "image" => &["src", "alt"],
            "link" => &["text", "href"],
            _ => &["text"],
        }
    }

    /// All others.
    fn other_members(&self, element: &usize) -> Vec<&'static str> {
        let first = self.first_members(element);
        let others = MEMBERS.into_iter();
        others.filter(|member| !first.contains(member)).collect()
    }

    fn member(&self, at: &str, member: &str) -> Field<'_> {
        let name = format!("{at}/content/{member}");
        let field = |label: &str| self.form.field(name.as_str(), label);
        let lines = |label: &str| {
            self.form
                .field(format!("{name}:lines"), label)
                .code()
                .area(3)
        };
        match member {
            "text" => field("Text").area(2),
            "html" => field("HTML")
                .code()
                .area(3)
                .hint("Made harmless before it is shown, unless the installation allows raw HTML."),
            "href" => field("Link to").placeholder("/signup"),
            "src" => field("Image address").placeholder("https://…/hero-b.jpg"),
            "alt" => {
                field("Alternative text").hint("What the image says to those who do not see it.")
            }
            "srcset" => field("Image sizes (srcset)").code(),
            "hidden" => self
                .form
                .field(format!("{name}:boolean"), "Visibility")
                .select(vec![
                    Self::choice("", "As it is", ""),
                    Self::choice("true", "Take it away", ""),
                    Self::choice("false", "Show it", ""),
                ]),
            "style" => lines("Styles")
                .hint("One per line, as in a style sheet.")
                .placeholder("color: #b00020"),
            "class/add" => field("Classes to add")
                .code()
                .placeholder("button-large highlighted"),
            "class/remove" => field("Classes to remove").code(),
            _ => lines("Attributes")
                .hint("One per line; nothing behind the colon takes it away.")
                .placeholder("title: Free for 30 days"),
        }
    }

    /// Whether what is folded away has something to see.
    fn is_open(&self, element: &usize, at: &str) -> bool {
        let more = ["more:json", "weight:percent"];
        let others = self.other_members(element).into_iter();
        let others = others.map(|member| match member {
            "style" | "attributes" => format!("{at}/content/{member}:lines"),
            "hidden" => format!("{at}/content/hidden:boolean"),
            member => format!("{at}/content/{member}"),
        });
        let names = others.chain(more[..1].iter().map(|name| format!("{at}/{name}")));
        self.any(names)
    }

    /// Whether any of the fields holds something or is wrong.
    fn any(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
        let mut names = names.into_iter();
        names.any(|name| {
            let name = name.as_ref();
            !self.form.text(name).is_empty() || self.form.error(name).is_some()
        })
    }

    /// Whether any of the fields is wrong.
    fn wrong(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.form.error(name).is_some())
    }

    fn kinds() -> Vec<Choice> {
        vec![
            Self::choice("", "Anything", ""),
            Self::choice("headline", "Headline", ""),
            Self::choice("text", "Text", ""),
            Self::choice("button", "Button", ""),
            Self::choice("link", "Link", ""),
            Self::choice("image", "Image", ""),
        ]
    }

    fn selector_types() -> Vec<Choice> {
        vec![
            Self::choice("css", "CSS selector", ""),
            Self::choice("id", "Element id", ""),
            Self::choice("class", "Class name", ""),
            Self::choice("xpath", "XPath", ""),
        ]
    }

    fn triggers() -> Vec<Choice> {
        vec![
            Self::choice("", "My own code says so", ""),
            Self::choice("click", "A click on something", ""),
            Self::choice("submit", "A form is sent", ""),
            Self::choice("page_view", "A page is seen", ""),
            Self::choice("event", "An event of the page", ""),
            Self::choice("lead", "A form that leaves a lead", ""),
        ]
    }

    fn goal_kinds() -> Vec<Choice> {
        vec![
            Self::choice("conversion", "Who converts", "Each visitor counts once."),
            Self::choice(
                "value",
                "What a visitor is worth",
                "Conversions bring a value, such as the amount of an order. Who converts still decides about \
                 traffic and stopping rule; the results show the value per visitor beside it.",
            ),
        ]
    }

    fn strategies() -> Vec<Choice> {
        vec![
            Self::choice(
                "adaptive",
                "Follow what works",
                "Visitors go to the better variant more and more while the experiment runs.",
            ),
            Self::choice(
                "fixed",
                "Keep a fixed split",
                "Each variant keeps its share to the end.",
            ),
        ]
    }

    fn rules() -> Vec<Choice> {
        vec![
            Self::choice(
                "expected_loss",
                "Little is left to lose",
                "Choosing the leader costs next to nothing even if it is not the best. Recommended.",
            ),
            Self::choice(
                "p_best",
                "The leader is very likely the best",
                "With a probability of 95 %, unless another is given.",
            ),
            Self::choice(
                "confidence_sequence",
                "A difference is proven",
                "The interval that stays valid while you look leaves zero out. The strictest.",
            ),
            Self::choice(
                "visitors",
                "A number of visitors is reached",
                "Whatever they did.",
            ),
        ]
    }

    fn policies() -> Vec<Choice> {
        vec![
            Self::choice("thompson", "Thompson sampling: earn meanwhile", ""),
            Self::choice("top_two", "Top two: find the best sooner", ""),
        ]
    }

    fn modes(&self) -> Vec<Choice> {
        let factorial = format!(
            "Tells what each change adds, and whether two of them need or disturb each other. Every combination \
             needs visitors of its own: {} now, at most {MAX_ARMS}.",
            self.combinations()
        );
        vec![
            Self::choice(
                "independent",
                "A variant of each element, drawn for itself",
                "Elements are judged one by one, with no more visitors than the largest of them needs alone. \
                 Whether they get along is not tested.",
            ),
            Self::choice(
                "factorial",
                "A combination, drawn as one variant",
                &factorial,
            ),
        ]
    }

    /// How many variants the elements have.
    fn sizes(&self) -> Vec<usize> {
        (0..self.elements())
            .map(|element| self.variants(&element))
            .collect()
    }

    /// `2 × 3 = 6`.
    fn combinations(&self) -> String {
        product(&self.sizes())
    }

    /// Whether there are more combinations than one draw may have arms, and they are to be drawn.
    fn has_too_many(&self) -> bool {
        let all = self.sizes().into_iter().fold(1, usize::saturating_mul);
        all > MAX_ARMS && self.form.is("/allocation/mode", "factorial")
    }

    fn title(&self) -> &str {
        &self.frame.title
    }
}
