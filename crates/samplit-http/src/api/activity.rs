//! Activity: who changed what.

use hyper::StatusCode;
use samplit_domain::{Activity, ActivityId, ActorKind, ApiKeyId, UserId};
use samplit_engine::Page;
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub(crate) struct ActivityJson<'a> {
    id: ActivityId,
    #[serde(with = "time::serde::rfc3339")]
    occurred_at: OffsetDateTime,
    user_id: Option<UserId>,
    actor: ActorJson<'a>,
    action: &'a str,
    subject: SubjectJson<'a>,
    detail: &'a Json,
    request_id: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub(crate) struct ActorJson<'a> {
    kind: ActorKind,
    user_id: Option<UserId>,
    email: Option<&'a str>,
    key_id: Option<ApiKeyId>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Subject)]
pub(crate) struct SubjectJson<'a> {
    kind: &'a str,
    id: Option<Uuid>,
}

impl<'a> From<&'a Activity> for ActivityJson<'a> {
    fn from(activity: &'a Activity) -> Self {
        Self {
            id: activity.id,
            occurred_at: activity.occurred_at,
            user_id: activity.user_id,
            actor: ActorJson {
                kind: activity.actor.kind,
                user_id: activity.actor.user_id,
                email: activity.actor_email.as_deref(),
                key_id: activity.actor.key_id,
            },
            action: &activity.action,
            subject: SubjectJson {
                kind: &activity.subject_kind,
                id: activity.subject_id,
            },
            detail: &activity.detail,
            request_id: activity.request_id.as_deref(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ActivityPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<ActivityJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// `GET /v1/activity`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    let subject: Option<Uuid> = query.word("subject");
    query.finish()?;
    let found = call.app.engine.activity(&who, subject, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(ActivityJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}
