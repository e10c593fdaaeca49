//! The editor on the pages of a site: links that open it, and what it asks for on behalf of whoever
//! followed one. It reads and changes the elements of one draft, and nothing else.

use hyper::StatusCode;
use samplit_domain::{
    Element, ElementDraft, ElementId, Experiment, ExperimentDraft, ExperimentId, Status,
    VariantDraft, VariantId, Violations,
};
use samplit_engine::{Editor, Error, ExperimentChange, Principal, TokenError};
use serde::Serialize;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::{
    draft,
    experiment_json::ElementJson,
    installations::page_of_site,
    preview::{LinkJson, with_parameter},
};
use crate::{
    call::Call,
    cors::Cors,
    fields::Fields,
    problem::Problem,
    response::{self, Reply},
};

/// What the control of an element that was picked is called. It has no content: the page stays.
const CONTROL: &str = "Original";

/// `POST /v1/installations/{installation_id}/editor`
pub(crate) async fn link(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let body = call.json().await?;
    let (token, url) = open_link(&call, &who, body).await?;
    let reply = LinkJson {
        token: &token,
        url: Some(url),
    };
    Ok(response::json(StatusCode::CREATED, &reply))
}

/// A token for the editor on a page of the installation of the path, and the page that opens it.
pub(crate) async fn open_link(
    call: &Call,
    who: &Principal,
    body: Json,
) -> Result<(String, String), Problem> {
    let (experiment, url) = read_link(body)?;
    let (engine, id) = (&call.app.engine, call.installation_id());
    let installation = engine.installation(who, id).await?;
    let url = page_of_site(&installation, url)?;
    let token = engine.editor_token(who, &installation, experiment).await?;
    let url = with_parameter(&url, "samplit_edit", &token);
    Ok((token, url))
}

/// `GET /v1/editor`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = read_draft(&call, &mut cors).await;
    cors.complete(outcome)
}

async fn read_draft(call: &Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let (editor, experiment) = enter(call, cors).await?;
    Ok(shown(StatusCode::OK, &editor, &experiment))
}

/// `POST /v1/editor/variants`: a variant of an element, which may be new.
pub(crate) async fn add(mut call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = add_variant(&mut call, &mut cors).await;
    cors.complete(outcome)
}

async fn add_variant(call: &mut Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let (editor, experiment) = enter(call, cors).await?;
    let addition = read_addition(call.json().await?)?;
    let (draft, at) = with(&experiment, addition)?;
    let changed = replace(call, &editor, &experiment, draft).await;
    let changed = changed.map_err(|problem| in_request(problem, at))?;
    Ok(shown(StatusCode::CREATED, &editor, &changed))
}

/// `DELETE /v1/editor/variants/{variant_id}`: with the last variant beside its control an element goes,
/// too.
pub(crate) async fn remove(call: Call) -> Result<Reply, Problem> {
    let mut cors = Cors::of(&call);
    let outcome = remove_variant(&call, &mut cors).await;
    cors.complete(outcome)
}

async fn remove_variant(call: &Call, cors: &mut Cors) -> Result<Reply, Problem> {
    let (editor, experiment) = enter(call, cors).await?;
    let draft = without(&experiment, call.variant_id())?;
    let changed = replace(call, &editor, &experiment, draft).await?;
    Ok(shown(StatusCode::OK, &editor, &changed))
}

/// Who asks, from which page, and the draft that it is about.
async fn enter(call: &Call, cors: &mut Cors) -> Result<(Editor, Experiment), Problem> {
    let token = call.bearer().and_then(|token| token.strip_prefix("edit."));
    let token = token.ok_or_else(|| Problem::from(Error::from(TokenError::NotOurs)))?;
    let engine = &call.app.engine;
    let editor = engine.open_editor(token).await?;
    cors.admit(call, &editor.installation)?;
    call.check_page_limit(&editor.installation)?;
    let id = editor.experiment_id;
    let experiment = engine.experiment(&editor.who, id).await?;
    Ok((editor, experiment))
}

async fn replace(
    call: &Call,
    editor: &Editor,
    before: &Experiment,
    draft: ExperimentDraft,
) -> Result<Experiment, Problem> {
    let change = ExperimentChange {
        replace: Some(draft),
        ..ExperimentChange::default()
    };
    let (engine, seen) = (&call.app.engine, Some(before.version));
    let changed = engine
        .update_experiment(&editor.who, before.id, change, seen)
        .await;
    Ok(changed?)
}

/// What is to be added.
pub(crate) struct Addition {
    /// To which element; none: a new one.
    to: Option<ElementId>,
    /// The new element, without variants.
    element: ElementDraft,
    variant: VariantDraft,
}

/// The draft with one variant more, and where that stands: element and variant by their places.
fn with(
    experiment: &Experiment,
    addition: Addition,
) -> Result<(ExperimentDraft, (usize, usize)), Problem> {
    let mut draft = draft::to_draft(experiment);
    let at = match addition.to {
        Some(id) => place(experiment, |element| element.id == id)
            .ok_or_else(|| Problem::not_found("element"))?,
        None => {
            draft.elements.retain(|element| !is_placeholder(element));
            let control = VariantDraft::control(CONTROL, json!({}));
            draft.elements.push(ElementDraft {
                variants: vec![control],
                ..addition.element
            });
            draft.elements.len() - 1
        }
    };
    let variants = &mut draft.elements[at].variants;
    variants.push(addition.variant);
    share_equally(variants);
    let last = variants.len() - 1;
    Ok((draft, (at, last)))
}

