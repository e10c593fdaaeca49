//! The public providers of OpenFeature against our OFREP, installed from their registries into the
//! target folder. Where that is not possible the tests say so and are skipped; `./run test` installs what
//! they need.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::path::{Path, PathBuf};

use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::ofrep::flag;
use crate::pages::rows;
use crate::support::server;

/// The programs that ask through the providers.
const ASKERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers");

/// Runs a program; what it printed.
pub(crate) async fn run(
    program: &Path,
    arguments: &[&str],
    folder: &Path,
) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said + &String::from_utf8_lossy(&output.stderr))
    }
}

/// An empty folder within the target folder, where nothing of an attempt that broke off is left.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The Python that has the provider.
async fn python() -> Result<PathBuf, String> {
    let folder = folder("ofrep-python");
    run(Path::new("python3"), &["-m", "venv", "."], &folder).await?;
    let python = folder.join("bin/python");
    let wanted = format!("{ASKERS}/requirements.txt");
    let install = ["-m", "pip", "install", "--quiet", "--requirement", &wanted];
    run(&python, &install, &folder).await?;
    Ok(python)
}

/// The folder that has the provider for Node, and what asks through it.
async fn node() -> Result<PathBuf, String> {
    let folder = folder("ofrep-node");
    for file in ["package.json", "ofrep.mjs"] {
        std::fs::copy(format!("{ASKERS}/{file}"), folder.join(file)).unwrap();
    }
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
    run(Path::new("npm"), &install, &folder).await?;
    Ok(folder)
}

/// What was installed, or `None` where it cannot be.
#[expect(
    clippy::print_stdout,
    reason = "the only way to say that a test was skipped"
)]
pub(crate) fn installed<T>(what: &str, outcome: Result<T, String>) -> Option<T> {
    match outcome {
        Ok(installed) => Some(installed),
        Err(why) => {
            println!("skipped: {what} is not to be had: {why}");
            None
        }
    }
}

/// What both providers have to say of the same answers.
fn check(said: &Json) {
    let first = &said["first"];
    assert_eq!(first["reason"], "SPLIT", "{said}");
    assert_eq!(first["error"], Json::Null);
    assert_eq!(first["value"], json!({"class": first["variant"]}));
    assert!(first["assignment"].is_string(), "{said}");
    assert_eq!(said["again"], *first);
    let mine = |asked: &str| (said[asked]["value"].clone(), said[asked]["error"].clone());
    assert_eq!(
        mine("unknown"),
        (json!("mine"), json!("FLAG_NOT_FOUND")),
        "{said}"
    );
    assert_eq!(said["locked_out"]["value"], json!({"mine": 1}), "{said}");
    assert!(said["locked_out"]["error"].is_string(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_provider_understands_us() {
    let Some(python) = installed("openfeature-provider-ofrep", python().await) else {
        return;
    };
    let (server, database) = server(HttpConfig::default()).await;
    flag(&server, "buy-button", |_| ()).await;
    let base = format!("http://{}", server.public);
    let program = format!("{ASKERS}/ofrep.py");
    let asked = [program.as_str(), &base, &server.key, "buy-button"];
    let said = run(&python, &asked, Path::new(ASKERS)).await.unwrap();
    let said: Json = serde_json::from_str(&said).unwrap();
    check(&said);
    assert_eq!(said["nobody"]["error"], "TARGETING_KEY_MISSING", "{said}");
    assert_eq!(rows(&database, "assignments").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_provider_understands_us() {
    let Some(folder) = installed("@openfeature/ofrep-web-provider", node().await) else {
        return;
    };
    let (server, database) = server(HttpConfig::default()).await;
    flag(&server, "buy-button", |_| ()).await;
    let base = format!("http://{}", server.public);
    let asked = ["ofrep.mjs", &base, &server.key, "buy-button"];
    let said = run(Path::new("node"), &asked, &folder).await.unwrap();
    let said: Json = serde_json::from_str(&said).unwrap();
    check(&said);
    assert_eq!(said["statuses"], json!([200, 304]), "{said}");
    assert!(said["refused"].is_string(), "{said}");
    assert_eq!(rows(&database, "assignments").await, 1);
}
