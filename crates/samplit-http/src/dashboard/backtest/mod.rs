//! `/backtest`: what adaptive allocation would have earned in tests that were run before, from a file.
//!
//! It may take a while. The answer is one page that grows: first that the work goes on and how far it
//! is, then what came of it, which takes the place of the former by a rule of the style sheet. So it
//! needs no script, no job that has to be kept anywhere, and ends when nobody waits for it any more.

mod report;
mod upload;

use std::ops::ControlFlow;

use askama::Template;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use samplit_domain::{Allocation, Violations};
use samplit_engine::{
    Backtest, BacktestReport, Engine, Error, OldTestColumns, Principal, read_old_tests,
};
use serde_json::{Value as Json, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use self::{report::Told, upload::Upload};
use super::{
    form::{Form, sentence},
    layout::{Frame, Section, html, protect, rendered},
};
use crate::{
    api::draft::allocation,
    call::Call,
    fields::{Fields, merge},
    problem::Problem,
    response::{Reply, stream as streamed},
};

#[derive(Template)]
#[template(path = "dashboard/backtest/form.html")]
struct FormPage<'f> {
    frame: Frame,
    form: &'f Form,
}

/// The page around the work: in the place of `PROGRESS` it says how far it is, in that of `RESULT` what
/// came of it.
#[derive(Template)]
#[template(path = "dashboard/backtest/working.html")]
struct WorkingPage {
    frame: Frame,
    tests: usize,
}

const PROGRESS: &str = "<!-- progress -->";
const RESULT: &str = "<!-- result -->";

/// What somebody wants to know.
#[derive(Debug)]
struct Asked {
    backtest: Backtest,
    /// What a conversion is worth; none: nobody says.
    value: Option<f64>,
}

/// `GET /backtest`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let frame = Frame::new(&call, &signed_in, Section::Backtest, "Back-test");
    Ok(page(frame, &Form::of(usual())))
}

fn usual() -> Json {
    let columns = OldTestColumns::default();
    json!({
        "columns": {
            "test": columns.test, "arm": columns.arm,
            "impressions": columns.impressions, "clicks": columns.clicks,
        },
        "allocation": Allocation::default(),
    })
}

fn page(frame: Frame, form: &Form) -> Reply {
    html(form.status(), &FormPage { frame, form })
}

/// `POST /backtest`
pub(crate) async fn run(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let frame = Frame::new(&call, &signed_in, Section::Backtest, "Back-test");
    let Upload { form, file } = match Upload::read(&mut call).await {
        Ok(upload) => upload,
        Err(problem) => return Ok(page(frame, &Form::of(usual()).refused(problem)?)),
    };
    let read = match form.json() {
        Ok(json) => tokio::task::spawn_blocking(move || read(json, &file))
            .await
            .map_err(|_| Problem::internal())?,
        Err(problem) => Err(problem),
    };
    // One at a time: each takes a whole core for as long as it takes.
    let begun = read.and_then(|asked| {
        let permit = std::sync::Arc::clone(&call.app.backtests).try_acquire_owned();
        let busy = "another back-test is being made; try again when it is done";
        let permit = permit.map_err(|_| Problem::unavailable("overloaded", busy, 10))?;
        Ok((asked, permit))
    });
    let (asked, permit) = match begun {
        Ok(begun) => begun,
        Err(problem) => return Ok(page(frame, &form.refused(problem)?)),
    };
    let engine = call.app.engine.clone();
    let parts = work(engine, signed_in.principal, frame, asked, permit);
    let mut reply = streamed("text/html; charset=utf-8", parts).await?;
    protect(&mut reply);
    Ok(reply)
}

/// Reads the fields and the file.
fn read(json: Json, file: &[u8]) -> Result<Asked, Problem> {
    let mut violations = Violations::default();
    let usual = OldTestColumns::default();
    let (columns, allocation, value) =
        Fields::read(json, String::new(), &mut violations, |fields| {
            let columns = fields.object("columns", |fields| OldTestColumns {
                test: fields.optional("test").unwrap_or(usual.test.clone()),
                arm: fields.optional("arm").unwrap_or(usual.arm.clone()),
                impressions: fields
                    .optional("impressions")
                    .unwrap_or(usual.impressions.clone()),
                clicks: fields.optional("clicks").unwrap_or(usual.clicks.clone()),
            });
            let given = fields.object("allocation", |fields| {
                allocation(fields, Allocation::default())
            });
            let value: Option<f64> = fields.optional("value");
            (
                columns.unwrap_or_default(),
                given.unwrap_or_default(),
                value,
            )
        });
    if value.is_some_and(|value| !(0.0..=1e12).contains(&value)) {
        violations.add("/value", "out_of_range", "must be between 0 and 10^12");
    }
    let mut tests = Vec::new();
    if file.is_empty() {
        violations.add("/file", "required", "is missing; choose a CSV file");
    } else {
        match read_old_tests(file, &columns) {
            Ok(read) => tests = read,
            Err(malformed) => {
                let detail = format!("cannot be used: {malformed}");
                violations.add("/file", "malformed", detail);
            }
        }
    }
    let backtest = Backtest {
        tests,
        allocation,
        seed: 1,
    };
    if !backtest.tests.is_empty()
        && let Err(mut rules) = backtest.check()
    {
        for rule in &mut rules.0 {
            if rule.pointer == "/tests" {
                rule.pointer = "/file".to_owned();
            }
        }
        merge(&mut violations, rules);
    }
    violations
        .into_result(Asked { backtest, value })
        .map_err(Problem::invalid)
}

