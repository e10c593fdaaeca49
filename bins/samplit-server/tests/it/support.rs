//! Running the binary, and databases to run it on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use samplit_devpg::{DevPg, TestDatabase};
use tokio::sync::OnceCell;

/// Stands for a JSON value in assertions.
pub(crate) type Json = serde_json::Value;

/// A key ring for tests, and what must never be seen of it.
pub(crate) const KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The binary without any setting of the outside.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samplit-server"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SAMPLIT_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs it on a database, with keys.
pub(crate) fn run_on(database: &TestDatabase, arguments: &[&str]) -> Output {
    on(database, arguments).output().unwrap()
}

pub(crate) fn on(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command
        .env("SAMPLIT_DATABASE_URL", database.url())
        .env("SAMPLIT_KEYS", KEYS);
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An empty database.
pub(crate) async fn empty() -> TestDatabase {
    let pg = DevPg::shared().await;
    pg.create_from_template("template1").await.unwrap()
}

/// A migrated database.
pub(crate) async fn migrated() -> TestDatabase {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let pg = DevPg::shared().await;
    TEMPLATE
        .get_or_init(|| async {
            pg.create_database("migrated").await.unwrap();
            let url = pg.url("migrated");
            let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .unwrap();
            let connection = tokio::spawn(connection);
            samplit_sql::up(&mut client, &samplit_sql::Options::default())
                .await
                .unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
        })
        .await;
    pg.create_from_template("migrated").await.unwrap()
}

/// Runs SQL on a database, past the triggers that guard it.
pub(crate) async fn execute(database: &TestDatabase, sql: &str) {
    let (client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// A process that is killed if the test does not end it.
pub(crate) struct Running {
    child: Child,
    /// What it has said on standard error until it listened.
    said: String,
    /// What it says afterwards: read all along, or it would wait for a reader once the pipe is full.
    rest: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self {
            child: child.unwrap(),
            said: String::new(),
            rest: None,
        }
    }

    /// Reads log lines up to the one that says where it listens: the API and the ops address.
    pub(crate) fn addresses(&mut self) -> (SocketAddr, SocketAddr) {
        let stderr = self.child.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr);
        loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it never listened");
            self.said.push_str(&line);
            let event: Json = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
                let found = (address("address"), address("ops_address"));
                self.rest = Some(std::thread::spawn(move || read(lines)));
                return found;
            }
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn output(mut self) -> Output {
        let mut output = Output {
            status: std::process::ExitStatus::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let rest = self.rest.take().unwrap_or_else(|| {
            let stderr = self.child.stderr.take().unwrap();
            std::thread::spawn(move || read(stderr))
        });
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_end(&mut output.stdout).unwrap();
        self.said.push_str(&rest.join().unwrap());
        output.stderr = std::mem::take(&mut self.said).into_bytes();
        output.status = self.child.wait().unwrap();
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut stream: impl std::io::Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// One HTTP request; returns status and body.
pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> (u16, String) {
    try_http(address, method, path, token, body).unwrap()
}

/// One HTTP request to a server that may be gone.
pub(crate) fn try_http(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> std::io::Result<(u16, String)> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let authorization = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let headers = format!("{authorization}Content-Type: application/json\r\n");
    exchange(address, method, path, &headers, &body)
}

/// One HTTP request whose body is plain text.
pub(crate) fn send_text(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    exchange(address, method, path, "Content-Type: text/plain\r\n", body).unwrap()
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, body.to_owned()))
}
