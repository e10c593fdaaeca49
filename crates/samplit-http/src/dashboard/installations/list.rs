//! `/installations`: which sites carry the snippet, and one more.

use askama::Template;
use samplit_domain::{Installation, Violations};
use samplit_engine::{Page, SignedIn};
use time::OffsetDateTime;

use super::{platform, platforms, state};
use crate::{
    api::installations::read_new,
    call::Call,
    dashboard::{
        field::Choice,
        form::Form,
        layout::{Frame, Section, html},
        list::Paging,
        notice::done,
    },
    fields::Fields,
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "dashboard/installations/list.html")]
struct ListPage<'f> {
    frame: Frame,
    form: &'f Form,
    rows: Vec<Row>,
    paging: Paging,
    /// The link that connects a shop, and until when it is good.
    shop: Option<(String, OffsetDateTime)>,
}

struct Row {
    path: String,
    name: String,
    domain: String,
    platform: &'static str,
    status: (&'static str, &'static str),
    last_seen_at: Option<OffsetDateTime>,
}

/// `GET /installations`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, &Form::empty(), None).await
}

/// `POST /installations`: one more, or a link for a shop.
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let wants_shop = form.extra("do") == Some("shop");
    let refusal = if wants_shop {
        match shop(&call, &signed_in, &form) {
            Ok(link) => return page(&call, &signed_in, &form, Some(link)).await,
            Err(problem) => problem,
        }
    } else {
        match add(&call, &signed_in, &form).await {
            Ok(made) => {
                let path = format!("/installations/{}", made.id);
                return Ok(done(&path, "installation_created"));
            }
            Err(problem) => problem,
        }
    };
    page(&call, &signed_in, &form.refused(refusal)?, None).await
}

async fn add(call: &Call, signed_in: &SignedIn, form: &Form) -> Result<Installation, Problem> {
    let draft = read_new(form.json()?)?;
    let engine = &call.app.engine;
    Ok(engine
        .create_installation(&signed_in.principal, &draft)
        .await?)
}

/// The link by which a shop grants access.
fn shop(
    call: &Call,
    signed_in: &SignedIn,
    form: &Form,
) -> Result<(String, OffsetDateTime), Problem> {
    let mut violations = Violations::default();
    let shop: String = Fields::read(form.json()?, String::new(), &mut violations, |fields| {
        fields.required("shop")
    });
    violations.into_result(()).map_err(Problem::invalid)?;
    let (link, ends_at) = call.app.engine.shopify_link(&signed_in.principal, &shop)?;
    let url = call.url_of(&format!("/integrations/shopify/install?link={link}"))?;
    Ok((url, ends_at))
}

async fn page(
    call: &Call,
    signed_in: &SignedIn,
    form: &Form,
    shop: Option<(String, OffsetDateTime)>,
) -> Result<Reply, Problem> {
    let page = Page {
        cursor: call.query().text("cursor"),
        limit: LENGTH,
    };
    let found = call
        .app
        .engine
        .installations(&signed_in.principal, &page)
        .await?;
    let page = ListPage {
        frame: Frame::new(call, signed_in, Section::Installations, "Installations"),
        form,
        rows: found.data.iter().map(row).collect(),
        paging: Paging::new(
            "/installations",
            &[],
            page.cursor.is_some(),
            found.next_cursor,
        ),
        shop,
    };
    Ok(html(form.status(), &page))
}

fn row(installation: &Installation) -> Row {
    Row {
        path: format!("/installations/{}", installation.id),
        name: installation.name.clone(),
        domain: installation.domain.clone(),
        platform: platform(installation.platform),
        status: state(installation),
        last_seen_at: installation.last_seen_at,
    }
}

impl ListPage<'_> {
    /// Whether the form for a new one stands open.
    fn is_open(&self) -> bool {
        self.rows.is_empty() || (self.form.note().is_some() && !self.is_about_shop())
    }

    fn is_about_shop(&self) -> bool {
        self.form.extra("do") == Some("shop")
    }

    fn platforms() -> Vec<Choice> {
        platforms()
    }
}
