//! `Idempotency-Key`: a request that makes something, sent again, is answered again.

use hyper::{
    StatusCode,
    header::{ETAG, HeaderName, HeaderValue, LOCATION},
};
use samplit_domain::Violations;
use samplit_engine::{Answer, IdempotencyKey, Made};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    call::{Call, parse},
    problem::Problem,
    response::{Reply, content},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells an answer that was given before from one that is given now.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Call {
    /// A body that has to be there, and the key of the request where it has one.
    pub(crate) async fn json_once(&mut self) -> Result<(Json, Option<IdempotencyKey>), Problem> {
        let body = self.json_bytes().await?;
        let key = self.idempotency_key(&body)?;
        Ok((parse(&body)?, key))
    }

    /// The key of a request that says nothing in its body, where it has one.
    pub(crate) async fn no_fields_once(&mut self) -> Result<Option<IdempotencyKey>, Problem> {
        self.no_fields().await?;
        self.idempotency_key(&[])
    }

    fn idempotency_key(&self, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
        let mut given = self.head.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = given.next();
        let malformed = || {
            let mut violations = Violations::default();
            let rule = "must be sent once, in visible ASCII characters";
            violations.add("Idempotency-Key", "malformed", rule);
            Problem::invalid(violations)
        };
        if given.next().is_some() {
            return Err(malformed());
        }
        let key = key.map(|key| {
            let key = key.to_str().map_err(|_| malformed())?;
            let (method, path) = (self.head.method.as_str(), self.head.uri.path());
            IdempotencyKey::new(key, method, path, body).map_err(Problem::invalid)
        });
        key.transpose()
    }
}

/// The answer that something of this version was made, and can be found at `path`.
pub(crate) fn created(path: String, tag: &HeaderValue, made: &impl Serialize) -> Answer {
    let mut headers = vec![(LOCATION, path)];
    if let Ok(tag) = tag.to_str() {
        headers.push((ETAG, tag.to_owned()));
    }
    answer(headers, made)
}

/// The answer that something was made.
pub(crate) fn answer(headers: Vec<(HeaderName, String)>, made: &impl Serialize) -> Answer {
    let headers = headers.into_iter();
    let body = serde_json::to_string(made);
    Answer {
        status: StatusCode::CREATED.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
        body: body.expect("the answers have string keys only"),
    }
}

/// Says what was made, now or before.
pub(crate) fn reply<T>(made: Made<T>, answer: impl Fn(&T) -> Answer) -> Reply {
    let (answer, is_old) = match made {
        Made::New(made) => (answer(&made), false),
        Made::Before(answer) => (answer, true),
    };
    let mut reply = content("application/json", answer.body);
    *reply.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED);
    let headers = reply.headers_mut();
    for (name, value) in answer.headers {
        let pair = HeaderName::try_from(name).ok().zip(value.try_into().ok());
        if let Some((name, value)) = pair {
            headers.insert(name, value);
        }
    }
    if is_old {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    reply
}
