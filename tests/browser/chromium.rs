//! A headless Chromium behind a chromedriver of its own.

use std::{
    env,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use fantoccini::{
    Client, ClientBuilder,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use futures_util::FutureExt as _;
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use url::{ParseError, Url};

/// Names the chromedriver where it is not on the path.
const DRIVER: &str = "SAMPLIT_CHROMEDRIVER";
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// A name of this machine that Chromium does not hold for secure, as it does 127.0.0.1.
pub(crate) const INSECURE: &str = "samplit.test";
const INSECURE_RULE: &str = "--host-resolver-rules=MAP samplit.test 127.0.0.1";
/// For a machine that is busy with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `test` with a browser. Browser and driver are gone at the end, whatever it is.
pub(crate) async fn with_browser(test: impl AsyncFnOnce(Client)) {
    with_browser_that("normal", test).await;
}

/// The same with a browser whose `goto` does not wait for the page, which perhaps never comes.
pub(crate) async fn with_impatient_browser(test: impl AsyncFnOnce(Client)) {
    with_browser_that("none", test).await;
}

async fn with_browser_that(loads: &str, test: impl AsyncFnOnce(Client)) {
    let (driver, address) = start_driver().await;
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities(loads))
        .connect(&address)
        .await
        .expect("chromedriver starts a browser");
    let outcome = AssertUnwindSafe(test(client.clone())).catch_unwind().await;
    client.close().await.expect("the browser closes");
    drop(driver);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// A driver on a free port, which it tells. Many at once may take it from each other, and the loser
/// ends; so it is tried again.
async fn start_driver() -> (Child, String) {
    for _ in 0..5 {
        if let Some(started) = try_driver().await {
            return started;
        }
    }
    panic!("chromedriver ends before it says its port");
}

/// `None`: it has ended without a port.
async fn try_driver() -> Option<(Child, String)> {
    let path = env::var_os(DRIVER)
        .map(PathBuf::from)
        .or_else(|| on_path("chromedriver"))
        .expect("these tests need chromedriver: install the package chromium-driver");
    let mut driver = Command::new(path)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver can be run");
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
    let port = async {
        loop {
            let line = lines.next_line().await.expect("lines of text");
            let line = line?;
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break Some(port.trim_end_matches('.').to_owned());
            }
        }
    };
    let port = timeout(PATIENCE, port)
        .await
        .expect("chromedriver starts")?;
    // Read on, or the driver would stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some((driver, format!("http://127.0.0.1:{port}")))
}

fn capabilities(loads: &str) -> Capabilities {
    let browser = BROWSERS
        .into_iter()
        .find_map(on_path)
        .expect("these tests need Chromium: install the package chromium");
    // A container has no sandbox for root, and a small /dev/shm.
    let args = [
        "--headless=new",
        // As a browser that somebody sits before: the server takes a headless one for a program.
        "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        INSECURE_RULE,
    ];
    let Json::Object(capabilities) = json!({
        "goog:chromeOptions": { "binary": browser, "args": args },
        "pageLoadStrategy": loads,
        "timeouts": { "script": PATIENCE.as_millis() },
    }) else {
        unreachable!("an object");
    };
    capabilities
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A command of the `DevTools` protocol.
#[derive(Debug)]
struct DevTools(Json);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        let session = session_id.unwrap_or_default();
        base_url.join(&format!("session/{session}/goog/cdp/execute"))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// What a command of the `DevTools` protocol answers.
pub(crate) async fn devtools(client: &Client, cmd: &str, params: Json) -> Json {
    let command = DevTools(json!({ "cmd": cmd, "params": params }));
    client.issue_cmd(command).await.expect("Chromium knows it")
}

/// Shows pages as a screen of `width` pixels would, by day or by night.
pub(crate) async fn emulate(client: &Client, width: u32, height: u64, scheme: &str) {
    let screen = json!({
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
    });
    // Without motion, so that nothing is looked at halfway.
    let media = json!({ "features": [
        { "name": "prefers-color-scheme", "value": scheme },
        { "name": "prefers-reduced-motion", "value": "reduce" },
    ] });
    for (cmd, params) in [
        ("Emulation.setDeviceMetricsOverride", screen),
        ("Emulation.setEmulatedMedia", media),
    ] {
        devtools(client, cmd, params).await;
    }
}

/// Forgets every file that the browser has loaded.
pub(crate) async fn clear_cache(client: &Client) {
    let command = DevTools(json!({ "cmd": "Network.clearBrowserCache", "params": {} }));
    client.issue_cmd(command).await.expect("Chromium knows it");
}
