//! One request as a handler sees it: who asks, the ids of the path, the query, the body.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    body::{Body as _, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH},
    http::request::Parts,
};
use samplit_domain::{ExperimentId, VariantId};
use samplit_engine::Principal;
use serde_json::Value as Json;

use crate::{
    app::App, fields::no_fields, json::StrictJson, problem::Problem, query::Query,
    request_id::RequestId, router::PathIds,
};

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) request_id: RequestId,
    pub(crate) ids: PathIds,
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
}

impl Call {
    /// The holder of the request's API key.
    pub(crate) async fn principal(&self) -> Result<Principal, Problem> {
        let token = self.head.headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        // What no key can be is not worth a question to the database.
        let token = token
            .filter(|token| is_well_formed(token))
            .ok_or_else(Problem::unauthenticated)?;
        let principal = self.app.engine.authenticate(token).await?;
        if let Some(limit) = &self.app.limit {
            limit.check(token).map_err(Problem::rate_limited)?;
        }
        Ok(principal)
    }

    /// The experiment of the path.
    pub(crate) fn experiment_id(&self) -> ExperimentId {
        self.ids
            .experiment
            .expect("the pattern of the route has {id}")
    }

    /// The variant of the path.
    pub(crate) fn variant_id(&self) -> VariantId {
        self.ids
            .variant
            .expect("the pattern of the route has {variant_id}")
    }

    /// The visitor of the path.
    pub(crate) fn visitor(&self) -> &str {
        let visitor = self.ids.visitor.as_deref();
        visitor.expect("the pattern of the route has {visitor}")
    }

    pub(crate) fn query(&self) -> Query {
        Query::parse(self.head.uri.query().unwrap_or_default())
    }

    /// The version that the client has seen, if it insists on it.
    pub(crate) fn if_match(&self) -> Result<Option<i64>, Problem> {
        let Some(tag) = self.head.headers.get(IF_MATCH) else {
            return Ok(None);
        };
        match tag.to_str().map(str::trim) {
            Ok("*") => Ok(None),
            Ok(tag) => tag
                .strip_prefix("\"v")
                .and_then(|rest| rest.strip_suffix('"'))
                .and_then(|version| version.parse().ok())
                .map(Some)
                .ok_or_else(Problem::unknown_etag),
            Err(_) => Err(Problem::unknown_etag()),
        }
    }

    /// The bytes of a body that has to be JSON.
    pub(crate) async fn json_bytes(&mut self) -> Result<Bytes, Problem> {
        if !self.is_json() {
            return Err(Problem::unsupported_media_type());
        }
        self.bytes().await
    }

    /// A body that has to be there.
    pub(crate) async fn json(&mut self) -> Result<Json, Problem> {
        parse(&self.json_bytes().await?)
    }

    /// A body that may be absent: an empty object then.
    pub(crate) async fn optional_json(&mut self) -> Result<Json, Problem> {
        if self.body.is_end_stream() {
            return Ok(Json::Object(serde_json::Map::new()));
        }
        self.json().await
    }

    /// A body that says nothing: absent, or an object without a field.
    pub(crate) async fn no_fields(&mut self) -> Result<(), Problem> {
        no_fields(self.optional_json().await?)
    }

    /// A body that is text.
    pub(crate) async fn text(&mut self) -> Result<String, Problem> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn bytes(&mut self) -> Result<Bytes, Problem> {
        let limit = self.app.config.body_limit;
        let announced = self.body.size_hint().lower();
        if usize::try_from(announced).is_ok_and(|length| length > limit) {
            return Err(Problem::body_too_large(limit));
        }
        let body = Limited::new(&mut self.body, limit).collect();
        match tokio::time::timeout(self.app.config.request_timeout, body).await {
            Err(_elapsed) => Err(Problem::body_timeout()),
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(limit)),
            Ok(Err(_broken)) => Err(Problem::incomplete_body()),
        }
    }

    fn is_json(&self) -> bool {
        let content_type = self.head.headers.get(CONTENT_TYPE);
        let essence = content_type
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim());
        essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
    }
}

/// Whether a token looks like an API key: `sk_` and 32 bytes in URL-safe Base64 without padding.
fn is_well_formed(token: &str) -> bool {
    token.strip_prefix("sk_").is_some_and(|secret| {
        let is_symbol = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        secret.len() == 43 && secret.bytes().all(is_symbol)
    })
}

/// Reads any JSON, refusing repeated keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(StrictJson(json)) => Ok(json),
        Err(error) => Err(Problem::malformed_json(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn a_key_has_its_prefix_its_length_and_its_alphabet() {
        let secret = "Az09-_".repeat(8);
        let key = |length: usize| format!("sk_{}", &secret[..length]);
        assert!(is_well_formed(&key(43)));
        for bad in [
            String::new(),
            "sk_".to_owned(),
            key(42),
            key(44),
            key(43).replace("sk_", "pk_"),
            key(43).replace('-', "+"),
            format!("{}=", key(42)),
            format!("{}é", key(41)),
        ] {
            assert!(!is_well_formed(&bad), "{bad}");
        }
    }
}
