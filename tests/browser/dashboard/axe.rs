//! What axe-core says of pages. It is installed from npm's registry into the target folder; where that
//! is not possible, tests say so.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tokio::{process::Command, sync::OnceCell};

use super::desk::Desk;

/// The script, once for all tests.
static SCRIPT: OnceCell<Option<String>> = OnceCell::const_new();

const PACKAGE: &str = "axe-core@4.14.1";

/// The script of axe-core, if it is to be had.
#[expect(
    clippy::print_stdout,
    reason = "the only way to say that something was skipped"
)]
async fn script() -> Option<&'static str> {
    let load = async || match install().await {
        Ok(script) => Some(script),
        Err(why) => {
            println!("skipped: axe-core is not to be had: {why}");
            None
        }
    };
    SCRIPT.get_or_init(load).await.as_deref()
}

async fn install() -> Result<String, String> {
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        let install = Command::new("npm")
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                ".",
            ])
            .arg(PACKAGE)
            .current_dir(&folder)
            .kill_on_drop(true)
            .output();
        let output = install.await.map_err(|error| format!("npm: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    std::fs::read_to_string(script).map_err(|error| error.to_string())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe-core")
}

/// Fails if anything on the page as it is now keeps somebody out.
pub(crate) async fn assert_accessible(desk: &Desk, name: &str) {
    let Some(script) = script().await else {
        return;
    };
    let page = &desk.page;
    page.execute(script, Vec::new())
        .await
        .expect("a script of axe-core");
    let found = page.execute_async(
        "const done = arguments[0];
         axe.run(document, { resultTypes: ['violations'] }).then(
           ({ violations }) => done(violations
             .filter(({ impact }) => impact === 'serious' || impact === 'critical')
             .map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html.slice(0, 160) + ' (' + n.failureSummary + ')').join(' | ')}`)),
           (error) => done([String(error)]));",
        Vec::new(),
    );
    let found = found.await.expect("axe-core answers");
    assert_eq!(found, Json::Array(Vec::new()), "{name}");
}
