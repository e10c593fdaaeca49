//! Schemathesis asks what the document allows, and what it does not, and looks whether what is answered
//! is in the document. Where it cannot be installed the test says so and is skipped.

use std::path::{Path, PathBuf};

use samplit_engine::{NewApiKey, Role, Scope};
use samplit_http::HttpConfig;
use serde_json::json;

use crate::ofrep_providers::{folder, installed, run};
use crate::support::{draft, server};

/// What is wanted of the registry.
const WANTED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/providers/schemathesis.txt"
);

/// No fault of ours, and nothing that the document does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

async fn schemathesis(folder: &Path) -> Result<PathBuf, String> {
    run(Path::new("python3"), &["-m", "venv", "."], folder).await?;
    let install = ["-m", "pip", "install", "--quiet", "--requirement", WANTED];
    run(&folder.join("bin/python"), &install, folder).await?;
    Ok(folder.join("bin/st"))
}

/// Cases for each operation: `SAMPLIT_SCHEMATHESIS`, else a few.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::print_stdout,
    reason = "how many cases there were, and what they did not reach"
)]
async fn nothing_is_answered_that_is_not_in_the_document() {
    let folder = folder("schemathesis");
    let Some(program) = installed("schemathesis", schemathesis(&folder).await) else {
        return;
    };
    let (server, _database) = server(HttpConfig::default()).await;
    // Something to be found by the lists.
    server.started().await;
    server.create(&draft()).await;
    let site = json!({"name": "Shop", "domain": "shop.example"});
    server.post("/v1/installations", &site).await;
    let admin = NewApiKey {
        email: "admin@example.org".to_owned(),
        role: Role::Admin,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = server.engine.create_api_key(admin).await.unwrap().token;
    let base = format!("http://{}", server.public);
    let document = format!("{base}/openapi.json");
    #[expect(
        clippy::disallowed_methods,
        reason = "how long it looks is the tester's to say"
    )]
    let cases = std::env::var("SAMPLIT_SCHEMATHESIS").unwrap_or_else(|_| "4".to_owned());
    let authorization = format!("Authorization: Bearer {key}");
    let arguments = [
        "run",
        &document,
        "--header",
        &authorization,
        "--checks",
        CHECKS,
        "--phases",
        "examples,fuzzing,stateful",
        "--max-examples",
        &cases,
        "--seed",
        "1",
        "--no-shrink",
        // Else it makes up keys, and learns that they are not good.
        "--generation-with-security-parameters",
        "false",
        "--continue-on-failure",
        "--suppress-health-check",
        "all",
        // It does not end by itself.
        "--exclude-path",
        "/v1/experiments/{id}/results/stream",
    ];
    let said = run(&program, &arguments, &folder).await;
    let said = said.unwrap_or_else(|failures| panic!("{failures}"));
    println!("{said}");
}
