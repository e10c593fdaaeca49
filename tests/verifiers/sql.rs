//! `sql/verify.sql`, by psql alone.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{folder, shared};

/// What psql says of a bundle: the table of checks, or the first wrong entry.
pub(crate) async fn verify(bundle: &[u8]) -> Result<String, String> {
    run(&shared().await.url("postgres"), &[], bundle).await
}

/// Runs verify.sql on a database, with variables and a bundle on standard input.
pub(crate) async fn run(url: &str, variables: &[String], input: &[u8]) -> Result<String, String> {
    let mut psql = Command::new(shared().await.bin("psql"));
    // To compile queries over sixty lines takes longer than to run them.
    psql.env("PGOPTIONS", "-c jit=off");
    psql.arg("-X").arg(format!("--dbname={url}"));
    for variable in variables {
        psql.args(["-v", variable]);
    }
    psql.arg("-f").arg(folder("sql/verify.sql"));
    let mut psql = psql
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test runs sql/verify.sql: install psql");
    let mut stdin = psql.stdin.take().unwrap();
    let input = input.to_vec();
    // psql stops reading where it finds something wrong.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = psql.wait_with_output().unwrap();
    writing.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) if said.ends_with("sound\n") => Ok(said),
        Some(3) => Err(complaint),
        other => panic!("psql ended with {other:?}: {said}{complaint}"),
    }
}
