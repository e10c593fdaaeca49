//! `GET /experiments`: which experiments there are, how they stand, and the way to each.

use askama::Template;
use form_urlencoded::Serializer;
use hyper::StatusCode;
use samplit_domain::{Experiment, Status};
use samplit_engine::{ExperimentFilter, Page, Standing};
use time::OffsetDateTime;

use crate::{
    call::Call,
    dashboard::{
        format::{chance, count, percent, plural},
        layout::{Frame, Section, html},
        list::Paging,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 25;

/// Below so many visitors of a variant nobody leads.
const FEW: u64 = 30;

#[derive(Template)]
#[template(path = "dashboard/experiments/list.html")]
struct ListPage {
    frame: Frame,
    tabs: Vec<Tab>,
    query: String,
    status: Option<Status>,
    rows: Vec<Row>,
    paging: Paging,
}

/// One status to look at.
struct Tab {
    name: &'static str,
    path: String,
    is_current: bool,
}

struct Row {
    path: String,
    name: String,
    /// Key and address.
    note: String,
    status: Status,
    standing: String,
    /// Beside it.
    standing_note: String,
    visitors: String,
    conversions: String,
    rate: String,
    started_at: Option<OffsetDateTime>,
}

impl ListPage {
    fn is_filtered(&self) -> bool {
        !self.query.is_empty() || self.status.is_some()
    }
}

pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let frame = Frame::new(&call, &signed_in, Section::Experiments, "Experiments");
    let mut query = call.query();
    let filter = ExperimentFilter {
        status: query.word("status"),
        query: query.text("q"),
    };
    let page = Page {
        cursor: query.text("cursor"),
        limit: LENGTH,
    };
    query.text("done");
    query.finish()?;
    let who = &signed_in.principal;
    let found = call.app.engine.experiments(who, &filter, &page).await?;
    // Probabilities are quadratures, which other requests need not wait for.
    let rows = tokio::task::spawn_blocking(move || found.data.iter().map(row).collect());
    let rows: Result<Vec<Row>, Problem> = rows.await.map_err(|_| Problem::internal())?;
    let narrowed = [
        ("status", filter.status.map(|status| status.to_string())),
        ("q", filter.query.clone()),
    ];
    let page = ListPage {
        frame,
        tabs: tabs(filter.status, filter.query.as_deref()),
        rows: rows?,
        paging: Paging::new(
            "/experiments",
            &narrowed,
            page.cursor.is_some(),
            found.next_cursor,
        ),
        status: filter.status,
        query: filter.query.unwrap_or_default(),
    };
    Ok(html(StatusCode::OK, &page))
}

fn tabs(current: Option<Status>, query: Option<&str>) -> Vec<Tab> {
    let all = [
        (None, "All"),
        (Some(Status::Active), "Running"),
        (Some(Status::Draft), "Drafts"),
        (Some(Status::Paused), "Paused"),
        (Some(Status::Completed), "Completed"),
        (Some(Status::Archived), "Archived"),
    ];
    let tab = |(status, name)| Tab {
        name,
        path: path(status, query),
        is_current: status == current,
    };
    all.into_iter().map(tab).collect()
}

fn path(status: Option<Status>, query: Option<&str>) -> String {
    let pairs = [("status", status.map(Status::as_str)), ("q", query)];
    let given = pairs
        .iter()
        .filter_map(|&(name, value)| Some((name, value?)));
    let query = Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() {
        "/experiments".to_owned()
    } else {
        format!("/experiments?{query}")
    }
}

fn row(experiment: &Experiment) -> Result<Row, Problem> {
    let standing = Standing::of(experiment)?;
    let (said, standing_note) = told(experiment, &standing);
    let notes = [experiment.key.as_deref(), experiment.target_url.as_deref()];
    let notes: Vec<&str> = notes.into_iter().flatten().collect();
    let started = experiment.started_at.is_some();
    let shown = |text: String| if started { text } else { String::new() };
    Ok(Row {
        path: format!("/experiments/{}", experiment.id),
        name: experiment.name.clone(),
        note: notes.join(" · "),
        status: experiment.status,
        standing: said,
        standing_note,
        visitors: shown(count(standing.visitors)),
        conversions: shown(count(standing.conversions)),
        rate: rate(standing.conversions, standing.visitors),
        started_at: experiment.started_at,
    })
}

/// How it stands, and how sure that is.
fn told(experiment: &Experiment, standing: &Standing) -> (String, String) {
    match experiment.status {
        Status::Draft => {
            let variants: usize = experiment.elements.iter().map(|e| e.variants.len()).sum();
            let elements = plural(experiment.elements.len() as u64, "element");
            let variants = plural(variants as u64, "variant");
            return ("Not started".to_owned(), format!("{elements}, {variants}"));
        }
        Status::Completed | Status::Archived => return (over(experiment), String::new()),
        Status::Active | Status::Paused => {}
    }
    let Some(leader) = standing.leaders.first() else {
        let said = if standing.visitors == 0 {
            "No visitor yet"
        } else {
            "See the combinations"
        };
        return (said.to_owned(), String::new());
    };
    if leader.fewest_visitors < FEW {
        return ("Too early to say".to_owned(), String::new());
    }
    let said = format!("{} leads", leader.variant);
    let sure = format!("{} to be best", chance(leader.p_best));
    let note = match standing.leaders.len() {
        1 => sure,
        _ => format!("{}: {sure}", leader.element),
    };
    (said, note)
}

fn over(experiment: &Experiment) -> String {
    if experiment.started_at.is_none() {
        return "Never started".to_owned();
    }
    let winners = experiment.winners();
    let winners = winners.iter().filter_map(|id| experiment.variant(*id));
    let winners: Vec<&str> = winners
        .filter(|v| !v.is_control)
        .map(|v| v.name.as_str())
        .collect();
    if winners.is_empty() {
        "The control stays".to_owned()
    } else {
        format!("{} won", winners.join(", "))
    }
}

fn rate(conversions: u64, visitors: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a shown ratio; the counts stand beside it"
    )]
    let rate = (visitors > 0).then(|| conversions as f64 / visitors as f64);
    rate.map_or_else(String::new, percent)
}

#[cfg(test)]
mod tests {
    use samplit_domain::Status;

    use super::{path, rate};

    #[test]
    fn the_way_to_a_tab_keeps_what_was_looked_for() {
        assert_eq!(path(None, None), "/experiments");
        let found = path(Some(Status::Active), Some("a b&c"));
        assert_eq!(found, "/experiments?status=active&q=a+b%26c");
    }

    #[test]
    fn nobody_has_no_rate() {
        assert_eq!(rate(0, 0), "");
        assert_eq!(rate(1, 4).replace('\u{202f}', " "), "25.0 %");
    }
}