/// The page as it grows.
fn work(
    engine: Engine,
    who: Principal,
    frame: Frame,
    asked: Asked,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let Asked { backtest, value } = asked;
    let tests = backtest.tests.len();
    let page = Bytes::from(rendered(&WorkingPage { frame, tests }));
    let [head, middle, tail] = around(&page);
    let (told, mut asked_for) = mpsc::channel(1);
    let mut before = None;
    let step = move |done: usize| {
        if told.is_closed() {
            return ControlFlow::Break(());
        }
        let percent = 100 * done / tests.max(1);
        // What nobody has read yet is told the next time.
        if before != Some(percent) && told.try_send((done, percent)).is_ok() {
            before = Some(percent);
        }
        ControlFlow::Continue(())
    };
    let run = tokio::spawn(async move { engine.backtest(&who, backtest, step).await });
    let progress = stream::poll_fn(move |context| asked_for.poll_recv(context));
    let progress = progress.map(move |(done, percent)| at(done, percent, tests));
    let result = stream::once(async move {
        let told = match run.await {
            Ok(Ok(Some(report))) => result(&report, value),
            Ok(Ok(None)) => Bytes::new(),
            Ok(Err(error)) => failed(&Problem::from(error)),
            Err(_panicked) => failed(&Problem::internal()),
        };
        drop(permit);
        told
    });
    stream::iter([head])
        .chain(progress)
        .chain(stream::iter([middle]))
        .chain(result)
        .chain(stream::iter([tail]))
        .map(Ok)
}

/// What stands before, between and behind the two places of the page.
fn around(page: &Bytes) -> [Bytes; 3] {
    let text = std::str::from_utf8(page).unwrap_or_default();
    let first = text.find(PROGRESS).unwrap_or(text.len());
    let second = text.find(RESULT).unwrap_or(text.len()).max(first);
    [
        page.slice(..first),
        page.slice(first..second),
        page.slice(second..),
    ]
}

/// How far it is; the last one of these is seen.
fn at(done: usize, percent: usize, tests: usize) -> Bytes {
    let html = format!(
        "<p class=\"at\"><progress max=\"100\" value=\"{percent}\" aria-label=\"Tests run again\"></progress> \
         {done} of {tests}</p>\n"
    );
    Bytes::from(html)
}

fn result(report: &BacktestReport, value: Option<f64>) -> Bytes {
    Bytes::from(rendered(&Told::new(report, value)))
}

fn failed(problem: &Problem) -> Bytes {
    let detail = sentence(&problem.detail);
    Bytes::from(format!(
        "<div class=\"worked callout\" data-kind=\"bad\" role=\"alert\"><p>{detail}</p></div>"
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::{around, at, read};

    const FILE: &[u8] = b"test_id,headline,impressions,clicks\na,One,100,10\na,Two,100,20\n";

    fn refused(json: serde_json::Value, file: &[u8]) -> Vec<String> {
        let problem = read(json, file).unwrap_err();
        let told = problem.errors.iter();
        told.map(|v| format!("{} {}", v.pointer, v.code)).collect()
    }

    #[test]
    fn the_file_and_the_fields_are_read_together() {
        let asked = read(
            json!({ "value": 2.5, "allocation": { "warm_up": 7 } }),
            FILE,
        )
        .unwrap();
        assert_eq!(asked.backtest.tests[0].arms[1].clicks, 20);
        assert_eq!(
            (asked.backtest.allocation.warm_up, asked.value),
            (7, Some(2.5))
        );
        let named = json!({ "columns": { "arm": "name" } });
        let file = b"test_id,name,impressions,clicks\na,One,100,10\na,Two,100,20\n";
        assert_eq!(read(named, file).unwrap().backtest.tests.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_beside_its_field() {
        assert_eq!(refused(json!({}), b""), ["/file required"]);
        assert_eq!(refused(json!({}), b"a,b\n1,2\n"), ["/file malformed"]);
        let both = json!({ "value": -1, "allocation": { "floor": 0.5 } });
        assert_eq!(
            refused(both, FILE),
            ["/value out_of_range", "/allocation/floor out_of_range"]
        );
        let text = json!({ "allocation": { "warm_up": "few" } });
        assert_eq!(refused(text, FILE), ["/allocation/warm_up wrong_type"]);
        let crowd = b"test_id,headline,impressions,clicks\na,1,300000000,1\na,2,1,1\n";
        assert_eq!(refused(json!({}), crowd), ["/file out_of_range"]);
    }

    #[test]
    fn the_page_is_cut_at_its_places() {
        let page = Bytes::from("a<!-- progress -->b<!-- result -->c");
        let [head, middle, tail] = around(&page);
        assert_eq!(&head[..], b"a");
        assert_eq!(&middle[..], b"<!-- progress -->b");
        assert_eq!(&tail[..], b"<!-- result -->c");
        assert!(at(3, 30, 10).starts_with(b"<p class=\"at\"><progress max=\"100\" value=\"30\""));
    }
}
