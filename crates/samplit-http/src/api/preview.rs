//! Links that show chosen variants.

use std::collections::BTreeMap;

use hyper::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samplit_domain::{ElementId, VariantId, Violations, json_pointer};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    response::{Reply, json},
};

/// A signed token, and the page that it is for.
#[derive(Serialize, ToSchema)]
#[schema(as = PageLink)]
pub(crate) struct LinkJson<'a> {
    pub(super) token: &'a str,
    /// None where nobody says which page.
    pub(super) url: Option<String>,
}

/// `POST /v1/experiments/{id}/preview`
pub(crate) async fn link(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (variants, url) = read_preview(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let (experiment, token) = engine.preview_token(&who, id, variants).await?;
    // A pattern is no page.
    let target = experiment.target_url.filter(|url| !url.contains('*'));
    let reply = LinkJson {
        token: &token,
        url: url
            .or(target)
            .map(|url| with_parameter(&url, "samplit_preview", &token)),
    };
    Ok(json(StatusCode::CREATED, &reply))
}

/// `url` with one query parameter more.
pub(super) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (page, fragment) = match url.find('#') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    let mark = if page.contains('?') { '&' } else { '?' };
    // What our tokens hold of marks needs no escape.
    let value = utf8_percent_encode(value, TOKEN);
    format!("{page}{mark}{name}={value}{fragment}")
}

const TOKEN: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

type Chosen = BTreeMap<ElementId, VariantId>;

pub(crate) fn read_preview(body: Json) -> Result<(Chosen, Option<String>), Problem> {
    let mut violations = Violations::default();
    let (variants, url) = Fields::read(body, String::new(), &mut violations, |fields| {
        let variants: Option<Map<String, Json>> = fields.optional("variants");
        let url: Option<String> = fields.optional("url");
        (variants.unwrap_or_default(), url)
    });
    if let Some(url) = &url {
        violations.url("/url", url);
    }
    let mut chosen = BTreeMap::new();
    for (element, variant) in variants {
        let pointer = json_pointer("/variants", &element);
        let variant = variant.as_str().and_then(|id| id.parse().ok());
        match (element.parse(), variant) {
            (Ok(element), Some(variant)) => {
                chosen.insert(element, variant);
            }
            _ => violations.add(pointer, "malformed", "must be a UUID to a UUID"),
        }
    }
    violations
        .into_result((chosen, url))
        .map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use super::with_parameter;

    #[test]
    fn a_parameter_goes_before_the_fragment_and_after_the_others() {
        for (url, expected) in [
            ("https://a.test/", "https://a.test/?t=a.b-_"),
            ("https://a.test/?x=1#f?g", "https://a.test/?x=1&t=a.b-_#f?g"),
            ("https://a.test/#f?g", "https://a.test/?t=a.b-_#f?g"),
        ] {
            assert_eq!(with_parameter(url, "t", "a.b-_"), expected);
        }
        assert_eq!(with_parameter("/", "t", "&#"), "/?t=%26%23");
    }
}
