//! API keys of one's own account: make, list, rotate, revoke.

use hyper::StatusCode;
use samplit_domain::{ApiKey, ApiKeyId, Scope, Violations};
use samplit_engine::{CreatedApiKey, NewKey, Once};
use serde::Serialize;
use serde_json::Value as Json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

use crate::{
    call::Call,
    fields::Fields,
    idempotency,
    problem::Problem,
    response::{Reply, empty, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyJson {
    id: ApiKeyId,
    name: String,
    prefix: String,
    scopes: Vec<Scope>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

impl From<ApiKey> for KeyJson {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub(crate) struct KeysJson {
    data: Vec<KeyJson>,
}

/// A key that was made: the only answer that holds its token.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
pub(crate) struct CreatedJson<'a> {
    id: ApiKeyId,
    prefix: &'a str,
    scopes: &'a [Scope],
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    token: &'a str,
}

impl<'a> From<&'a CreatedApiKey> for CreatedJson<'a> {
    fn from(key: &'a CreatedApiKey) -> Self {
        Self {
            id: key.id,
            prefix: &key.prefix,
            scopes: &key.scopes,
            expires_at: key.expires_at,
            token: &key.token,
        }
    }
}

/// `GET /v1/keys`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let keys = call.app.engine.api_keys(&who).await?;
    let data = keys.into_iter().map(KeyJson::from).collect();
    Ok(json(StatusCode::OK, &KeysJson { data }))
}

/// `POST /v1/keys`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let new = read_new(body)?;
    let answer = |made: &CreatedApiKey| idempotency::answer(Vec::new(), &CreatedJson::from(made));
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: true,
    });
    let engine = &call.app.engine;
    let made = engine.create_key_once(&who, new, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

/// `POST /v1/keys/{key_id}/rotate`: makes a successor; both are good for a while.
pub(crate) async fn rotate(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let overlap = read_overlap(call.optional_json().await?)?;
    let (engine, id) = (&call.app.engine, call.key_id());
    let key = engine.rotate_key(&who, id, overlap).await?;
    Ok(json(StatusCode::CREATED, &CreatedJson::from(&key)))
}

/// `DELETE /v1/keys/{key_id}`
pub(crate) async fn revoke(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.app.engine.revoke_key(&who, call.key_id()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) fn read_new(body: Json) -> Result<NewKey, Problem> {
    let mut violations = Violations::default();
    let new = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.require("scopes");
        let words = fields.texts("scopes").unwrap_or_default();
        let mut scopes = Vec::new();
        for (at, word) in words.iter().enumerate() {
            match word.parse() {
                Ok(scope) => scopes.push(scope),
                Err(error) => {
                    let error: samplit_domain::UnknownWord = error;
                    fields.refuse_item("scopes", at, "unknown_value", error.to_string());
                }
            }
        }
        NewKey {
            name: fields.required("name"),
            scopes,
            expires_at: time(fields, "expires_at"),
        }
    });
    violations.into_result(new).map_err(Problem::invalid)
}

fn time(fields: &mut Fields<'_>, name: &str) -> Option<OffsetDateTime> {
    let text: String = fields.optional(name)?;
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok();
    if time.is_none() {
        fields.refuse(
            name,
            "malformed",
            "must be a time like 2027-01-31T12:00:00Z",
        );
    }
    time
}

pub(crate) fn read_overlap(body: Json) -> Result<Option<u64>, Problem> {
    let mut violations = Violations::default();
    let overlap = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.optional("overlap_seconds")
    });
    violations.into_result(overlap).map_err(Problem::invalid)
}