/// The draft without a variant.
fn without(experiment: &Experiment, variant: VariantId) -> Result<ExperimentDraft, Problem> {
    let of = |element: &Element| element.variants.iter().position(|v| v.id == variant);
    let at = place(experiment, |element| of(element).is_some());
    let at = at.ok_or_else(|| Problem::not_found("variant"))?;
    let mut draft = draft::to_draft(experiment);
    let variants = &mut draft.elements[at].variants;
    let index = of(&experiment.elements[at]).unwrap_or_default();
    if variants[index].is_control {
        let detail = "the control is what the page is without the experiment";
        return Err(Problem::new(StatusCode::CONFLICT, "control", detail));
    }
    variants.remove(index);
    share_equally(variants);
    if variants.len() < 2 {
        draft.elements.remove(at);
    }
    if draft.elements.is_empty() {
        let detail = "an experiment has one element at least; add another variant first";
        return Err(Problem::new(StatusCode::CONFLICT, "last_variant", detail));
    }
    Ok(draft)
}

/// Only elements of pages are to be seen in the editor.
fn place(experiment: &Experiment, is_wanted: impl Fn(&Element) -> bool) -> Option<usize> {
    let mut elements = experiment.elements.iter();
    elements.position(|element| element.selector.is_some() && is_wanted(element))
}

/// Neither a place on the page nor any content: it stands there because a draft needs an element.
fn is_placeholder(element: &ElementDraft) -> bool {
    let is_empty =
        |variant: &VariantDraft| variant.content.is_null() || variant.content == json!({});
    element.selector.is_none() && element.variants.iter().all(is_empty)
}

/// Shares that were given are not of these variants any more.
fn share_equally(variants: &mut [VariantDraft]) {
    for variant in variants {
        variant.weight = None;
    }
}

/// A refusal of the whole draft in terms of the request that was made.
fn in_request(mut problem: Problem, (element, variant): (usize, usize)) -> Problem {
    let element = format!("/elements/{element}");
    let variant = format!("{element}/variants/{variant}");
    for error in &mut problem.errors {
        if let Some(rest) = error.pointer.strip_prefix(&variant) {
            error.pointer = format!("/variant{rest}");
        } else if let Some(rest) = error.pointer.strip_prefix(&element) {
            error.pointer = rest.to_owned();
        }
    }
    problem
}

#[derive(Serialize, ToSchema)]
#[schema(as = EditorDraft)]
pub(crate) struct EditorJson<'a> {
    experiment_id: ExperimentId,
    name: &'a str,
    status: Status,
    /// Whether HTML goes into pages as it is.
    raw_html: bool,
    /// Those that pages can find.
    elements: Vec<ElementJson<'a>>,
}

fn shown(status: StatusCode, editor: &Editor, experiment: &Experiment) -> Reply {
    let elements = experiment.elements.iter();
    let elements = elements.filter(|element| element.selector.is_some());
    let reply = EditorJson {
        experiment_id: experiment.id,
        name: &experiment.name,
        status: experiment.status,
        raw_html: editor.installation.allow_raw_html,
        elements: elements
            .map(|element| ElementJson::new(element, None))
            .collect(),
    };
    response::json(status, &reply)
}

pub(crate) fn read_link(body: Json) -> Result<(ExperimentId, String), Problem> {
    let mut violations = Violations::default();
    let (experiment, url) = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.require("experiment_id");
        let experiment = fields.word("experiment_id");
        (experiment, fields.required::<String>("url"))
    });
    if !url.is_empty() {
        violations.url("/url", &url);
    }
    match experiment {
        Some(experiment) => violations.into_result((experiment, url)),
        None => Err(violations),
    }
    .map_err(Problem::invalid)
}

/// # Errors
/// 422 with every field of the wrong type; the rules are those of drafts.
pub(crate) fn read_addition(body: Json) -> Result<Addition, Problem> {
    let mut violations = Violations::default();
    let addition = Fields::read(body, String::new(), &mut violations, |fields| {
        let is_new = !fields.is_given("element");
        fields.require("variant");
        Addition {
            to: fields.word("element"),
            // An element that is there has all of this, and the fields would be unknown.
            element: if is_new {
                fields.require("selector");
                ElementDraft {
                    name: fields.required("name"),
                    selector: fields.object("selector", draft::selector),
                    fallback_selectors: fields
                        .list("fallback_selectors", draft::selector)
                        .unwrap_or_default(),
                    element_type: fields.word("element_type"),
                    original_content: fields.optional("original_content"),
                    variants: Vec::new(),
                }
            } else {
                ElementDraft::new("", Vec::new())
            },
            variant: fields
                .object("variant", |fields| {
                    VariantDraft::new(
                        fields.required::<String>("name"),
                        fields.required::<Json>("content"),
                    )
                })
                .unwrap_or_else(|| VariantDraft::new("", Json::Null)),
        }
    });
    violations.into_result(addition).map_err(Problem::invalid)
}
