//! The verifier's page, as a person uses it.

use std::{fs, path::Path};

use fantoccini::{Client, Locator};
use samplit_audit::Failure;
use serde_json::{Value as Json, json};

use crate::chromium::{PATIENCE, emulate};

/// Gives the page a bundle and keys, and waits for what it says.
pub(crate) async fn verify(page: &Client, bundle: &Path, keys: &str) -> Verdict {
    fill(page, bundle, keys).await;
    click(page, "#start").await;
    wait_for(page, "#result:not([hidden])").await;
    Verdict {
        kind: attribute(page, "#result", "data-verdict").await,
        title: text(page, "#verdict").await,
        why: text(page, "#why").await,
        checks: text(page, "#checks").await,
        numbers: text(page, "#numbers").await,
    }
}

/// What stands in the panel of the result.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) why: String,
    pub(crate) checks: String,
    pub(crate) numbers: String,
}

impl Verdict {
    /// Says the same as the verifier in Rust.
    pub(crate) fn assert_is(&self, failure: &Failure) {
        assert_eq!(Json::from(self.kind.as_str()), json!(failure.kind));
        assert_eq!(self.title, "Not sound");
        let said = failure.to_string();
        let (first, rest) = said.split_at(1);
        assert_eq!(self.why, first.to_uppercase() + rest);
    }
}

pub(crate) async fn fill(page: &Client, bundle: &Path, keys: &str) {
    let file = element(page, "#file").await;
    let path = bundle.to_str().expect("a path of text");
    file.send_keys(path).await.expect("a file may be chosen");
    type_into(page, "#keys", keys).await;
}

/// Puts `text` in the place of what a field holds.
pub(crate) async fn type_into(page: &Client, selector: &str, text: &str) {
    let field = element(page, selector).await;
    field.clear().await.expect("it can be cleared");
    field.send_keys(text).await.expect("it can be typed into");
}

pub(crate) async fn click(page: &Client, selector: &str) {
    let button = element(page, selector).await;
    button.click().await.expect("it can be clicked");
}

pub(crate) async fn wait_for(page: &Client, selector: &str) {
    let waiting = page.wait().at_most(PATIENCE);
    let found = waiting.for_element(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector}: {error}"));
}

pub(crate) async fn text(page: &Client, selector: &str) -> String {
    loop {
        let found = element(page, selector).await;
        match found.text().await {
            // A live page has put another one in its place meanwhile.
            Err(error) if error.is_stale_element_reference() => {}
            text => return text.expect("elements have text"),
        }
    }
}

async fn attribute(page: &Client, selector: &str, name: &str) -> String {
    let found = element(page, selector).await;
    let value = found.attr(name).await.expect("elements have attributes");
    value.unwrap_or_default()
}

async fn element(page: &Client, selector: &str) -> fantoccini::elements::Element {
    let found = page.find(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector}: {error}"))
}

/// Runs a script whose last argument is a function that takes the answer.
pub(crate) async fn run(page: &Client, script: &str, args: Vec<Json>) -> Json {
    let answer = page.execute_async(script, args).await;
    answer.expect("the script runs")
}

/// Fails if the page asked anybody anything, or could.
pub(crate) async fn assert_offline(page: &Client) {
    let asked = run(
        page,
        "const done = arguments[0];
         const asked = performance.getEntriesByType('resource').map((entry) => entry.name);
         fetch('/livez').then(() => done([asked, 'answered']), () => done([asked, 'refused']));",
        Vec::new(),
    )
    .await;
    assert_eq!(asked, json!([[], "refused"]));
}

/// Pictures of the verifier's page.
pub(crate) async fn photograph(page: &Client, name: &str) {
    photograph_as(page, &format!("verify-{name}")).await;
}

/// Pictures of the whole page for people, in `screenshots` of the build directory.
pub(crate) async fn photograph_as(page: &Client, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    fs::create_dir_all(&folder).expect("a folder of the build");
    for width in [1280, 390] {
        for scheme in ["light", "dark"] {
            emulate(page, width, 900, scheme).await;
            let script = "arguments[0]([document.documentElement.scrollHeight, document.documentElement.scrollWidth])";
            let size = run(page, script, Vec::new()).await;
            assert_eq!(size[1], width, "nothing is wider than the screen");
            emulate(page, width, size[0].as_u64().expect("pixels"), scheme).await;
            let png = page.screenshot().await.expect("a picture");
            let file = folder.join(format!("{name}-{width}-{scheme}.png"));
            fs::write(file, png).expect("a folder that can be written");
        }
    }
    emulate(page, 1280, 900, "light").await;
}
