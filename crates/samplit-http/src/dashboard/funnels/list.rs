//! `/funnels`: which there are, how many came in, and how many of them converted.

use askama::Template;
use hyper::StatusCode;
use samplit_engine::Page;
use time::OffsetDateTime;

use super::words;
use crate::{
    call::Call,
    dashboard::{
        format::{count, rate},
        layout::{Frame, Section, html},
        list::Paging,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 25;

#[derive(Template)]
#[template(path = "dashboard/funnels/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    paging: Paging,
}

struct Row {
    path: String,
    name: String,
    description: Option<String>,
    status: (&'static str, &'static str),
    steps: String,
    /// Empty before it was active, and where counting takes too long.
    entered: String,
    converted: String,
    rate: String,
    updated_at: OffsetDateTime,
}

/// `GET /funnels`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: LENGTH,
    };
    query.text("done");
    query.finish()?;
    let found = engine.funnels(who, None, &page).await?;
    let totals = engine.funnel_totals(who, &found.data).await;
    let totals = totals.inspect_err(
        |error| tracing::warn!(error = ?error, "funnels are listed without their counts"),
    );
    let totals = totals.ok();
    let rows = found.data.into_iter().map(|funnel| {
        let started = funnel.activated_at.is_some() && totals.is_some();
        let totals = totals.as_ref().and_then(|all| all.get(&funnel.id).copied());
        let totals = totals.unwrap_or_default();
        let shown = |number: u64| {
            if started {
                count(number)
            } else {
                String::new()
            }
        };
        Row {
            path: format!("/funnels/{}", funnel.id),
            status: words::status(funnel.status),
            steps: count(funnel.nodes),
            entered: shown(totals.entered),
            converted: shown(totals.converted),
            rate: if totals.entered > 0 {
                rate(totals.converted, totals.entered)
            } else {
                String::new()
            },
            updated_at: funnel.updated_at,
            name: funnel.name,
            description: funnel.description,
        }
    });
    let rows = rows.collect();
    let page = ListPage {
        frame: Frame::new(&call, &signed_in, Section::Funnels, "Funnels"),
        rows,
        paging: Paging::new("/funnels", &[], page.cursor.is_some(), found.next_cursor),
    };
    Ok(html(StatusCode::OK, &page))
}
